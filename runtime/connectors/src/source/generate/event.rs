//! One event, and how gateways write it.

use super::network::{GATEWAYS, Network, PIPELINES};
use super::random::Random;
use super::settings::GenerateSettings;
use std::fmt::Display;
use std::io::Write;
use std::sync::Arc;

/// A session as its events name it.
pub(crate) struct Identity {
    request: String,
    stream: String,
    gateway: &'static str,
    pipeline: &'static str,
    begin_ms: i64,
}

impl Identity {
    pub(crate) fn new(begin_ms: i64, random: &mut Random) -> Self {
        let (gateway, pipeline) = (random.pick(&GATEWAYS), random.pick(&PIPELINES));
        let bits = random.bits();
        let stream = match bits >> 60 {
            0..=9 => format!("stream-{:06x}-{:08x}", bits & 0xff_ffff, bits >> 24 & 0xffff_ffff),
            10..=13 => format!("str_{bits:016x}"),
            14 => format!("aiJobTesterStream-{begin_ms}{:06}", bits % 1_000_000),
            _ => String::new(),
        };
        Self { request: format!("{:08x}", random.bits() >> 32), stream, gateway, pipeline, begin_ms }
    }

    /// For events that belong to no session.
    pub(crate) fn of_gateway(gateway: &'static str) -> Self {
        Self { request: String::new(), stream: String::new(), gateway, pipeline: "", begin_ms: 0 }
    }
}

/// State of a session in its status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Loading,
    Offline,
    Online,
    DegradedInput,
    DegradedInference,
    Error,
}

/// What an event says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Kind {
    Trace(&'static str),
    Swap,
    /// A trace of another program, with a time in seconds since its start.
    Foreign,
    Status {
        state: State,
        fps: f64,
        input_fps: f64,
    },
    Ingest {
        bad: bool,
        jitter: f64,
        lost: bool,
    },
    Error(&'static str),
    Restart,
    ParamsUpdate,
    Discovery,
    Payment,
    Capabilities,
}

/// An event on its way.
#[derive(Clone)]
pub(crate) struct Event {
    kind: Kind,
    id: u128,
    /// By the clock of who observed it.
    time_ms: i64,
    /// By the clock of the gateway that sent it.
    sent_ms: i64,
    orchestrator: Option<usize>,
    identity: Arc<Identity>,
    /// Whether the data is JSON in a text and the timestamp a number.
    republished: bool,
}

impl Event {
    pub(crate) fn new(
        kind: Kind,
        time_ms: i64,
        orchestrator: Option<usize>,
        identity: Arc<Identity>,
        settings: &GenerateSettings,
        random: &mut Random,
    ) -> Self {
        Self {
            kind,
            id: random.uuid(),
            time_ms,
            sent_ms: time_ms + random.between(-5, 44),
            orchestrator,
            identity,
            republished: random.chance(settings.republished_share),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn sent_ms(&self) -> i64 {
        self.sent_ms
    }

    /// The type in the envelope.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Trace(_) | Kind::Swap | Kind::Foreign => "stream_trace",
            Kind::Status { .. } => "ai_stream_status",
            Kind::Ingest { .. } => "stream_ingest_metrics",
            Kind::Error(_) | Kind::Restart | Kind::ParamsUpdate => "ai_stream_events",
            Kind::Discovery => "discovery_results",
            Kind::Payment => "create_new_payment",
            Kind::Capabilities => "network_capabilities",
        }
    }

    /// Appends the event without a line end.
    pub(crate) fn write(&self, network: &Network, out: &mut Vec<u8>) {
        put(out, "{\"id\": \"");
        put_uuid(out, self.id);
        put(out, "\", \"type\": \"");
        put(out, self.type_name());
        if self.republished {
            put(out, "\", \"timestamp\": ");
            put_integer(out, self.sent_ms);
            put(out, ", \"gateway\": \"");
        } else {
            put(out, "\", \"timestamp\": \"");
            put_integer(out, self.sent_ms);
            put(out, "\", \"gateway\": \"");
        }
        put(out, self.identity.gateway);
        put(out, "\", \"data\": ");
        if self.republished {
            let mut data = Vec::with_capacity(1024);
            self.write_data(network, &mut data);
            put(out, "\"");
            data.iter().for_each(|&byte| match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                _ => out.push(byte),
            });
            put(out, "\"");
        } else {
            self.write_data(network, out);
        }
        put(out, "}");
    }

    fn write_data(&self, network: &Network, out: &mut Vec<u8>) {
        match self.kind {
            Kind::Trace(name) => self.write_trace(network, name, out),
            Kind::Swap => {
                put(out, "{\"message\": \"orchestrator is slow\", ");
                self.write_orchestrator(network, out);
                put(out, ", \"pipeline\": \"");
                put(out, self.identity.pipeline);
                self.write_session("\", ", out);
                put(out, ", \"type\": \"orchestrator_swap\"}");
            }
            Kind::Foreign => {
                put(out, "{");
                self.write_session("", out);
                put(out, ", \"timestamp\": ");
                put_display(out, (self.time_ms % 1_000_000_000) as f64 / 1000.0);
                put(out, ", \"type\": \"stream_started\"}");
            }
            Kind::Status { state, fps, input_fps } => self.write_status(network, state, fps, input_fps, out),
            Kind::Ingest { bad, jitter, lost } => self.write_ingest(bad, jitter, lost, out),
            Kind::Error(message) => self.write_stream_event("error", message, out),
            Kind::Restart => self.write_stream_event("restart", "", out),
            Kind::ParamsUpdate => self.write_stream_event("params_update", "", out),
            Kind::Discovery => self.write_discovery(network, out),
            Kind::Payment => self.write_payment(network, out),
            Kind::Capabilities => write_capabilities(network, out),
        }
    }

    fn write_trace(&self, network: &Network, name: &str, out: &mut Vec<u8>) {
        put(out, "{");
        self.write_orchestrator(network, out);
        self.write_session(", ", out);
        put(out, ", \"timestamp\": ");
        put_integer(out, self.time_ms);
        put(out, ", \"type\": \"");
        put(out, name);
        put(out, "\"}");
    }

    /// `"orchestrator_info": {…}`
    fn write_orchestrator(&self, network: &Network, out: &mut Vec<u8>) {
        let (address, url) = self.orchestrator.map_or(("", ""), |place| {
            let orchestrator = &network.orchestrators[place];
            (orchestrator.event_address.as_str(), orchestrator.url.as_str())
        });
        put(out, "\"orchestrator_info\": {\"address\": \"");
        put(out, address);
        put(out, "\", \"url\": \"");
        put(out, url);
        put(out, "\"}");
    }

    /// The fields that name the session, behind `before`.
    fn write_session(&self, before: &str, out: &mut Vec<u8>) {
        put(out, before);
        put(out, "\"pipeline_id\": \"\", \"request_id\": \"");
        put(out, &self.identity.request);
        put(out, "\", \"stream_id\": \"");
        put(out, &self.identity.stream);
        put(out, "\"");
    }

    fn write_status(&self, network: &Network, state: State, fps: f64, input_fps: f64, out: &mut Vec<u8>) {
        let (now, begin) = (self.time_ms, self.identity.begin_ms + 300);
        put(out, "{\"inference_status\": {\"fps\": ");
        put_display(out, fps);
        put(out, ", \"last_error\": null, \"last_error_time\": null, \"last_output_time\": ");
        put_integer(out, now - 75);
        put(out, ", \"last_params\": {\"height\": 512, \"width\": 512}, ");
        put(out, "\"last_params_hash\": \"f2f41bce75e30de92f8c308a6722859b\", \"last_params_update_time\": ");
        put_integer(out, begin);
        put(out, ", \"last_restart_logs\": null, \"last_restart_time\": null, \"restart_count\": 0}, ");
        put(out, "\"input_status\": {\"fps\": ");
        put_display(out, input_fps);
        put(out, ", \"last_input_time\": ");
        put_integer(out, now - 93);
        put(out, "}, \"last_state_update_time\": ");
        put_integer(out, now - 2_139);
        put(out, ", \"last_status_timestamp\": ");
        put_integer(out, now - 10_002);
        put(out, ", ");
        self.write_orchestrator(network, out);
        put(out, ", \"pipeline\": \"");
        put(out, self.identity.pipeline);
        self.write_session("\", ", out);
        put(out, ", \"start_time\": ");
        put_integer(out, begin);
        put(out, ", \"state\": \"");
        put(out, state.name());
        put(out, "\", \"timestamp\": ");
        put_integer(out, now);
        put(out, ", \"type\": \"status\"}");
    }

    fn write_ingest(&self, bad: bool, jitter: f64, lost: bool, out: &mut Vec<u8>) {
        let received = (self.time_ms - self.identity.begin_ms) / 12;
        self.write_session("{", out);
        put(out, ", \"stats\": {\"peer_conn_stats\": {\"ID\": \"iceTransport\", \"BytesReceived\": ");
        put_integer(out, received * 1_157);
        put(out, ", \"BytesSent\": ");
        put_integer(out, received * 9);
        put(out, "}, \"track_stats\": [");
        for (kind, jitter) in [("video", jitter), ("audio", 2.0 * jitter)] {
            put(out, if kind == "video" { "{\"type\": \"" } else { ", {\"type\": \"" });
            put(out, kind);
            put(out, "\", \"jitter\": ");
            put_display(out, jitter);
            put(out, if lost { ", \"packets_lost\": 3" } else { ", \"packets_lost\": 0" });
            put(out, ", \"packets_received\": ");
            put_integer(out, received);
            put(out, if lost { ", \"packet_loss_pct\": 0.7" } else { ", \"packet_loss_pct\": 0" });
            put(out, ", \"rtt\": 0, \"last_input_ts\": 4.892, \"last_output_ts\": 0, \"latency\": 0}");
        }
        put(out, "], \"conn_quality\": \"");
        put(out, if bad { "bad" } else { "good" });
        put(out, "\"}, \"timestamp\": ");
        put_integer(out, self.time_ms);
        put(out, "}");
    }

    fn write_stream_event(&self, kind: &str, message: &str, out: &mut Vec<u8>) {
        put(out, "{\"capability\": \"\", \"message\": \"");
        put(out, message);
        put(out, "\", \"pipeline\": \"");
        put(out, self.identity.pipeline);
        self.write_session("\", ", out);
        put(out, ", \"type\": \"");
        put(out, kind);
        put(out, "\"}");
    }

    fn write_discovery(&self, network: &Network, out: &mut Vec<u8>) {
        put(out, "[");
        let first = self.orchestrator.unwrap_or(0);
        for step in 0..1 + (self.id as usize & 1) {
            let orchestrator = &network.orchestrators[(first + step) % network.orchestrators.len()];
            put(out, if step == 0 { "{\"address\": \"" } else { ", {\"address\": \"" });
            put(out, &orchestrator.event_address);
            put(out, "\", \"latency_ms\": \"");
            put_integer(out, 40 + (self.id as i64 & 0x7f) + 20 * step as i64);
            put(out, "\", \"url\": \"");
            put(out, &orchestrator.url);
            put(out, "\"}");
        }
        put(out, "]");
    }

    fn write_payment(&self, network: &Network, out: &mut Vec<u8>) {
        let orchestrator = &network.orchestrators[self.orchestrator.unwrap_or(0)];
        put(out, "{\"capability\": \"\", \"clientIP\": \"\", \"faceValue\": \"");
        // Both spellings are real.
        put(out, if self.id & 7 == 0 { "0.0024024 ETH" } else { "2402400000000000 WEI" });
        put(out, "\", \"manifestID\": \"35_");
        put(out, self.identity.pipeline);
        put(out, "\", \"numTickets\": \"2\", \"orchestrator\": \"");
        put(out, &orchestrator.url);
        put(out, "\", \"price\": \"1635.021 wei/pixel\", \"recipient\": \"");
        put(out, &orchestrator.address);
        put(out, "\", \"requestID\": \"");
        put(out, &self.identity.request);
        put(out, "\", \"sender\": \"0x5aE4E42dB3671370a0c25AfF451E7482aAEc3D0B\", \"sessionID\": \"01b55632\", ");
        put(out, "\"winProb\": \"0.0009990010\"}");
    }
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Loading => "LOADING",
            Self::Offline => "OFFLINE",
            Self::Online => "ONLINE",
            Self::DegradedInput => "DEGRADED_INPUT",
            Self::DegradedInference => "DEGRADED_INFERENCE",
            Self::Error => "ERROR",
        }
    }
}

fn write_capabilities(network: &Network, out: &mut Vec<u8>) {
    put(out, "[");
    for (place, orchestrator) in network.orchestrators.iter().enumerate() {
        put(out, if place == 0 { "{\"address\": \"" } else { ", {\"address\": \"" });
        put(out, &orchestrator.address);
        put(out, "\", \"local_address\": \"");
        put(out, &orchestrator.local_address);
        put(out, "\", \"orch_uri\": \"");
        put(out, &orchestrator.url);
        put(out, "\", \"capabilities\": {\"bitstring\": [34426871807], \"capacities\": {\"0\": 1, \"35\": 1}, ");
        put(out, "\"version\": \"0.8.8\", \"constraints\": {\"PerCapability\": {\"35\": {\"models\": {}}}}}, ");
        put(out, "\"capabilities_prices\": [{\"pricePerUnit\": 1618, \"pixelsPerUnit\": 1, \"capability\": 35}], ");
        put(out, "\"hardware\": [{\"pipeline\": \"live-video-to-video\", \"gpu_info\": {\"0\": {\"name\": \"");
        put(out, orchestrator.gpu);
        put(out, "\", \"major\": 12}}}]}");
    }
    put(out, "]");
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// As Rust writes it: the shortest digits that read back as the same double, and 0 without a point.
fn put_display(out: &mut Vec<u8>, value: impl Display) {
    write!(out, "{value}").expect("a vector takes every byte");
}

pub(super) fn put_integer(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

pub(super) fn put_uuid(out: &mut Vec<u8>, bits: u128) {
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (place, byte) in bits.to_be_bytes().into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            at += 1;
        }
        for digit in [byte >> 4, byte & 15] {
            text[at] = b"0123456789abcdef"[usize::from(digit)];
            at += 1;
        }
    }
    out.extend_from_slice(&text);
}
