//! Dead letters: what could not be processed, kept with the reason and everything needed to submit it again.

use crate::ids::{Digest, Offset, Partition};
use bytes::Bytes;

/// Why something is a dead letter. The text form is the value of the `reason` column and of the telemetry label.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// Not JSON.
    BrokenJson,
    /// Not UTF-8.
    InvalidUtf8,
    /// Longer than the limit for one record; only its beginning is kept.
    TooLong,
    /// Not an envelope: not an object, or no event type.
    BadEnvelope,
    /// No usable event time, neither in the data nor in the envelope.
    NoEventTime,
    /// Event time outside the sane bounds of the configuration.
    TimeOutOfBounds,
    /// A rule of the event type's schema does not hold.
    SchemaViolation,
    /// An event type that the configuration does not know and refuses.
    UnknownType,
    /// A metric's filter accepts the row but its key is null or empty.
    MissingKey,
    /// Behind the watermark and the allowed lateness of a metric: the late side output.
    Late,
    /// A group on which the module failed softly: it said so itself.
    GuestFailure,
    /// A group on which the module trapped.
    GuestTrap,
    /// A group that took the module longer than its time limit.
    GuestTimeout,
    /// A group that took the module over its memory limit.
    GuestMemory,
    /// A group for which the module returned something malformed or oversized.
    GuestOutput,
    /// The module is quarantined: its error budget is used up.
    Quarantined,
    /// A key's join buffer or state is over its limit.
    StateLimit,
    /// Submitted again for a metric that does not take it as things are.
    NotTaken,
}

impl Reason {
    /// The stable name, as rows and telemetry show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BrokenJson => "broken_json",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooLong => "too_long",
            Self::BadEnvelope => "bad_envelope",
            Self::NoEventTime => "no_event_time",
            Self::TimeOutOfBounds => "time_out_of_bounds",
            Self::SchemaViolation => "schema_violation",
            Self::UnknownType => "unknown_type",
            Self::MissingKey => "missing_key",
            Self::Late => "late",
            Self::GuestFailure => "guest_failure",
            Self::GuestTrap => "guest_trap",
            Self::GuestTimeout => "guest_timeout",
            Self::GuestMemory => "guest_memory",
            Self::GuestOutput => "guest_output",
            Self::Quarantined => "quarantined",
            Self::StateLimit => "state_limit",
            Self::NotTaken => "not_taken",
        }
    }
}

/// One dead letter.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The class of failure.
    pub reason: Reason,
    /// What exactly, for a person.
    pub detail: String,
    /// Where the record came from; `None` for rows that a metric made.
    pub position: Option<(Partition, Offset)>,
    /// Event time, where one is known.
    pub event_time: Option<i64>,
    /// The record as it came, or for a poison group its rows as NDJSON.
    pub payload: Bytes,
    /// The metric concerned; `None` for failures of cleansing.
    pub metric: Option<Box<GroupContext>>,
}

/// The group of a metric that a dead letter is about.
#[derive(Clone, Debug)]
pub struct GroupContext {
    /// Metric name.
    pub metric: String,
    /// Digest of the module that was called.
    pub digest: Digest,
    /// The group's key.
    pub key: String,
    /// The group's window, start and end in milliseconds; `None` where the row never reached one.
    pub window: Option<(i64, i64)>,
    /// The group's state before the call.
    pub state: Vec<u8>,
}
