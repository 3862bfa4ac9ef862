//! State in ordered maps. A commit is all or nothing; what a dropped shard held is gone.

use crate::ids::StageId;
use crate::ports::{CommittedState, MetaBatch, MetaEntry, PortError, StateBackend, StateKey, StateShard, Timer};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use tidemark_dataflow::{EventTime, KeyGroup};

type TimerEntry = (StageId, EventTime, StateKey, KeyGroup);

#[derive(Clone, Default)]
struct Committed {
    values: BTreeMap<StateKey, Vec<u8>>,
    timers: BTreeSet<TimerEntry>,
    meta: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A handle to state that outlives engines.
#[derive(Clone)]
pub struct MemoryState {
    committed: Arc<Mutex<Committed>>,
    key_groups: u16,
}

impl MemoryState {
    /// Empty state of a job with `key_groups` key groups.
    #[must_use]
    pub fn new(key_groups: u16) -> Self {
        Self { committed: Arc::default(), key_groups }
    }

    /// A copy that goes its own way: an image for a later restore.
    #[must_use]
    pub fn image(&self) -> Self {
        Self { committed: Arc::new(Mutex::new(self.lock().clone())), key_groups: self.key_groups }
    }

    /// Committed values and timers.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let committed = self.lock();
        (committed.values.len(), committed.timers.len())
    }

    fn lock(&self) -> MutexGuard<'_, Committed> {
        self.committed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl CommittedState for MemoryState {
    fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.lock().meta.get(key).cloned())
    }

    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.lock().values.get(key).cloned())
    }

    fn entries(&self, from: &[u8], until: &[u8], limit: usize) -> Result<Vec<(StateKey, Vec<u8>)>, PortError> {
        let (from, until): (StateKey, StateKey) = (from.into(), until.into());
        let committed = self.lock();
        let entries = committed.values.range(from..until).take(limit);
        Ok(entries.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn timers(
        &self,
        stage: StageId,
        group: KeyGroup,
        most: usize,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(Vec<Timer>, bool), PortError> {
        let committed = self.lock();
        let mut timers = committed.timers.iter().filter(|(of, _, _, at)| (*of, *at) == (stage, group));
        let looked_at = timers.by_ref().take(most).filter(|(_, _, key, _)| wanted(key));
        let found = looked_at.map(|(_, time, key, _)| Timer { time: *time, key: key.clone() }).collect();
        Ok((found, timers.next().is_none()))
    }
}

impl StateBackend for MemoryState {
    fn shards(&self, workers: usize) -> Result<Vec<Box<dyn StateShard>>, PortError> {
        let committed = self.lock();
        let groups = tidemark_dataflow::KeyGroups::new(self.key_groups)
            .ok_or_else(|| PortError::Stop("a job needs at least one key group".to_owned()))?;
        let shard = |worker| -> Box<dyn StateShard> {
            let own = |group: KeyGroup| groups.worker_of(group, workers) == worker;
            let timers = committed.timers.iter().filter(|(_, _, _, group)| own(*group)).cloned().collect();
            let own_key = |key: &StateKey| own(KeyGroup(u16::from_be_bytes([key[2], key[3]])));
            let values = committed.values.iter().filter(|(key, _)| own_key(key));
            let values = values.map(|(key, value)| (key.clone(), value.clone())).collect();
            Box::new(MemoryShard {
                values,
                timers,
                changed: BTreeSet::new(),
                set: BTreeSet::new(),
                gone: BTreeSet::new(),
            })
        };
        Ok((0..workers).map(shard).collect())
    }

    fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.lock().meta.get(key).cloned())
    }

    fn meta_prefix(&self, prefix: &[u8]) -> Result<Vec<MetaEntry>, PortError> {
        let committed = self.lock();
        let entries = committed.meta.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(entries.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&mut self, shards: &mut [Box<dyn StateShard>], meta: &MetaBatch) -> Result<(), PortError> {
        let mut committed = self.lock();
        for shard in shards {
            let shard: &mut dyn Any = &mut **shard;
            let shard = shard
                .downcast_mut::<MemoryShard>()
                .ok_or_else(|| PortError::Stop("a shard of another backend was committed".to_owned()))?;
            for key in std::mem::take(&mut shard.changed) {
                match shard.values.get(&key) {
                    Some(value) => committed.values.insert(key, value.clone()),
                    None => committed.values.remove(&key),
                };
            }
            committed.timers.append(&mut shard.set);
            for timer in std::mem::take(&mut shard.gone) {
                committed.timers.remove(&timer);
            }
        }
        if !meta.dropped.is_empty() {
            let is_dropped = |key: &StateKey| meta.dropped.iter().any(|stage| key.starts_with(&stage.0.to_be_bytes()));
            committed.values.retain(|key, _| !is_dropped(key));
            committed.timers.retain(|(stage, ..)| !meta.dropped.contains(stage));
        }
        committed.meta.extend(meta.puts.iter().cloned());
        meta.deletes.iter().for_each(|key| drop(committed.meta.remove(key)));
        Ok(())
    }

    fn sample(&self, stage: StageId, limit: usize) -> Result<Vec<Vec<u8>>, PortError> {
        let committed = self.lock();
        let prefix = stage.0.to_be_bytes();
        let values = committed.values.iter().filter(|(key, _)| key.starts_with(&prefix));
        Ok(values.take(limit).map(|(_, value)| value.clone()).collect())
    }

    fn snapshot(&self, _into: &Path) -> Result<(), PortError> {
        Ok(())
    }
}

struct MemoryShard {
    values: BTreeMap<StateKey, Vec<u8>>,
    timers: BTreeSet<TimerEntry>,
    changed: BTreeSet<StateKey>,
    set: BTreeSet<TimerEntry>,
    gone: BTreeSet<TimerEntry>,
}

impl MemoryShard {
    /// Timers of `stage`, earliest first.
    fn timers_of(&self, stage: StageId) -> impl Iterator<Item = &TimerEntry> {
        let first = (stage, EventTime::MIN, StateKey::default(), KeyGroup(0));
        self.timers.range(first..).take_while(move |entry| entry.0 == stage)
    }
}

impl StateShard for MemoryShard {
    fn prefetch(&mut self, _keys: &[StateKey]) -> Result<(), PortError> {
        Ok(())
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<&[u8]>, PortError> {
        Ok(self.values.get(key).map(Vec::as_slice))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.changed.insert(key.into());
        self.values.insert(key.into(), value.to_vec());
    }

    fn delete(&mut self, key: &[u8]) {
        self.changed.insert(key.into());
        self.values.remove(key);
    }

    fn set_timer(&mut self, stage: StageId, group: KeyGroup, timer: Timer) {
        let entry = (stage, timer.time, timer.key, group);
        self.gone.remove(&entry);
        self.timers.insert(entry.clone());
        self.set.insert(entry);
    }

    fn clear_timer(&mut self, stage: StageId, group: KeyGroup, timer: &Timer) {
        let entry = (stage, timer.time, timer.key.clone(), group);
        self.set.remove(&entry);
        self.timers.remove(&entry);
        self.gone.insert(entry);
    }

    fn due(&mut self, stage: StageId, until: EventTime, limit: usize) -> Result<Vec<(KeyGroup, Timer)>, PortError> {
        let due = self.timers_of(stage).take_while(|entry| entry.1 <= until);
        let due: Vec<TimerEntry> = due.take(limit).cloned().collect();
        for entry in &due {
            self.timers.remove(entry);
            self.set.remove(entry);
            self.gone.insert(entry.clone());
        }
        Ok(due.into_iter().map(|(_, time, key, group)| (group, Timer { time, key })).collect())
    }

    fn earliest(&mut self, stage: StageId) -> Result<Option<EventTime>, PortError> {
        Ok(self.timers_of(stage).next().map(|entry| entry.1))
    }

    fn count_due(&mut self, stage: StageId, until: EventTime, limit: usize) -> Result<usize, PortError> {
        Ok(self.timers_of(stage).take_while(|entry| entry.1 <= until).take(limit).count())
    }

    fn dirty_bytes(&self) -> usize {
        let values = self.changed.iter().map(|key| key.len() + self.values.get(key).map_or(0, Vec::len));
        let timers = self.set.iter().chain(&self.gone).map(|(_, _, key, _)| key.len() + 8);
        values.chain(timers).sum()
    }
}
