//! Streams and their sessions: what is sent, and when.

use super::event::{Event, Identity, Kind, State};
use super::network::{GATEWAYS, Network};
use super::random::Random;
use super::settings::GenerateSettings;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// What a stream sends in a second if nobody asks for another rate.
const NATURAL_RATE: f64 = 0.5;

const STATUS_MS: f64 = 10_000.0;
const INGEST_MS: f64 = 5_000.0;
const PAYMENT_MS: f64 = 30_000.0;

/// Every stream, and the network as a whole.
pub(crate) struct Streams {
    sessions: Vec<Session>,
    /// When each session has its next turn. Ties go to the lower number, so the order is a function of the settings.
    turns: BinaryHeap<Reverse<(i64, usize)>>,
    next_capabilities: i64,
    now: i64,
    /// By what the intervals of periodic events are stretched.
    stretch: f64,
}

/// One session of a stream.
struct Session {
    identity: Arc<Identity>,
    orchestrator: Option<usize>,
    /// What happens once, latest first.
    script: Vec<(i64, Step)>,
    next_status: i64,
    next_ingest: i64,
    next_payment: i64,
    /// When periodic events end.
    close: i64,
    statuses: u32,
    fps: f64,
}

#[derive(Clone, Copy)]
enum Step {
    Send(Kind),
    /// The orchestrator is given up for another one.
    Swap,
    /// The next session of the stream begins.
    Over,
}

impl Streams {
    pub(crate) fn new(settings: &GenerateSettings, network: &Network, random: &mut Random) -> Self {
        let stretch = settings.rate_per_second.map_or(1.0, |rate| f64::from(settings.streams) * NATURAL_RATE / rate);
        let mut streams = Self {
            sessions: Vec::with_capacity(settings.streams as usize),
            turns: BinaryHeap::with_capacity(settings.streams as usize),
            next_capabilities: settings.start_ms,
            now: settings.start_ms,
            stretch,
        };
        for place in 0..settings.streams as usize {
            let begin = settings.start_ms + random.between(0, 60_000);
            let session = Session::new(begin, stretch, settings, network, random);
            streams.turns.push(Reverse((session.next_time(), place)));
            streams.sessions.push(session);
        }
        streams
    }

    /// Event time of the last event.
    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// Event time of the next event.
    pub(crate) fn next_time(&self) -> i64 {
        let turn = self.turns.peek().map_or(i64::MAX, |Reverse((time, _))| *time);
        turn.min(self.next_capabilities)
    }

    /// The next event.
    pub(crate) fn next(&mut self, settings: &GenerateSettings, network: &Network, random: &mut Random) -> Event {
        loop {
            let Reverse((time, place)) = *self.turns.peek().expect("every stream always has a turn");
            if self.next_capabilities <= time {
                self.now = self.next_capabilities;
                self.next_capabilities += settings.capabilities_every_ms;
                let identity = Arc::new(Identity::of_gateway(GATEWAYS[0]));
                return Event::new(Kind::Capabilities, self.now, None, identity, settings, random);
            }
            self.now = time;
            let session = &mut self.sessions[place];
            let event = session.turn(time, self.stretch, settings, network, random);
            if event.is_none() && session.script.is_empty() {
                let begin = time + random.between(500, 10_000);
                *session = Session::new(begin, self.stretch, settings, network, random);
            }
            let next = session.next_time();
            if let Some(mut top) = self.turns.peek_mut() {
                *top = Reverse((next, place));
            }
            if let Some(event) = event {
                return event;
            }
        }
    }
}

impl Session {
    fn new(begin: i64, stretch: f64, settings: &GenerateSettings, network: &Network, random: &mut Random) -> Self {
        let identity = Arc::new(Identity::new(begin, random));
        let mut script = vec![(begin, Step::Send(Kind::Trace("gateway_receive_stream_request")))];
        let mut session = Self {
            identity,
            orchestrator: None,
            script: Vec::new(),
            next_status: i64::MAX,
            next_ingest: i64::MAX,
            next_payment: i64::MAX,
            close: begin,
            statuses: 0,
            fps: 0.0,
        };
        if random.chance(settings.refused_share) {
            session.refuse(begin, &mut script, random);
        } else {
            session.accept(begin, stretch, settings, network, &mut script, random);
        }
        // Of steps at the same time the one that was added first is the last, which is taken first.
        script.reverse();
        script.sort_by_key(|(time, _)| Reverse(*time));
        session.script = script;
        session
    }

    /// No orchestrator takes it.
    fn refuse(&mut self, begin: i64, script: &mut Vec<(i64, Step)>, random: &mut Random) {
        let closed = begin + random.between(1_000, 4_000);
        script.extend([
            (begin + 3, Step::Send(Kind::Trace("gateway_no_orchestrators_available"))),
            (begin + 3, Step::Send(Kind::Error("no orchestrators available"))),
            (closed, Step::Send(Kind::Trace("gateway_ingest_stream_closed"))),
            (closed, Step::Over),
        ]);
        self.close = closed;
    }

    fn accept(
        &mut self,
        begin: i64,
        stretch: f64,
        settings: &GenerateSettings,
        network: &Network,
        script: &mut Vec<(i64, Step)>,
        random: &mut Random,
    ) {
        let orchestrator = network.pick(random);
        self.orchestrator = Some(orchestrator);
        self.fps = network.orchestrators[orchestrator].fps + random.normal();
        let discovered = begin + random.between(100, 400);
        script.push((discovered, Step::Send(Kind::Discovery)));
        // Most sessions are short, few are long: each 20 s more halve their number. Counted in bits, for a logarithm's
        // last bit differs between machines.
        let length = random.between(5_000, 30_000) + 20_000 * i64::from(random.bits().trailing_zeros().min(12));
        self.close = begin + length;
        let ingest = discovered + random.between(500, 3_500);
        first_segments(ingest, script, random);
        if random.chance(settings.swap_share) {
            // Somebody must have got the stream before another one can.
            let swap = (begin + length / 2).max(ingest + 3_000);
            script.push((swap, Step::Swap));
            first_segments(swap + random.between(500, 3_000), script, random);
        }
        if random.chance(0.02) {
            script.push((begin + length / 3, Step::Send(Kind::Restart)));
        }
        if random.chance(0.2) {
            script.push((begin + length / 4, Step::Send(Kind::ParamsUpdate)));
        }
        if random.chance(0.01) {
            script.push((begin + length / 2, Step::Send(Kind::Foreign)));
        }
        // What lies behind the close was never reached.
        script.retain(|(time, _)| *time < self.close);
        script.push((self.close, Step::Send(Kind::Trace("gateway_ingest_stream_closed"))));
        let mut over = self.close;
        if random.chance(0.1) {
            let message =
                random.pick(&["whip disconnected", "mediamtx ingest disconnected", "inference failed: timeout"]);
            over += random.between(50, 33_000);
            script.push((over, Step::Send(Kind::Error(message))));
        }
        script.push((over, Step::Over));
        let first =
            |interval: f64, random: &mut Random| begin + (interval * stretch * (0.5 + random.unit() / 2.0)) as i64;
        self.next_status = first(STATUS_MS, random);
        self.next_ingest = first(INGEST_MS, random);
        self.next_payment = discovered + 2;
    }

    fn next_time(&self) -> i64 {
        let script = self.script.last().map_or(i64::MAX, |(time, _)| *time);
        let periodic = self.next_status.min(self.next_ingest).min(self.next_payment);
        // Periodic events end with the session; the script always has a last step behind them.
        if periodic < self.close { periodic.min(script) } else { script }
    }

    /// What happens at `time`. Nothing with an empty script: the session is over.
    fn turn(
        &mut self,
        time: i64,
        stretch: f64,
        settings: &GenerateSettings,
        network: &Network,
        random: &mut Random,
    ) -> Option<Event> {
        let after =
            |interval: f64, random: &mut Random| time + ((interval * stretch) as i64 + random.between(-15, 15)).max(1);
        let kind = if self.script.last().is_some_and(|(due, _)| *due <= time) {
            match self.script.pop()?.1 {
                Step::Send(kind) => kind,
                Step::Swap => {
                    let abandoned = self.orchestrator;
                    self.orchestrator = Some(network.pick(random));
                    let identity = Arc::clone(&self.identity);
                    return Some(Event::new(Kind::Swap, time, abandoned, identity, settings, random));
                }
                Step::Over => {
                    self.script.clear();
                    return None;
                }
            }
        } else if time == self.next_status {
            self.next_status = after(STATUS_MS, random);
            self.status(random)
        } else if time == self.next_ingest {
            self.next_ingest = after(INGEST_MS, random);
            Kind::Ingest { bad: random.chance(0.05), jitter: 5.0 + 15.0 * random.unit(), lost: random.chance(0.1) }
        } else {
            self.next_payment = after(PAYMENT_MS, random);
            Kind::Payment
        };
        let skew = match (kind, self.orchestrator) {
            (Kind::Trace(name), Some(place)) if name.starts_with("runner_") => {
                network.orchestrators[place].clock_behind_ms
            }
            _ => 0,
        };
        let orchestrator =
            if matches!(kind, Kind::Trace("gateway_receive_stream_request")) { None } else { self.orchestrator };
        Some(Event::new(kind, time - skew, orchestrator, Arc::clone(&self.identity), settings, random))
    }

    fn status(&mut self, random: &mut Random) -> Kind {
        self.statuses += 1;
        let (state, fps) = match random.between(0, 99) {
            // A session often says 0, as an integer, before its first frame.
            _ if self.statuses == 1 && random.chance(0.5) => (State::Online, 0.0),
            0..=69 => (State::Online, self.fps + 0.6 * random.normal()),
            70..=89 => (State::DegradedInput, self.fps * 0.8 + random.normal()),
            90..=93 => (State::DegradedInference, self.fps * 0.5 + random.normal()),
            94..=97 => (State::Loading, 0.0),
            98 => (State::Offline, 0.0),
            _ => (State::Error, 0.0),
        };
        Kind::Status { state, fps: fps.clamp(0.0, 38.0), input_fps: (20.0 + random.normal()).clamp(0.0, 60.0) }
    }
}

/// What a gateway and a runner say when the first segments pass.
fn first_segments(ingest: i64, script: &mut Vec<(i64, Step)>, random: &mut Random) {
    let processed = ingest + random.between(60, 900);
    let received = processed + random.between(20, 300);
    let mut send = |time: i64, name: &'static str| script.push((time, Step::Send(Kind::Trace(name))));
    send(ingest, "gateway_send_first_ingest_segment");
    send(ingest - random.between(20, 80), "runner_receive_stream_request");
    send(ingest + 2, "runner_receive_first_ingest_segment");
    // Some never get beyond loading.
    if random.chance(0.98) {
        send(processed, "runner_send_first_processed_segment");
        send(received, "gateway_receive_first_processed_segment");
        send(received + random.between(500, 6_000), "gateway_receive_few_processed_segments");
        send(received + random.between(0, 50), "gateway_receive_first_data_segment");
    }
}
