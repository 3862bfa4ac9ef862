//! Draining: how the watermark comes to the end of time when the source has ended.
//!
//! Everything that is still open closes then, which may be millions of windows. The watermark goes there in steps, a tick
//! each, so that no tick holds more rows than memory does, and epochs close in between. A step leads over whatever has no
//! timers and then takes in at most [`MANY`] of them, if they are not all due in one millisecond. How many there are does
//! not depend on the number of workers, so neither do the steps.

use serde::{Deserialize, Serialize};
use tidemark_dataflow::EventTime;

/// The first step, in ms.
const FIRST_STEP_MS: i64 = 1_000;

/// After a step with fewer timers than this the next one is twice as long.
const FEW: usize = 8_192;

/// A step with more than this is cut to a quarter.
const MANY: usize = 32_768;

/// How often steps are cut or found too long in vain. Timers that set timers for ever would keep them short for ever.
const CUTS: u32 = 1_024;

/// Where draining is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Drain {
    step_ms: i64,
    cuts: u32,
}

/// What is still to come.
pub(crate) trait Ahead {
    /// Why it cannot be told.
    type Error;

    /// When the source's watermark reaches the earliest timer.
    fn earliest(&mut self) -> Result<Option<EventTime>, Self::Error>;

    /// How many timers are due when it has come to `until`; `limit` stands for more.
    fn count(&mut self, until: EventTime, limit: usize) -> Result<usize, Self::Error>;
}

impl Drain {
    /// At its beginning.
    pub(crate) const START: Self = Self { step_ms: FIRST_STEP_MS, cuts: 0 };

    /// Where the next step leads from `current`; the first one leads to `newest`, where the watermark would be if the
    /// source had not ended.
    pub(crate) fn next<A: Ahead>(
        &mut self,
        current: EventTime,
        newest: EventTime,
        ahead: &mut A,
    ) -> Result<EventTime, A::Error> {
        if newest > current {
            return Ok(newest);
        }
        let Some(earliest) = ahead.earliest()? else { return Ok(EventTime::MAX) };
        // The millisecond before the first timer: a step takes in its last one.
        let from = earliest.plus_ms(-1).max(current);
        loop {
            let target = from.plus_ms(self.step_ms);
            let count = ahead.count(target, MANY + 1)?;
            if self.cuts == CUTS || count < FEW {
                self.step_ms = self.step_ms.saturating_mul(2);
            } else if count > MANY {
                let shortest = self.step_ms == 1;
                self.step_ms = (self.step_ms / 4).max(1);
                self.cuts += 1;
                if !shortest {
                    continue;
                }
            }
            // Nothing was ever read, but timers were set: there is no way to lead on from.
            return Ok(if target == EventTime::MIN { EventTime::MAX } else { target });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Timers that are due at these times, ascending.
    struct Timers(Vec<i64>);

    impl Ahead for Timers {
        type Error = Infallible;

        fn earliest(&mut self) -> Result<Option<EventTime>, Infallible> {
            Ok(self.0.first().copied().map(EventTime))
        }

        fn count(&mut self, until: EventTime, limit: usize) -> Result<usize, Infallible> {
            Ok(self.0.partition_point(|time| *time <= until.0).min(limit))
        }
    }

    /// Numbers of timers that the steps find until the end of time.
    fn steps(timers: Vec<i64>) -> Vec<usize> {
        let (mut drain, mut timers, mut steps) = (Drain::START, Timers(timers), Vec::new());
        let mut current = EventTime(0);
        while current != EventTime::MAX {
            let Ok(target) = drain.next(current, EventTime(0), &mut timers);
            assert!(target > current);
            current = target;
            let found = timers.0.partition_point(|time| *time <= current.0);
            timers.0.drain(..found);
            steps.push(found);
        }
        steps
    }

    #[test]
    fn silence_is_passed_at_once_and_a_crowd_in_pieces() {
        assert_eq!(steps(vec![]), [0]);
        assert_eq!(steps(vec![1 << 50]), [1, 0]);
        let crowd = (0..1_000_000).map(|timer| (1 << 40) + timer / 100);
        let found = steps([1, 1 << 30].into_iter().chain(crowd).chain([1 << 60]).collect());
        assert_eq!(found.iter().sum::<usize>(), 1_000_003);
        assert!(found.iter().all(|count| *count <= MANY), "{found:?}");
        assert!(found.len() < 200, "{found:?}");
    }

    #[test]
    fn a_millisecond_is_not_cut() {
        assert_eq!(steps(vec![77; 100_000]), [100_000, 0]);
    }

    #[test]
    fn the_first_step_leads_to_where_the_source_was() {
        let mut drain = Drain::START;
        assert_eq!(drain.next(EventTime::MIN, EventTime(5), &mut Timers(vec![1])), Ok(EventTime(5)));
        assert_eq!(drain.next(EventTime::MIN, EventTime::MIN, &mut Timers(vec![])), Ok(EventTime::MAX));
    }

    #[test]
    fn timers_without_end_come_to_one() {
        struct Always(EventTime);
        impl Ahead for Always {
            type Error = Infallible;
            fn earliest(&mut self) -> Result<Option<EventTime>, Infallible> {
                Ok(Some(self.0.plus_ms(1)))
            }
            fn count(&mut self, _: EventTime, limit: usize) -> Result<usize, Infallible> {
                Ok(limit)
            }
        }
        let (mut drain, mut timers, mut steps) = (Drain::START, Always(EventTime(0)), 0);
        while timers.0 != EventTime::MAX {
            let Ok(target) = drain.next(timers.0, EventTime(0), &mut timers);
            (timers.0, steps) = (target, steps + 1);
            assert!(steps < 10_000);
        }
    }
}
