//! Timers of one shard: changes since the last commit in memory, everything else in the time index on disk.
//!
//! Asking for due timers when none is due compares two numbers; when some are, the few earliest of each key group are
//! mostly in memory already, so that RocksDB is read once per `read_ahead` timers of a group. What was set and removed
//! again between two commits never reaches RocksDB.

mod committed;
mod index;

use crate::database::Database;
use crate::error::StateError;
use committed::{Committed, CommittedTimers};
use index::IndexReader;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Range;
use tidemark_dataflow::{EventTime, KeyGroup};
use tidemark_engine::ids::StageId;
use tidemark_engine::ports::Timer;

/// Timers of one stage, of all key groups of the shard.
struct StageTimers {
    /// Set since the last commit, in the order in which they are due.
    set: BTreeSet<(Timer, KeyGroup)>,
    /// Removed since the last commit: cleared, or returned as due. A timer may be set again afterwards.
    removed: FxHashMap<(Timer, KeyGroup), Committed>,
    /// One per key group of the shard.
    committed: Vec<CommittedTimers>,
    /// No committed timer is earlier.
    earliest: Option<EventTime>,
}

/// A change for the time index.
pub(crate) struct TimerChange<'a> {
    pub(crate) stage: StageId,
    pub(crate) group: KeyGroup,
    pub(crate) timer: &'a Timer,
    pub(crate) kind: TimerChangeKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TimerChangeKind {
    Set,
    /// It is in the index.
    Clear,
    /// It may be in the index: the reader is to look before it writes a tombstone.
    ClearIfThere,
}

pub(crate) struct Timers {
    stages: BTreeMap<StageId, StageTimers>,
    groups: Range<u16>,
    read_ahead: usize,
    change_bytes: usize,
}

impl Timers {
    /// Timers in memory per stage and shard, beyond those changed since the last commit, spread over the key groups.
    const READ_AHEAD: usize = 4096;

    /// Of the key groups in `groups`.
    pub(crate) fn new(groups: Range<u16>) -> Self {
        let read_ahead = (Self::READ_AHEAD / groups.len().max(1)).clamp(4, 128);
        Self { stages: BTreeMap::new(), groups, read_ahead, change_bytes: 0 }
    }

    pub(crate) fn set(&mut self, stage: StageId, group: KeyGroup, timer: Timer) {
        let size = size(&timer);
        let timers = self.stage(stage);
        let timer = (timer, group);
        let touched = timers.removed.contains_key(&timer);
        if timers.set.insert(timer) && !touched {
            self.change_bytes += size;
        }
    }

    pub(crate) fn clear(&mut self, stage: StageId, group: KeyGroup, timer: &Timer) {
        let place = self.place(group);
        let timers = self.stage(stage);
        let timer = (timer.clone(), group);
        let size = size(&timer.0);
        let committed = timers.committed[place].remove(&timer.0);
        let mut touched = timers.set.remove(&timer);
        timers.removed.entry(timer).and_modify(|_| touched = true).or_insert(committed);
        if !touched {
            self.change_bytes += size;
        }
    }

    /// Removes and returns up to `limit` timers of `stage` that are due by `until`, in order of time, key and group.
    pub(crate) fn due(
        &mut self,
        database: &Database,
        stage: StageId,
        until: EventTime,
        limit: usize,
    ) -> Result<Vec<(KeyGroup, Timer)>, StateError> {
        let (first_group, read_ahead) = (self.groups.start, self.read_ahead);
        let StageTimers { set, removed, committed, earliest } = self.stage(stage);
        let on_disk = earliest.is_some_and(|time| time <= until);
        let mut due = Vec::new();
        if limit == 0 || (!on_disk && set.first().is_none_or(|(timer, _)| timer.time > until)) {
            return Ok(due);
        }

        let mut reader = IndexReader::new(database, stage);
        let mut pop = |committed: &mut [CommittedTimers], removed: &FxHashMap<_, _>, group: KeyGroup| {
            let gone = |timer: &Timer| !removed.is_empty() && removed.contains_key(&(timer.clone(), group));
            let popped =
                committed[usize::from(group.0 - first_group)].pop(until, read_ahead, &mut reader, group, gone)?;
            Ok::<_, StateError>(popped.map(|timer| Reverse((timer, group))))
        };

        // The earliest timer of each key group; the changes since the last commit join in below.
        let mut heads = BinaryHeap::new();
        if on_disk {
            for place in 0..committed.len() {
                heads.extend(pop(committed, removed, KeyGroup(first_group + place as u16))?);
            }
        }
        let mut change_bytes = 0;
        while due.len() < limit {
            let uncommitted = set.first().filter(|(timer, _)| timer.time <= until);
            let (next, index) = match (heads.peek(), uncommitted) {
                (None, None) => break,
                (Some(Reverse(head)), Some(first)) if head == first => {
                    set.pop_first();
                    (heads.pop(), true)
                }
                (Some(Reverse(head)), first) if first.is_none_or(|first| head < first) => {
                    change_bytes += size(&head.0);
                    (heads.pop(), true)
                }
                _ => (set.pop_first().map(Reverse), false),
            };
            let Some(Reverse((timer, group))) = next else { break };
            let place = usize::from(group.0 - first_group);
            if index {
                removed.insert((timer.clone(), group), Committed::Yes);
                heads.extend(pop(committed, removed, group)?);
            } else {
                let known = committed[place].remove(&timer);
                removed.entry((timer.clone(), group)).or_insert(known);
            }
            due.push((group, timer));
        }
        for Reverse((timer, group)) in heads {
            committed[usize::from(group.0 - first_group)].unpop(timer);
        }
        if on_disk {
            *earliest = committed.iter().filter_map(CommittedTimers::earliest).min();
        }
        self.change_bytes += change_bytes;
        Ok(due)
    }

    /// When the earliest timer of `stage` is due.
    pub(crate) fn earliest(&mut self, database: &Database, stage: StageId) -> Result<Option<EventTime>, StateError> {
        let (first_group, read_ahead) = (self.groups.start, self.read_ahead);
        let StageTimers { set, removed, committed, .. } = self.stage(stage);
        let mut reader = IndexReader::new(database, stage);
        let mut earliest = set.first().map(|(timer, _)| timer.time);
        for (group, committed) in (first_group..).map(KeyGroup).zip(committed) {
            let gone = |timer: &Timer| !removed.is_empty() && removed.contains_key(&(timer.clone(), group));
            if let Some(first) = committed.peek(read_ahead, &mut reader, group, gone)? {
                earliest = Some(earliest.map_or(first.time, |time| time.min(first.time)));
            }
        }
        Ok(earliest)
    }

    /// How many timers [`Timers::due`] would return.
    pub(crate) fn count_due(
        &mut self,
        database: &Database,
        stage: StageId,
        until: EventTime,
        limit: usize,
    ) -> Result<usize, StateError> {
        let first_group = self.groups.start;
        let StageTimers { set, removed, committed, .. } = self.stage(stage);
        let mut reader = IndexReader::new(database, stage);
        let mut count = set.iter().take_while(|(timer, _)| timer.time <= until).take(limit).count();
        for (group, committed) in (first_group..).map(KeyGroup).zip(committed) {
            // What was set again since the last commit was counted above.
            let counts = |timer: &Timer| {
                if set.is_empty() && removed.is_empty() {
                    return true;
                }
                let timer = (timer.clone(), group);
                !set.contains(&timer) && !removed.contains_key(&timer)
            };
            count += committed.count(until, limit - count, &mut reader, group, counts)?;
        }
        Ok(count)
    }

    /// What the index must be told, each timer at most once.
    pub(crate) fn changes(&self) -> impl Iterator<Item = TimerChange<'_>> {
        self.stages.iter().flat_map(|(&stage, timers)| {
            let set = timers.set.iter().map(|(timer, group)| (timer, *group, TimerChangeKind::Set));
            let removed = timers.removed.iter().filter_map(|(key, committed)| {
                let kind = match committed {
                    _ if timers.set.contains(key) => return None,
                    Committed::Yes => TimerChangeKind::Clear,
                    Committed::Perhaps => TimerChangeKind::ClearIfThere,
                    Committed::No => return None,
                };
                Some((&key.0, key.1, kind))
            });
            set.chain(removed).map(move |(timer, group, kind)| TimerChange { stage, group, timer, kind })
        })
    }

    /// The changes are on disk.
    pub(crate) fn committed(&mut self) {
        let (first_group, read_ahead) = (self.groups.start, self.read_ahead);
        for timers in self.stages.values_mut() {
            for (timer, group) in std::mem::take(&mut timers.set) {
                timers.committed[usize::from(group.0 - first_group)].add(timer, read_ahead);
            }
            timers.removed.clear();
            timers.earliest = timers.committed.iter().filter_map(CommittedTimers::earliest).min();
        }
        self.change_bytes = 0;
    }

    /// The stage was dropped.
    pub(crate) fn forget(&mut self, stage: StageId) {
        self.stages.remove(&stage);
    }

    /// Bytes of changed timers, of each one once. Depends on nothing but the changes since the last commit.
    pub(crate) fn change_bytes(&self) -> usize {
        self.change_bytes
    }

    fn stage(&mut self, stage: StageId) -> &mut StageTimers {
        self.stages.entry(stage).or_insert_with(|| StageTimers {
            set: BTreeSet::new(),
            removed: FxHashMap::default(),
            committed: self.groups.clone().map(|_| CommittedTimers::unread()).collect(),
            earliest: Some(EventTime::MIN),
        })
    }

    fn place(&self, group: KeyGroup) -> usize {
        debug_assert!(self.groups.contains(&group.0), "key group {} belongs to another shard", group.0);
        usize::from(group.0 - self.groups.start)
    }
}

/// What a timer's change counts: its time, stage and key group, and its key.
fn size(timer: &Timer) -> usize {
    12 + timer.key.len()
}
