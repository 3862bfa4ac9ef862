//! State against a model of two ordered maps: any sequence of operations, commits, crashes and changes of the number of
//! workers shows the same values, due timers and bytes of changes.

mod common;

use common::{key, key_groups, open, worker_of};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tidemark_dataflow::{EventTime, KeyGroup};
use tidemark_engine::ids::StageId;
use tidemark_engine::ports::{MetaBatch, StateBackend, StateKey, StateShard, Timer};
use tidemark_state::{RocksState, StageSize};

#[derive(Clone, Debug)]
enum Operation {
    Put { key: Place, length: usize },
    Delete { key: Place },
    Get { key: Place },
    Prefetch { keys: Vec<Place> },
    SetTimers { key: Place, from: i64, step: i64, count: i64 },
    ClearTimers { key: Place, from: i64, step: i64, count: i64 },
    Due { stage: u16, until: i64, limit: usize },
    Commit,
    Crash { workers: usize },
}

#[derive(Clone, Debug)]
struct Place {
    stage: u16,
    group: u16,
    item: u16,
}

impl Place {
    fn key(&self) -> StateKey {
        key(self.stage, self.group, self.item)
    }
}

fn place() -> impl Strategy<Value = Place> {
    (0..3_u16, 0..key_groups().count(), 0..12_u16).prop_map(|(stage, group, item)| Place { stage, group, item })
}

/// Few keys and dense times, so that timers are set, cleared and due again and again, on either side of what is read
/// ahead of the index.
fn timer_run() -> impl Strategy<Value = (Place, i64, i64, i64)> {
    let place = (0..2_u16, 0..3_u16, 0..2_u16).prop_map(|(stage, group, item)| Place { stage, group: group * 2, item });
    (place, -400..400_i64, 0..3_i64, 1..400_i64)
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (place(), 0..200_usize).prop_map(|(key, length)| Operation::Put { key, length }),
        3 => place().prop_map(|key| Operation::Delete { key }),
        6 => place().prop_map(|key| Operation::Get { key }),
        2 => prop::collection::vec(place(), 0..20).prop_map(|keys| Operation::Prefetch { keys }),
        4 => timer_run().prop_map(|(key, from, step, count)| Operation::SetTimers { key, from, step, count }),
        4 => timer_run().prop_map(|(key, from, step, count)| Operation::ClearTimers { key, from, step, count }),
        4 => (0..3_u16, -400..900_i64, 0..400_usize)
            .prop_map(|(stage, until, limit)| Operation::Due { stage, until, limit }),
        3 => Just(Operation::Commit),
        1 => (1..7_usize).prop_map(|workers| Operation::Crash { workers }),
    ]
}

/// A timer as the model keeps it, in the order in which timers of a stage are due.
type ModelTimer = (StageId, Timer, KeyGroup);

#[derive(Clone, Default)]
struct Content {
    values: BTreeMap<StateKey, Vec<u8>>,
    timers: BTreeSet<ModelTimer>,
    commits: u64,
}

#[derive(Default)]
struct Model {
    now: Content,
    committed: Content,
    touched_keys: BTreeSet<StateKey>,
    touched_timers: BTreeSet<ModelTimer>,
}

impl Model {
    fn due(&mut self, stage: u16, until: i64, limit: usize, worker: usize, workers: usize) -> Vec<(KeyGroup, Timer)> {
        let (stage, until) = (StageId(stage), EventTime(until));
        let mine =
            |timer: &&ModelTimer| timer.0 == stage && timer.1.time <= until && worker_of(timer.2.0, workers) == worker;
        let due: Vec<ModelTimer> = self.now.timers.iter().filter(mine).take(limit).cloned().collect();
        for timer in &due {
            self.now.timers.remove(timer);
            self.touched_timers.insert(timer.clone());
        }
        due.into_iter().map(|(_, timer, group)| (group, timer)).collect()
    }

    /// When the earliest timer is due, and how many [`Model::due`] would return.
    fn ahead(&self, stage: u16, until: i64, limit: usize, worker: usize, workers: usize) -> (Option<EventTime>, usize) {
        let mine = |timer: &&ModelTimer| timer.0 == StageId(stage) && worker_of(timer.2.0, workers) == worker;
        let times = || self.now.timers.iter().filter(mine).map(|timer| timer.1.time);
        (times().min(), times().filter(|time| time.0 <= until).count().min(limit))
    }

    fn change_bytes(&self) -> usize {
        let value = |key| self.now.values.get(key).map_or(0, Vec::len);
        let keys: usize = self.touched_keys.iter().map(|key| key.len() + value(key)).sum();
        let timers: usize = self.touched_timers.iter().map(|(_, timer, _)| 12 + timer.key.len()).sum();
        keys + timers
    }

    fn sizes(&self) -> BTreeMap<StageId, StageSize> {
        let mut sizes = BTreeMap::<StageId, StageSize>::new();
        for (key, value) in &self.now.values {
            let size = sizes.entry(StageId(u16::from(key[1]))).or_default();
            size.entries += 1;
            size.bytes += (key.len() + value.len()) as u64;
        }
        sizes
    }
}

/// The database under test and the model, kept alike.
struct Pair<'a> {
    path: &'a Path,
    state: Option<RocksState>,
    shards: Vec<Box<dyn StateShard>>,
    model: Model,
}

impl<'a> Pair<'a> {
    fn new(path: &'a Path) -> Self {
        let state = open(path);
        let shards = state.shards(2).expect("shards");
        Self { path, state: Some(state), shards, model: Model::default() }
    }

    fn shard(&mut self, group: u16) -> &mut Box<dyn StateShard> {
        let workers = self.shards.len();
        &mut self.shards[worker_of(group, workers)]
    }

    fn apply(&mut self, operation: &Operation) -> Result<(), TestCaseError> {
        match operation {
            Operation::Put { key, length } => {
                let value = vec![*length as u8; *length];
                // Sizes of stages are exact as long as keys are read first.
                self.shard(key.group).get(&key.key()).expect("get");
                self.shard(key.group).put(&key.key(), &value);
                self.model.touched_keys.insert(key.key());
                self.model.now.values.insert(key.key(), value);
            }
            Operation::Delete { key } => {
                self.shard(key.group).get(&key.key()).expect("get");
                self.shard(key.group).delete(&key.key());
                self.model.touched_keys.insert(key.key());
                self.model.now.values.remove(&key.key());
            }
            Operation::Get { key } => {
                let found = self.shard(key.group).get(&key.key()).expect("get").map(<[u8]>::to_vec);
                prop_assert_eq!(found.as_ref(), self.model.now.values.get(&key.key()));
            }
            Operation::Prefetch { keys } => {
                for worker in 0..self.shards.len() {
                    let workers = self.shards.len();
                    let own = |place: &&Place| worker_of(place.group, workers) == worker;
                    let keys: Vec<StateKey> = keys.iter().filter(own).map(Place::key).collect();
                    self.shards[worker].prefetch(&keys).expect("prefetch");
                }
            }
            Operation::SetTimers { key, from, step, count } => {
                for timer in timers(key, *from, *step, *count) {
                    self.shard(key.group).set_timer(timer.0, timer.2, timer.1.clone());
                    self.model.touched_timers.insert(timer.clone());
                    self.model.now.timers.insert(timer);
                }
            }
            Operation::ClearTimers { key, from, step, count } => {
                for timer in timers(key, *from, *step, *count) {
                    self.shard(key.group).clear_timer(timer.0, timer.2, &timer.1);
                    self.model.now.timers.remove(&timer);
                    self.model.touched_timers.insert(timer);
                }
            }
            Operation::Due { stage, until, limit } => {
                let workers = self.shards.len();
                for (worker, shard) in self.shards.iter_mut().enumerate() {
                    let (earliest, count) = self.model.ahead(*stage, *until, *limit, worker, workers);
                    prop_assert_eq!(shard.earliest(StageId(*stage)).expect("earliest"), earliest);
                    let counted = shard.count_due(StageId(*stage), EventTime(*until), *limit);
                    prop_assert_eq!(counted.expect("count"), count);
                    let due = shard.due(StageId(*stage), EventTime(*until), *limit).expect("due");
                    prop_assert_eq!(due, self.model.due(*stage, *until, *limit, worker, workers));
                }
            }
            Operation::Commit => self.commit()?,
            Operation::Crash { workers } => self.crash(*workers)?,
        }
        let dirty: usize = self.shards.iter().map(|shard| shard.dirty_bytes()).sum();
        prop_assert_eq!(dirty, self.model.change_bytes());
        Ok(())
    }

    fn commit(&mut self) -> Result<(), TestCaseError> {
        let model = &mut self.model;
        model.now.commits += 1;
        let meta = MetaBatch {
            puts: vec![(b"commits".to_vec(), model.now.commits.to_be_bytes().to_vec())],
            ..MetaBatch::default()
        };
        let state = self.state.as_mut().expect("open");
        state.commit(&mut self.shards, &meta).expect("commit");
        model.committed = model.now.clone();
        model.touched_keys.clear();
        model.touched_timers.clear();
        let mut stages = state.inspector().telemetry().expect("telemetry").stages;
        stages.retain(|_, size| size.entries > 0);
        prop_assert_eq!(stages, model.sizes());
        Ok(())
    }

    fn crash(&mut self, workers: usize) -> Result<(), TestCaseError> {
        self.shards.clear();
        self.state = None;
        let state = open(self.path);
        self.shards = state.shards(workers).expect("shards");
        self.model = Model {
            now: self.model.committed.clone(),
            committed: std::mem::take(&mut self.model.committed),
            ..Model::default()
        };
        let content: BTreeMap<_, _> = common::content(&state).into_iter().collect();
        prop_assert_eq!(&content, &self.model.now.values);
        let commits = state.meta(b"commits").expect("meta").map_or(0, |bytes| bytes[7].into());
        prop_assert_eq!(commits, self.model.now.commits % 256);
        self.state = Some(state);
        Ok(())
    }
}

fn timers(place: &Place, from: i64, step: i64, count: i64) -> impl Iterator<Item = ModelTimer> {
    let Place { stage, group, .. } = *place;
    let key = place.key();
    (0..count).map(move |number| {
        (StageId(stage), Timer { time: EventTime(from + number * step), key: key.clone() }, KeyGroup(group))
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn state_is_what_the_model_says(operations in prop::collection::vec(operation(), 1..120)) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut pair = Pair::new(folder.path());
        for operation in &operations {
            pair.apply(operation)?;
        }
        pair.commit()?;
        pair.crash(3)?;
        for stage in 0..3 {
            pair.apply(&Operation::Due { stage, until: i64::MAX, limit: usize::MAX })?;
        }
        prop_assert!(pair.model.now.timers.is_empty());
    }
}
