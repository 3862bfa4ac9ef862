//! What is generated.

use serde::Deserialize;

/// Settings of the generator. Shares are between 0 and 1.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenerateSettings {
    /// Decides everything that is random.
    pub seed: u64,
    /// Lines to make; absent: no end.
    pub events: Option<u64>,
    /// Streams at the same time.
    pub streams: u32,
    /// Event time of the first session, in milliseconds.
    pub start_ms: i64,
    /// Events per second of event time, roughly; absent: what the streams send of themselves, about 0.5 each. Made by
    /// stretching or shortening the intervals between a stream's status, ingest and payment events.
    pub rate_per_second: Option<f64>,
    /// An event is behind the newest one that arrived before it by at most this, and runners' events by two seconds
    /// more: so far behind are some of their clocks.
    pub disorder_ms: i64,
    /// Share of events that are later than that.
    pub late_share: f64,
    /// Late events are late by this to twice this.
    pub late_ms: i64,
    /// Share of events that arrive a second time, a moment later and with the same id.
    pub duplicate_share: f64,
    /// Share of events that are lost on the way.
    pub missing_share: f64,
    /// Share of sessions whose orchestrator is swapped for another.
    pub swap_share: f64,
    /// Share of sessions that no orchestrator takes.
    pub refused_share: f64,
    /// Share of events whose data is JSON in a text and whose timestamp is a number, as republished streams have it.
    pub republished_share: f64,
    /// Share of lines that are malformed, beside the events.
    pub malformed_share: f64,
    /// Length of malformed lines of the kind `too_long`.
    pub too_long_bytes: usize,
    /// Distance of `network_capabilities` events.
    pub capabilities_every_ms: i64,
}

impl Default for GenerateSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            events: Some(1_000_000),
            streams: 100,
            start_ms: 1_767_908_940_000,
            rate_per_second: None,
            disorder_ms: 2_000,
            late_share: 0.0005,
            late_ms: 60_000,
            duplicate_share: 0.002,
            missing_share: 0.001,
            swap_share: 0.01,
            refused_share: 0.03,
            republished_share: 0.002,
            malformed_share: 0.0005,
            too_long_bytes: 1_200_000,
            capabilities_every_ms: 1_500_000,
        }
    }
}

impl GenerateSettings {
    /// What is wrong with them.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (name, share) in [
            ("late_share", self.late_share),
            ("duplicate_share", self.duplicate_share),
            ("missing_share", self.missing_share),
            ("swap_share", self.swap_share),
            ("refused_share", self.refused_share),
            ("republished_share", self.republished_share),
            ("malformed_share", self.malformed_share),
        ] {
            // Below one, so that events get through at all.
            if !(0.0..=0.9).contains(&share) {
                mistakes.push(format!("generator.{name}: {share} is not between 0 and 0.9"));
            }
        }
        for (name, value, greatest) in [
            ("disorder_ms", self.disorder_ms, 86_400_000),
            ("late_ms", self.late_ms, 864_000_000),
            ("start_ms", self.start_ms, 4_000_000_000_000),
            ("too_long_bytes", self.too_long_bytes as i64, 1 << 28),
        ] {
            if !(0..=greatest).contains(&value) {
                mistakes.push(format!("generator.{name}: {value} is not between 0 and {greatest}"));
            }
        }
        if self.capabilities_every_ms < 1_000 {
            mistakes.push("generator.capabilities_every_ms: must be at least 1000".to_owned());
        }
        if !(1..=1_000_000).contains(&self.streams) {
            mistakes.push(format!("generator.streams: {} is not between 1 and 1000000", self.streams));
        }
        if self.rate_per_second.is_some_and(|rate| !(0.001..=1e8).contains(&rate)) {
            mistakes.push("generator.rate_per_second: must be between 0.001 and 100000000".to_owned());
        }
        mistakes
    }
}
