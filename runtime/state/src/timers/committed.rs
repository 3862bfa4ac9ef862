//! What one key group knows of its committed timers: the earliest few in memory, and where in the index the rest begins.

use crate::error::StateError;
use crate::timers::index::IndexReader;
use std::collections::VecDeque;
use tidemark_dataflow::{EventTime, KeyGroup};
use tidemark_engine::ports::Timer;

/// What is known about a timer being in the index on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Committed {
    Yes,
    No,
    Perhaps,
}

/// Committed timers of one key group of one stage, without those that were removed since the last commit.
///
/// Each of them is either in `ahead` or not before `rest`.
pub(crate) struct CommittedTimers {
    /// The earliest, in order.
    ahead: VecDeque<Timer>,
    /// Lower bound of those only on disk; `None` if there are none.
    rest: Option<Timer>,
    /// No committed timer is later.
    latest: EventTime,
}

impl CommittedTimers {
    /// Of a group whose part of the index was not read yet.
    pub(crate) fn unread() -> Self {
        let first = Timer { time: EventTime::MIN, key: Box::default() };
        Self { ahead: VecDeque::new(), rest: Some(first), latest: EventTime::MAX }
    }

    /// No timer is earlier than this; `None` if there is none at all.
    pub(crate) fn earliest(&self) -> Option<EventTime> {
        self.ahead.front().or(self.rest.as_ref()).map(|timer| timer.time)
    }

    /// Takes the earliest timer if it is due by `until`, reading up to `read_ahead` more from the index where none is in
    /// memory. Timers for which `removed` holds are passed over: they are in the index until the commit.
    pub(crate) fn pop(
        &mut self,
        until: EventTime,
        read_ahead: usize,
        reader: &mut IndexReader<'_>,
        group: KeyGroup,
        removed: impl Fn(&Timer) -> bool,
    ) -> Result<Option<Timer>, StateError> {
        self.fill(until, read_ahead, reader, group, removed)?;
        Ok(if self.ahead.front().is_some_and(|timer| timer.time <= until) { self.ahead.pop_front() } else { None })
    }

    /// The earliest timer, read from the index where none is in memory.
    pub(crate) fn peek(
        &mut self,
        read_ahead: usize,
        reader: &mut IndexReader<'_>,
        group: KeyGroup,
        removed: impl Fn(&Timer) -> bool,
    ) -> Result<Option<&Timer>, StateError> {
        self.fill(EventTime::MAX, read_ahead, reader, group, removed)?;
        Ok(self.ahead.front())
    }

    /// Counts timers that are due by `until` and for which `counts` holds, up to `limit`.
    pub(crate) fn count(
        &self,
        until: EventTime,
        limit: usize,
        reader: &mut IndexReader<'_>,
        group: KeyGroup,
        counts: impl Fn(&Timer) -> bool,
    ) -> Result<usize, StateError> {
        let near = self.ahead.iter().take_while(|timer| timer.time <= until).filter(|timer| counts(timer)).take(limit);
        let near = near.count();
        match self.rest.as_ref().filter(|rest| rest.time <= until && near < limit) {
            Some(rest) => Ok(near + reader.count(group, rest, until, limit - near, counts)?),
            None => Ok(near),
        }
    }

    fn fill(
        &mut self,
        until: EventTime,
        read_ahead: usize,
        reader: &mut IndexReader<'_>,
        group: KeyGroup,
        removed: impl Fn(&Timer) -> bool,
    ) -> Result<(), StateError> {
        if self.ahead.is_empty()
            && let Some(rest) = self.rest.as_ref().filter(|rest| rest.time <= until)
        {
            if self.latest == EventTime::MAX {
                self.latest = reader.latest(group)?.unwrap_or(EventTime::MIN);
            }
            self.rest = reader.read(group, rest, read_ahead, removed, &mut self.ahead)?;
        }
        Ok(())
    }

    /// Takes back the timer that was popped last.
    pub(crate) fn unpop(&mut self, timer: Timer) {
        self.ahead.push_front(timer);
    }

    /// Takes `timer` out, and tells whether it is in the index.
    pub(crate) fn remove(&mut self, timer: &Timer) -> Committed {
        match self.ahead.binary_search(timer) {
            Ok(place) => {
                self.ahead.remove(place);
                Committed::Yes
            }
            Err(_) if timer.time > self.latest || self.rest.as_ref().is_none_or(|rest| timer < rest) => Committed::No,
            Err(_) => Committed::Perhaps,
        }
    }

    /// `timer` is in the index now.
    pub(crate) fn add(&mut self, timer: Timer, read_ahead: usize) {
        self.latest = self.latest.max(timer.time);
        if self.rest.as_ref().is_some_and(|rest| timer >= *rest) {
            return;
        }
        if let Err(place) = self.ahead.binary_search(&timer) {
            self.ahead.insert(place, timer);
        }
        if self.ahead.len() > 2 * read_ahead {
            self.rest = self.ahead.drain(read_ahead..).next();
        }
    }
}
