//! One worker's keyed state: the port over its cache, its timers and the database.

use crate::cache::{Cache, CacheCounters, Extent};
use crate::database::{Database, StageSizes};
use crate::error::StateError;
use crate::layout;
use crate::options::{STATE, TIMERS};
use crate::timers::{TimerChangeKind, Timers};
use rocksdb::WriteBatch;
use std::any::Any;
use std::ops::Range;
use std::sync::Arc;
use tidemark_dataflow::{EventTime, KeyGroup};
use tidemark_engine::ids::StageId;
use tidemark_engine::ports::{PortError, StateKey, StateShard, Timer};

/// State of the key groups of one worker. After an error of RocksDB it must be dropped: what is not committed is gone.
pub(crate) struct RocksShard {
    database: Arc<Database>,
    cache: Cache,
    timers: Timers,
    /// Which call of [`tidemark_engine::ports::StateBackend::shards`] it comes from.
    pub(crate) generation: u64,
}

impl RocksShard {
    /// Of the key groups in `groups`, with a cache of `cache_bytes`.
    pub(crate) fn new(database: Arc<Database>, groups: Range<u16>, cache_bytes: usize, generation: u64) -> Self {
        Self { database, cache: Cache::new(cache_bytes), timers: Timers::new(groups), generation }
    }

    /// The shard behind a port object, if it is one of ours.
    pub(crate) fn of(shard: &mut dyn StateShard) -> Option<&mut Self> {
        let shard: &mut dyn Any = shard;
        shard.downcast_mut()
    }

    /// Adds every change to `batch`, and to `sizes` what it does to the size of its stage. The changes stay pending until
    /// [`RocksShard::committed`], so that a commit that failed can be tried again.
    pub(crate) fn write_changes(&self, batch: &mut WriteBatch, sizes: &mut StageSizes) {
        let database = &self.database;
        let column = database.column(STATE);
        for entry in self.cache.changes() {
            let key = entry.key();
            match entry.value() {
                Some(value) => batch.put_cf(column, key, value),
                None if entry.committed == Extent::ABSENT => {}
                None if entry.committed == Extent::UNKNOWN && !database.may_have(STATE, key) => {}
                None => batch.delete_cf(column, key),
            }
            let size = sizes.entry(layout::stage_of(key)).or_default();
            if let Some(bytes) = entry.committed.bytes() {
                size.entries = size.entries.saturating_sub(1);
                size.bytes = size.bytes.saturating_sub((key.len() + bytes) as u64);
            }
            if let Some(value) = entry.value() {
                size.entries += 1;
                size.bytes += (key.len() + value.len()) as u64;
            }
        }

        // In key order, like the values.
        let (mut keys, mut changes) = (Vec::new(), Vec::new());
        for change in self.timers.changes() {
            let start = keys.len();
            layout::append_timer(&mut keys, change.stage, change.group, change.timer);
            changes.push((start..keys.len(), change.kind));
        }
        changes.sort_unstable_by(|(a, _), (b, _)| keys[a.clone()].cmp(&keys[b.clone()]));
        let column = database.column(TIMERS);
        for (range, kind) in changes {
            let key = &keys[range];
            match kind {
                TimerChangeKind::Set => batch.put_cf(column, key, []),
                TimerChangeKind::ClearIfThere if !database.may_have(TIMERS, key) => {}
                TimerChangeKind::Clear | TimerChangeKind::ClearIfThere => batch.delete_cf(column, key),
            }
        }
    }

    /// The changes are on disk.
    pub(crate) fn committed(&mut self) {
        self.cache.committed();
        self.timers.committed();
    }

    /// The stage was dropped. What the cache has of it is never asked for again, and leaves when room is needed.
    pub(crate) fn forget(&mut self, stage: StageId) {
        self.timers.forget(stage);
    }

    /// What the cache did, and its present entries, bytes and pinned bytes.
    pub(crate) fn cache_telemetry(&self) -> (CacheCounters, [u64; 3]) {
        let cache = &self.cache;
        (cache.counters, [cache.entries(), cache.bytes(), cache.pinned_bytes()].map(|number| number as u64))
    }

    fn read_missing(&mut self, keys: &[StateKey]) -> Result<(), StateError> {
        let cache = &mut self.cache;
        let mut missing: Vec<&[u8]> = keys.iter().map(|key| &key[..]).filter(|key| cache.find(key).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable();
        missing.dedup();
        cache.counters.misses += missing.len() as u64;
        for (key, value) in missing.iter().zip(self.database.states(&missing)) {
            cache.insert_committed(key, value?.as_deref());
        }
        Ok(())
    }
}

impl StateShard for RocksShard {
    fn prefetch(&mut self, keys: &[StateKey]) -> Result<(), PortError> {
        Ok(self.read_missing(keys)?)
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<&[u8]>, PortError> {
        let place = match self.cache.find(key) {
            Some(place) => {
                self.cache.counters.hits += 1;
                place
            }
            None => {
                self.cache.counters.misses += 1;
                let value = self.database.state(key)?;
                self.cache.insert_committed(key, value.as_deref())
            }
        };
        Ok(self.cache.value(place))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.cache.write(key, Some(value));
    }

    fn delete(&mut self, key: &[u8]) {
        self.cache.write(key, None);
    }

    fn set_timer(&mut self, stage: StageId, group: KeyGroup, timer: Timer) {
        self.timers.set(stage, group, timer);
    }

    fn clear_timer(&mut self, stage: StageId, group: KeyGroup, timer: &Timer) {
        self.timers.clear(stage, group, timer);
    }

    fn due(&mut self, stage: StageId, until: EventTime, limit: usize) -> Result<Vec<(KeyGroup, Timer)>, PortError> {
        Ok(self.timers.due(&self.database, stage, until, limit)?)
    }

    fn earliest(&mut self, stage: StageId) -> Result<Option<EventTime>, PortError> {
        Ok(self.timers.earliest(&self.database, stage)?)
    }

    fn count_due(&mut self, stage: StageId, until: EventTime, limit: usize) -> Result<usize, PortError> {
        Ok(self.timers.count_due(&self.database, stage, until, limit)?)
    }

    fn dirty_bytes(&self) -> usize {
        self.cache.change_bytes() + self.timers.change_bytes()
    }
}
