//! Draining: how the watermark comes to the end of time when the source has ended.
//!
//! Everything that is still open closes then, which may be millions of windows. The watermark goes there in steps, a tick
//! each, so that no tick holds more rows than memory does, and epochs close in between. A step's length follows from how
//! many timers the one before found, which is the same for every number of workers.

use serde::{Deserialize, Serialize};
use tidemark_dataflow::EventTime;

/// The first step, in ms.
const FIRST_STEP_MS: i64 = 1_000;

/// A step that finds fewer timers than this is doubled.
const FEW: usize = 16_384;

/// A step that finds more than this is cut to a quarter.
const MANY: usize = 131_072;

/// How often a step may be cut. Timers that set timers for ever would keep it short for ever.
const CUTS: u32 = 64;

/// Where draining is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Drain {
    step_ms: i64,
    cuts: u32,
}

impl Drain {
    /// At its beginning.
    pub(crate) const START: Self = Self { step_ms: FIRST_STEP_MS, cuts: 0 };

    /// Where the next step leads from `current`; the first one leads to `newest`, where the watermark would be if the
    /// source had not ended.
    pub(crate) fn target(self, current: EventTime, newest: EventTime) -> EventTime {
        match current.max(newest) {
            // Nothing was ever read.
            EventTime::MIN => EventTime::MAX,
            from if from > current => from,
            from => from.plus_ms(self.step_ms),
        }
    }

    /// After a step that found `timers`.
    pub(crate) fn after(self, timers: usize) -> Self {
        if timers < FEW {
            Self { step_ms: self.step_ms.saturating_mul(2), ..self }
        } else if timers > MANY && self.cuts < CUTS {
            Self { step_ms: (self.step_ms / 4).max(1), cuts: self.cuts + 1 }
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps until the end of time when every step finds `timers`.
    fn steps(timers: usize) -> usize {
        let (mut drain, mut current, mut steps) = (Drain::START, EventTime(0), 0);
        while current != EventTime::MAX && steps < 100_000 {
            current = drain.target(current, EventTime(1_700_000_000_000));
            drain = drain.after(timers);
            steps += 1;
        }
        steps
    }

    #[test]
    fn silence_is_passed_quickly_and_a_crowd_slowly() {
        assert!(steps(0) < 64, "{}", steps(0));
        assert_eq!(steps(50_000), 100_000, "steps stay as they are while they find enough");
        assert_eq!(Drain::START.target(EventTime::MIN, EventTime::MIN), EventTime::MAX);
        assert_eq!(Drain::START.target(EventTime::MIN, EventTime(5)), EventTime(5));
        let mut drain = Drain::START;
        (0..200).for_each(|_| drain = drain.after(MANY + 1));
        assert_eq!(drain.cuts, CUTS);
    }
}
