//! What is in the generated lines, for tests to compare with.

use super::delivery::Arrival;
use super::event::Kind;
use std::collections::BTreeMap;

/// Counts over the lines made so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Truth {
    /// Lines of any kind.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Events that arrived, without repetitions, by event type.
    pub events: BTreeMap<&'static str, u64>,
    /// Stream requests among them.
    pub requests: u64,
    /// Swaps among them.
    pub swaps: u64,
    /// Statuses with frames (an fps above 0) among them.
    pub fps_samples: u64,
    /// Repetitions: lines with the id of an earlier one.
    pub duplicates: u64,
    /// Events that were late, repetitions included.
    pub late: u64,
    /// Events that were lost and are in no line.
    pub missing: u64,
    /// Malformed lines, by the dead-letter reason that they deserve under default settings.
    pub malformed: BTreeMap<&'static str, u64>,
}

impl Truth {
    pub(crate) fn count(&mut self, arrival: &Arrival) {
        self.late += u64::from(arrival.late);
        if arrival.duplicate {
            self.duplicates += 1;
            return;
        }
        *self.events.entry(arrival.event.type_name()).or_default() += 1;
        match arrival.event.kind() {
            Kind::Trace("gateway_receive_stream_request") => self.requests += 1,
            Kind::Swap => self.swaps += 1,
            Kind::Status { fps, .. } if fps > 0.0 => self.fps_samples += 1,
            _ => {}
        }
    }

    /// Malformed lines of every kind.
    #[must_use]
    pub fn malformed_lines(&self) -> u64 {
        self.malformed.values().sum()
    }
}
