//! Ports that say "try again" now and then, a live source and a checkpoint store: all by a seed, without clock or disk.

use arrow_array::RecordBatch;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidemark_dataflow::{EventTime, KeyGroup};
use tidemark_engine::ids::{Epoch, Offset, Partition, StageId};
use tidemark_engine::memory::{MemoryEvent, MemorySource, MemoryState};
use tidemark_engine::output::Table;
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{
    CheckpointStore, MetaBatch, MetaEntry, Next, PortError, Sink, Source, SourceStart, StateBackend, StateKey,
    StateShard, TickLog, Timer,
};

/// Numbers by a seed (xorshift64*): the same on every machine and in every version.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d);
        // The first few still show the seed.
        for _ in 0..4 {
            let _ = random.next();
        }
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.max(1);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// In `0..below`.
    pub fn below(&mut self, below: u64) -> u64 {
        (self.next() >> 11) % below.max(1)
    }

    pub fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

/// When to fail: one call in `chances`, 0 for never, but never twice running, so that every call succeeds in the end.
#[derive(Clone)]
pub struct Faults {
    random: Arc<Mutex<(Random, bool)>>,
    chances: u64,
}

impl Faults {
    pub fn new(seed: u64, chances: u64) -> Self {
        Self { random: Arc::new(Mutex::new((Random::new(seed), false))), chances }
    }

    /// Faults of their own, for one of several threads.
    fn fork(&self, number: usize) -> Self {
        let random = self.random.lock().expect("no panic under this lock").0.clone().next();
        Self::new(random.wrapping_add(number as u64), self.chances)
    }

    fn strike(&self) -> Result<(), PortError> {
        let mut random = self.random.lock().expect("no panic under this lock");
        random.1 = !random.1 && self.chances > 0 && random.0.one_in(self.chances);
        if random.1 { Err(PortError::Retry("a drawn fault".to_owned())) } else { Ok(()) }
    }
}

/// A port that fails before it does anything.
pub struct Faulty<P> {
    pub port: P,
    pub faults: Faults,
}

impl<P: Sink> Sink for Faulty<P> {
    fn name(&self) -> &str {
        self.port.name()
    }

    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
        self.faults.strike()?;
        self.port.write(table, rows)
    }

    fn prepare(&mut self, epoch: Epoch) -> Result<Vec<u8>, PortError> {
        self.faults.strike()?;
        self.port.prepare(epoch)
    }

    fn finalise(&mut self, epoch: Epoch, handle: &[u8]) -> Result<(), PortError> {
        self.faults.strike()?;
        self.port.finalise(epoch, handle)
    }

    fn recover(&mut self, committed: Epoch, handle: Option<&[u8]>) -> Result<(), PortError> {
        self.port.recover(committed, handle)
    }

    fn needs_rows(&self) -> bool {
        self.port.needs_rows()
    }
}

impl<P: TickLog> TickLog for Faulty<P> {
    fn append(&mut self, epoch: Epoch, record: &[u8]) -> Result<(), PortError> {
        self.faults.strike()?;
        self.port.append(epoch, record)
    }

    fn read_after(&mut self, epoch: Epoch) -> Result<Vec<(Epoch, Vec<u8>)>, PortError> {
        self.port.read_after(epoch)
    }

    fn truncate_after(&mut self, epoch: Epoch) -> Result<(), PortError> {
        self.port.truncate_after(epoch)
    }

    fn forget_before(&mut self, epoch: Epoch) -> Result<(), PortError> {
        self.faults.strike()?;
        self.port.forget_before(epoch)
    }
}

impl<P: Source> Source for Faulty<P> {
    fn start(&mut self, start: SourceStart) -> Result<(), PortError> {
        self.port.start(start)
    }

    fn partitions(&self) -> &[String] {
        self.port.partitions()
    }

    fn next(&mut self, partition: Partition, wait: Duration) -> Result<Next, PortError> {
        self.faults.strike()?;
        self.port.next(partition, wait)
    }

    fn change_plan(&mut self, plan: Arc<ExtractionPlan>) -> Result<(), PortError> {
        self.port.change_plan(plan)
    }

    fn bounded(&self) -> bool {
        self.port.bounded()
    }
}

/// A state whose shards are wrapped: they must be unwrapped to be committed.
impl<B: StateBackend> StateBackend for Faulty<B> {
    fn shards(&self, workers: usize) -> Result<Vec<Box<dyn StateShard>>, PortError> {
        let wrap = |(worker, shard)| -> Box<dyn StateShard> {
            Box::new(FaultyShard { shard: Some(shard), faults: self.faults.fork(worker) })
        };
        Ok(self.port.shards(workers)?.into_iter().enumerate().map(wrap).collect())
    }

    fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PortError> {
        self.port.meta(key)
    }

    fn meta_prefix(&self, prefix: &[u8]) -> Result<Vec<MetaEntry>, PortError> {
        self.port.meta_prefix(prefix)
    }

    fn commit(&mut self, shards: &mut [Box<dyn StateShard>], meta: &MetaBatch) -> Result<(), PortError> {
        self.faults.strike()?;
        let mut inner: Vec<Box<dyn StateShard>> =
            shards.iter_mut().map(|shard| wrapped(shard).shard.take().expect("it is lent only here")).collect();
        let result = self.port.commit(&mut inner, meta);
        shards.iter_mut().zip(inner).for_each(|(shard, inner)| wrapped(shard).shard = Some(inner));
        result
    }

    fn sample(&self, stage: StageId, limit: usize) -> Result<Vec<Vec<u8>>, PortError> {
        self.port.sample(stage, limit)
    }

    fn snapshot(&self, into: &Path) -> Result<(), PortError> {
        self.faults.strike()?;
        self.port.snapshot(into)
    }
}

fn wrapped(shard: &mut Box<dyn StateShard>) -> &mut FaultyShard {
    let shard: &mut dyn std::any::Any = &mut **shard;
    shard.downcast_mut().expect("a shard of this backend")
}

struct FaultyShard {
    shard: Option<Box<dyn StateShard>>,
    faults: Faults,
}

impl FaultyShard {
    fn inner(&mut self) -> &mut dyn StateShard {
        &mut **self.shard.as_mut().expect("it is lent only for a commit")
    }
}

impl StateShard for FaultyShard {
    fn prefetch(&mut self, keys: &[StateKey]) -> Result<(), PortError> {
        self.faults.strike()?;
        self.inner().prefetch(keys)
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<&[u8]>, PortError> {
        self.inner().get(key)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.inner().put(key, value);
    }

    fn delete(&mut self, key: &[u8]) {
        self.inner().delete(key);
    }

    fn set_timer(&mut self, stage: StageId, group: KeyGroup, timer: Timer) {
        self.inner().set_timer(stage, group, timer);
    }

    fn clear_timer(&mut self, stage: StageId, group: KeyGroup, timer: &Timer) {
        self.inner().clear_timer(stage, group, timer);
    }

    fn due(&mut self, stage: StageId, until: EventTime, limit: usize) -> Result<Vec<(KeyGroup, Timer)>, PortError> {
        self.faults.strike()?;
        self.inner().due(stage, until, limit)
    }

    fn earliest(&mut self, stage: StageId) -> Result<Option<EventTime>, PortError> {
        self.faults.strike()?;
        self.inner().earliest(stage)
    }

    fn count_due(&mut self, stage: StageId, until: EventTime, limit: usize) -> Result<usize, PortError> {
        self.faults.strike()?;
        self.inner().count_due(stage, until, limit)
    }

    fn dirty_bytes(&self) -> usize {
        self.shard.as_ref().map_or(0, |shard| shard.dirty_bytes())
    }
}

/// Lists of events that come in blocks of drawn sizes, with pauses.
pub struct LiveSource {
    names: Vec<String>,
    partitions: Vec<Vec<MemoryEvent>>,
    next: Vec<usize>,
    start: SourceStart,
    random: Random,
}

impl LiveSource {
    pub fn new(partitions: Vec<Vec<MemoryEvent>>, seed: u64) -> Self {
        let names = (0..partitions.len()).map(|place| place.to_string()).collect();
        Self { names, partitions, next: Vec::new(), start: SourceStart::default(), random: Random::new(seed) }
    }
}

impl Source for LiveSource {
    fn start(&mut self, start: SourceStart) -> Result<(), PortError> {
        let position = |name: &String| start.positions.get(name).map_or(0, |offset| offset.0 as usize);
        self.next = self.names.iter().map(position).collect();
        self.start = start;
        Ok(())
    }

    fn partitions(&self) -> &[String] {
        &self.names
    }

    fn next(&mut self, partition: Partition, _wait: Duration) -> Result<Next, PortError> {
        let place = partition.0 as usize;
        let (from, events) = (self.next[place], &self.partitions[place]);
        if self.random.one_in(3) {
            return Ok(Next::Pending);
        }
        if from >= events.len() {
            return Ok(Next::End);
        }
        let cuts = self.start.cuts.get_mut(&self.names[place]).filter(|cuts| !cuts.is_empty());
        let to = match cuts {
            Some(cuts) => cuts.remove(0).0 as usize,
            None => events.len().min(from + 1 + self.random.below(self.start.block_records as u64) as usize),
        };
        self.next[place] = to;
        let mut decoder = MemorySource::new(vec![events[from..to].to_vec()]);
        decoder.start(SourceStart { plan: self.start.plan.clone(), block_records: to, ..SourceStart::default() })?;
        let next = decoder.next(Partition(0), Duration::ZERO)?;
        let Next::Block(mut batch) = next else { return Ok(next) };
        batch.partition = partition;
        (batch.start, batch.end) = (Offset(from as u64), Offset(to as u64));
        batch.offsets = (from as u64..to as u64).map(Offset).collect();
        Ok(Next::Block(batch))
    }

    fn change_plan(&mut self, plan: Arc<ExtractionPlan>) -> Result<(), PortError> {
        self.start.plan = plan;
        Ok(())
    }

    fn bounded(&self) -> bool {
        false
    }
}

/// Images of the state, the newest three.
#[derive(Clone, Default)]
pub struct Images(pub Arc<Mutex<Vec<(Epoch, MemoryState)>>>);

/// A checkpoint store that copies `state` into `images`.
pub struct MemoryCheckpoints {
    pub state: MemoryState,
    pub images: Images,
}

impl CheckpointStore for MemoryCheckpoints {
    fn save(&mut self, epoch: Epoch, _folder: &Path) -> Result<(), PortError> {
        let mut images = self.images.0.lock().expect("no panic under this lock");
        images.push((epoch, self.state.image()));
        let old = images.len().saturating_sub(3);
        images.drain(..old);
        Ok(())
    }

    fn oldest(&self) -> Result<Option<Epoch>, PortError> {
        Ok(self.images.0.lock().expect("no panic under this lock").iter().map(|image| image.0).min())
    }
}
