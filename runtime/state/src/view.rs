//! Committed state at one moment: a snapshot of RocksDB, which a commit never changes and which holds up none.

use crate::database::Database;
use crate::error::StateError;
use crate::layout;
use crate::options::{META, STATE, TIMERS};
use rocksdb::{ReadOptions, Snapshot};
use tidemark_dataflow::KeyGroup;
use tidemark_engine::ids::StageId;
use tidemark_engine::ports::{CommittedState, PortError, StateKey, Timer};

/// A snapshot of a database.
pub(crate) struct View<'a> {
    pub(crate) database: &'a Database,
    pub(crate) snapshot: Snapshot<'a>,
}

impl View<'_> {
    fn get(&self, column: &str, key: &[u8]) -> Result<Option<Vec<u8>>, PortError> {
        let value = self.snapshot.get_cf(self.database.column(column), key);
        Ok(value.map_err(|error| self.database.error(error))?)
    }

    /// Calls `each` with entries from `from` to before `until`, by key, until it says that it is enough.
    fn walk(
        &self,
        column: &str,
        from: &[u8],
        until: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, StateError>,
    ) -> Result<(), StateError> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(until);
        let mut iterator = self.snapshot.raw_iterator_cf_opt(self.database.column(column), options);
        iterator.seek(from);
        while let Some((key, value)) = iterator.item() {
            if !each(key, value)? {
                return Ok(());
            }
            iterator.next();
        }
        iterator.status().map_err(|error| self.database.error(error))
    }
}

impl CommittedState for View<'_> {
    fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PortError> {
        self.get(META, key)
    }

    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PortError> {
        self.get(STATE, key)
    }

    fn entries(&self, from: &[u8], until: &[u8], limit: usize) -> Result<Vec<(StateKey, Vec<u8>)>, PortError> {
        let mut entries = Vec::new();
        self.walk(STATE, from, until, |key, value| {
            entries.push((key.into(), value.to_vec()));
            Ok(entries.len() < limit)
        })?;
        Ok(entries)
    }

    fn timers(
        &self,
        stage: StageId,
        group: KeyGroup,
        most: usize,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(Vec<Timer>, bool), PortError> {
        let range = layout::group_range(stage, group);
        let (mut timers, mut looked_at, mut complete) = (Vec::new(), 0, true);
        self.walk(TIMERS, &range.start, &range.end, |key, _| {
            if looked_at == most {
                complete = false;
                return Ok(false);
            }
            looked_at += 1;
            let timer = layout::decode_timer(key).ok_or_else(|| self.database.damaged("a key in the time index"))?;
            if wanted(&timer.key) {
                timers.push(timer);
            }
            Ok(true)
        })?;
        Ok((timers, complete))
    }
}
