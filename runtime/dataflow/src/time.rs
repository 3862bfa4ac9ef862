//! Event time and windows: half-open intervals of milliseconds since the Unix epoch.

use std::fmt;

/// A moment in event time, in milliseconds since 1970-01-01T00:00:00Z. Negative before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct EventTime(pub i64);

impl EventTime {
    /// Before every event: the watermark of a source that has said nothing yet.
    pub const MIN: Self = Self(i64::MIN);
    /// After every event: the watermark of a source that has ended.
    pub const MAX: Self = Self(i64::MAX);

    /// `self + ms`, held at [`EventTime::MIN`] and [`EventTime::MAX`]. Both ends absorb: the end of time plus or
    /// minus a duration is still the end of time.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        if self.0 == i64::MIN || self.0 == i64::MAX {
            return self;
        }
        Self(self.0.saturating_add(ms))
    }
}

impl fmt::Debug for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MIN => f.write_str("-inf"),
            Self::MAX => f.write_str("+inf"),
            Self(ms) => write!(f, "{ms}"),
        }
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A window `[start, end)` of event time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Window {
    /// First moment inside.
    pub start: EventTime,
    /// First moment outside.
    pub end: EventTime,
}

impl Window {
    /// The window `[start, end)`, both in milliseconds.
    #[must_use]
    pub const fn new(start_ms: i64, end_ms: i64) -> Self {
        Self { start: EventTime(start_ms), end: EventTime(end_ms) }
    }

    /// The last moment inside, `end − 1 ms`: when the window fires and the event time of its result
    /// (Flink's `TimeWindow.maxTimestamp`).
    #[must_use]
    pub const fn last(self) -> EventTime {
        self.end.plus_ms(-1)
    }
}
