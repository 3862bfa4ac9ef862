//! Startup outcome: what became of a request for a stream. The first rule that holds decides:
//!
//! 1. `success`: a few processed segments came (`gateway_receive_few_processed_segments`), whatever happened later.
//! 2. `no-orchestrator`: nobody took the request (`gateway_no_orchestrators_available`).
//! 3. `excused`: an error message contains, ignoring case, one of [`EXCUSES`]: the user or the ingest went away.
//! 4. `failed`.
//!
//! Rules and phrases are those of the network's own analytics. It also has a stricter reading of the third rule, under
//! which *every* error must be excusable: `errors` and `excusable_errors` allow it to be computed.
//!
//! **A session** is what is known of one request: its traces, its errors, and its statuses, which come every ten seconds
//! and hold it together, until two minutes pass without any. That bridges statuses that were dropped, and errors, which
//! come up to 33 s after the stream is closed. A session without the request itself is no row: it is a tail, or the
//! request was lost.
//!
//! The row also says what the session's statuses and swaps showed over its *whole* life: `swap-rate` and
//! `failure-rate` are shares of these rows. The orchestrator is the first one that the session names. A swap is a trace
//! of the orchestrator that is being abandoned, so the first swap counts against it, and not against its successor.

use tidemark_metric::{CloseReason, Context, EarliestText, Failure, Fold, Input, Merge, Metric, Output, Rows, State};

/// What excuses an orchestrator.
pub const EXCUSES: [&str; 6] = [
    "no orchestrators available",
    "mediamtx ingest disconnected",
    "whip disconnected",
    "missing video",
    "ice connection state failed",
    "user disconnected",
];

/// What became of a request for a stream: success, no-orchestrator, excused or failed.
#[derive(Metric)]
#[metric(
    name = "startup-outcome",
    key = "data.request_id",
    filter("type" = ["stream_trace", "ai_stream_events", "ai_stream_status"]),
    window(session = "2m"),
    mergeable
)]
pub struct StartupOutcome;

/// A trace, an error or a status of the session.
#[derive(Input)]
pub struct Signal<'a> {
    #[at = "type"]
    event_type: Option<&'a str>,
    #[at = "data.type"]
    kind: Option<&'a str>,
    #[at = "data.message"]
    message: Option<&'a str>,
    #[at = "data.state"]
    state: Option<&'a str>,
    #[at = "data.inference_status.fps"]
    fps: Option<f64>,
    #[at = "data.stream_id"]
    stream_id: Option<&'a str>,
    #[at = "data.orchestrator_info.address"]
    orchestrator: Option<&'a str>,
}

/// What is known of a session.
#[derive(State, Default)]
pub struct Session {
    requested: bool,
    playable: bool,
    refused: bool,
    errors: i64,
    excusable_errors: i64,
    swaps: i64,
    statuses: i64,
    /// A status was past LOADING.
    loaded: bool,
    /// A status had a frame rate above zero.
    frames: bool,
    stream_id: EarliestText,
    orchestrator: EarliestText,
}

/// One request.
#[derive(Output)]
pub struct Outcome<'a> {
    /// Which request.
    pub request_id: &'a str,
    /// Its stream.
    pub stream_id: Option<&'a str>,
    /// Who took it first.
    pub orchestrator: Option<&'a str>,
    /// `success`, `no-orchestrator`, `excused` or `failed`.
    pub outcome: &'a str,
    /// Errors.
    pub errors: i64,
    /// Those of them that contain one of [`EXCUSES`].
    pub excusable_errors: i64,
    /// How often the orchestrator was swapped.
    pub swaps: i64,
    /// Whether all statuses said LOADING; null without a status.
    pub loading_only: Option<bool>,
    /// Whether no status had a frame rate above zero; null without a status.
    pub zero_fps: Option<bool>,
}

impl Fold for StartupOutcome {
    type Input = Signal<'static>;
    type State = Session;
    type Output = Outcome<'static>;

    fn update(&self, session: &mut Session, signals: Rows<Signal>, _: &mut Context<Outcome>) -> Result<(), Failure> {
        for signal in signals {
            session.add(&signal);
            session.stream_id.offer(signal.event_time_ms, signal.stream_id);
            session.orchestrator.offer(signal.event_time_ms, signal.orchestrator);
        }
        Ok(())
    }

    fn close(&self, session: &mut Session, _: CloseReason, context: &mut Context<Outcome>) -> Result<(), Failure> {
        if session.requested {
            let row = session.outcome(context.key());
            context.emit(row);
        }
        Ok(())
    }
}

impl Merge for StartupOutcome {
    fn merge(&self, session: &mut Session, later: Session) -> Result<(), Failure> {
        session.requested |= later.requested;
        session.playable |= later.playable;
        session.refused |= later.refused;
        session.errors += later.errors;
        session.excusable_errors += later.excusable_errors;
        session.swaps += later.swaps;
        session.statuses += later.statuses;
        session.loaded |= later.loaded;
        session.frames |= later.frames;
        session.stream_id.merge(later.stream_id);
        session.orchestrator.merge(later.orchestrator);
        Ok(())
    }
}

impl Session {
    /// Adds an event; foreign ones change nothing.
    fn add(&mut self, signal: &Signal) {
        match (signal.event_type, signal.kind) {
            (Some("ai_stream_status"), _) => {
                self.statuses += 1;
                self.loaded |= signal.state != Some("LOADING");
                self.frames |= signal.fps > Some(0.0);
            }
            (Some("ai_stream_events"), Some("error")) => {
                self.errors += 1;
                self.excusable_errors += i64::from(signal.message.is_some_and(excuses));
            }
            (_, Some("gateway_receive_stream_request")) => self.requested = true,
            (_, Some("gateway_receive_few_processed_segments")) => self.playable = true,
            (_, Some("gateway_no_orchestrators_available")) => self.refused = true,
            (_, Some("orchestrator_swap")) => self.swaps += 1,
            _ => {}
        }
    }

    fn outcome<'a>(&'a self, request_id: &'a str) -> Outcome<'a> {
        let outcome = match self {
            Self { playable: true, .. } => "success",
            Self { refused: true, .. } => "no-orchestrator",
            Self { excusable_errors: 1.., .. } => "excused",
            _ => "failed",
        };
        Outcome {
            request_id,
            stream_id: self.stream_id.until(i64::MAX),
            orchestrator: self.orchestrator.until(i64::MAX),
            outcome,
            errors: self.errors,
            excusable_errors: self.excusable_errors,
            swaps: self.swaps,
            loading_only: (self.statuses > 0).then_some(!self.loaded),
            zero_fps: (self.statuses > 0).then_some(!self.frames),
        }
    }
}

/// Whether a message contains one of [`EXCUSES`], which are in lower case.
fn excuses(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    EXCUSES.iter().any(|excuse| message.contains(excuse))
}

tidemark_metric::export!(StartupOutcome);

#[cfg(test)]
mod tests;
