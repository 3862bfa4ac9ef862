//! Reading the time index of one stage.

use crate::database::Database;
use crate::error::StateError;
use crate::layout;
use rocksdb::{DBRawIterator, ReadOptions};
use std::collections::VecDeque;
use tidemark_dataflow::{EventTime, KeyGroup};
use tidemark_engine::ids::StageId;
use tidemark_engine::ports::Timer;

/// One iterator over the index, made when the first key group needs it and moved from group to group.
pub(crate) struct IndexReader<'a> {
    database: &'a Database,
    stage: StageId,
    iterator: Option<DBRawIterator<'a>>,
    start: Vec<u8>,
}

impl<'a> IndexReader<'a> {
    pub(crate) fn new(database: &'a Database, stage: StageId) -> Self {
        Self { database, stage, iterator: None, start: Vec::new() }
    }

    /// Appends up to `count` timers of `group`, from `from` on and without `removed` ones, to `into`. Returns where to
    /// go on, `None` at the end of the group.
    pub(crate) fn read(
        &mut self,
        group: KeyGroup,
        from: &Timer,
        count: usize,
        removed: impl Fn(&Timer) -> bool,
        into: &mut VecDeque<Timer>,
    ) -> Result<Option<Timer>, StateError> {
        let prefix = layout::group_prefix(self.stage, group);
        let iterator = self.iterator.get_or_insert_with(|| self.database.timers(ReadOptions::default()));
        self.start.clear();
        layout::append_timer(&mut self.start, self.stage, group, from);
        iterator.seek(&self.start);
        let mut room = count;
        while let Some(key) = iterator.key().filter(|key| key.starts_with(&prefix)) {
            let timer = layout::decode_timer(key).ok_or_else(|| self.database.damaged("a key in the time index"))?;
            if room == 0 {
                return Ok(Some(timer));
            }
            if !removed(&timer) {
                into.push_back(timer);
                room -= 1;
            }
            iterator.next();
        }
        iterator.status().map_err(|error| self.database.error(error))?;
        Ok(None)
    }

    /// Counts timers of `group`, from `from` on, that are due by `until` and for which `counts` holds, up to `limit`.
    pub(crate) fn count(
        &mut self,
        group: KeyGroup,
        from: &Timer,
        until: EventTime,
        limit: usize,
        counts: impl Fn(&Timer) -> bool,
    ) -> Result<usize, StateError> {
        let prefix = layout::group_prefix(self.stage, group);
        let iterator = self.iterator.get_or_insert_with(|| self.database.timers(ReadOptions::default()));
        self.start.clear();
        layout::append_timer(&mut self.start, self.stage, group, from);
        iterator.seek(&self.start);
        let mut count = 0;
        while let Some(key) = iterator.key().filter(|key| count < limit && key.starts_with(&prefix)) {
            let timer = layout::decode_timer(key).ok_or_else(|| self.database.damaged("a key in the time index"))?;
            if timer.time > until {
                break;
            }
            count += usize::from(counts(&timer));
            iterator.next();
        }
        iterator.status().map_err(|error| self.database.error(error))?;
        Ok(count)
    }

    /// The time of the last timer of `group`.
    pub(crate) fn latest(&mut self, group: KeyGroup) -> Result<Option<EventTime>, StateError> {
        let range = layout::group_range(self.stage, group);
        let iterator = self.iterator.get_or_insert_with(|| self.database.timers(ReadOptions::default()));
        iterator.seek_for_prev(range.end);
        let last = iterator.key().filter(|key| key.starts_with(&range.start));
        let last = last.and_then(layout::decode_timer).map(|timer| timer.time);
        iterator.status().map_err(|error| self.database.error(error))?;
        Ok(last)
    }
}
