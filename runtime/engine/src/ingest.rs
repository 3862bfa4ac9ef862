//! Ticks from a source: which blocks make the next tick.
//!
//! A bounded source gives ticks by rows alone: partitions are asked in rotation, one block each, until the tick is
//! full. A live source also closes a tick when its interval is over; the clock is read nowhere else, and what it decided
//! is in the tick log. A re-run makes the ticks that the log says.

use crate::batch::{Carried, EventBatch};
use crate::engine::retry::{Patience, retry};
use crate::error::EngineError;
use crate::ids::{Offset, Partition};
use crate::plan::ExtractionPlan;
use crate::ports::{Again, Next, PortError, Positions, Source, SourceStart};
use crate::progress::PartitionState;
use crate::tick_log::{EpochRecord, TickRecord};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bounds of one tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TickLimits {
    /// Most records; a tick ends with the block that reaches it. At least 1.
    pub records: usize,
    /// Most bytes of one block.
    pub block_bytes: usize,
    /// How long a live source's tick stays open.
    pub interval: Duration,
    /// Silence after which a live partition no longer holds the watermark back; `None`: it always does.
    pub idle_after: Option<Duration>,
}

impl Default for TickLimits {
    fn default() -> Self {
        Self {
            records: 16_384,
            block_bytes: 8 << 20,
            interval: Duration::from_millis(20),
            idle_after: Some(Duration::from_secs(60)),
        }
    }
}

/// What makes one tick.
#[derive(Default)]
pub(crate) struct TickInput {
    pub(crate) record: TickRecord,
    pub(crate) batches: Vec<EventBatch>,
}

struct Lane {
    name: String,
    /// Its place in the source, once the source has it.
    place: Option<Partition>,
    /// Where reading began when the job met it.
    first: Offset,
    position: Offset,
    ended: bool,
    idle: bool,
    /// Whether its records are submitted again.
    again: Option<Again>,
    /// When it had nothing for the first time since its last block.
    silent_since: Option<Instant>,
}

impl Lane {
    /// Of a partition that is read from `position` on.
    fn new(name: &str, position: Offset) -> Self {
        let (name, first) = (name.to_owned(), position);
        Self { name, place: None, first, position, ended: false, idle: false, again: None, silent_since: None }
    }

    /// It was asked and had nothing. Whether it has just become idle: only an answer counts, since a partition that
    /// nobody asked, because others filled the ticks or the engine had to wait for a sink, may well have events.
    fn falls_idle(&mut self, idle_after: Option<Duration>) -> bool {
        let silence = self.silent_since.get_or_insert_with(Instant::now).elapsed();
        let falls = !self.idle && idle_after.is_some_and(|limit| silence >= limit);
        self.idle |= falls;
        falls
    }
}

/// The source, seen as a sequence of ticks.
pub(crate) struct Ingest {
    source: Box<dyn Source>,
    limits: TickLimits,
    lanes: Vec<Lane>,
    next: usize,
    replay: VecDeque<TickRecord>,
    pub(crate) patience: Patience,
}

impl Ingest {
    /// Starts the source where `partitions` left off; `replay` is run again first.
    pub(crate) fn start(
        mut source: Box<dyn Source>,
        limits: TickLimits,
        plan: Arc<ExtractionPlan>,
        partitions: &[PartitionState],
        next: usize,
        replay: &[EpochRecord],
        patience: Patience,
    ) -> Result<Self, EngineError> {
        let mut cuts: BTreeMap<String, Vec<Offset>> = BTreeMap::new();
        for record in replay {
            for (place, end) in record.ticks.iter().flat_map(|tick| &tick.blocks) {
                cuts.entry(record.partitions[*place as usize].0.clone()).or_default().push(*end);
            }
        }
        let mut positions: Positions =
            partitions.iter().map(|partition| (partition.name.clone(), partition.position)).collect();
        // Partitions that were met since the state was saved begin where they began then.
        let met = || replay.iter().flat_map(|record| &record.partitions);
        for (name, first) in met() {
            positions.entry(name.clone()).or_insert(*first);
        }
        let expected = partitions.len().max(source.partitions().len()).max(1);
        let start = SourceStart {
            positions,
            cuts,
            plan,
            block_records: limits.records.div_ceil(expected),
            block_bytes: limits.block_bytes,
        };
        retry(patience, || source.start(start.clone()))?;
        let known = partitions.iter().map(|partition| Lane {
            ended: partition.activity == "ended",
            idle: partition.activity == "idle",
            ..Lane::new(&partition.name, partition.position)
        });
        let mut lanes: Vec<Lane> = known.collect();
        // They keep the places that they were given then, too.
        for (name, first) in met() {
            if !lanes.iter().any(|lane| lane.name == *name) {
                lanes.push(Lane::new(name, *first));
            }
        }
        let replay = replay.iter().flat_map(|record| record.ticks.iter().cloned()).collect();
        let mut ingest = Self { source, limits, lanes, next, replay, patience };
        ingest.meet_partitions();
        for lane in &ingest.lanes {
            if lane.place.is_none() && !lane.ended {
                return Err(EngineError::Job(format!(
                    "the source no longer has partition {}, of which everything up to {} was read: bring it back, or \
                     start with an empty data folder",
                    lane.name, lane.position
                )));
            }
        }
        Ok(ingest)
    }

    /// Gives new partitions of the source the next places.
    fn meet_partitions(&mut self) {
        for (place, name) in self.source.partitions().iter().enumerate() {
            let partition = Partition(place as u32);
            let index = self.lanes.iter().position(|lane| lane.name == *name).unwrap_or_else(|| {
                self.lanes.push(Lane::new(name, self.source.first_offset(partition)));
                self.lanes.len() - 1
            });
            let lane = &mut self.lanes[index];
            if lane.place.is_none() {
                lane.again = self.source.again(partition);
            }
            lane.place = Some(partition);
        }
    }

    /// Names of all partitions, by place.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.lanes.iter().map(|lane| lane.name.as_str())
    }

    /// Which partitions have records that are submitted again, and for whom, by place.
    pub(crate) fn again(&self) -> impl Iterator<Item = Option<&Again>> {
        self.lanes.iter().map(|lane| lane.again.as_ref())
    }

    /// Places of the partitions that several write, and who they are.
    pub(crate) fn written_by(&self) -> impl Iterator<Item = (usize, &[String])> {
        let lanes = self.lanes.iter().enumerate();
        let families = lanes.filter_map(|(index, lane)| Some((index, self.source.written_by(lane.place?))));
        families.filter(|(_, families)| !families.is_empty())
    }

    /// Where reading of each partition goes on, by place.
    pub(crate) fn positions(&self) -> impl Iterator<Item = Offset> {
        self.lanes.iter().map(|lane| lane.position)
    }

    /// Names of all partitions and where reading of each began, by place.
    pub(crate) fn met(&self) -> Vec<(String, Offset)> {
        self.lanes.iter().map(|lane| (lane.name.clone(), lane.first)).collect()
    }

    /// Tells the source how far everything is committed.
    pub(crate) fn committed(&mut self) {
        let positions = self.committing();
        self.source.committed(&positions);
    }

    /// Where every partition will go on when everything that was taken is committed.
    pub(crate) fn committing(&self) -> Positions {
        self.lanes.iter().map(|lane| (lane.name.clone(), lane.position)).collect()
    }

    /// Gives every block from now on the columns of `plan`.
    pub(crate) fn change_plan(&mut self, plan: Arc<ExtractionPlan>) -> Result<(), PortError> {
        self.source.change_plan(plan)
    }

    /// Which partition is asked first for the next tick.
    pub(crate) fn next_partition(&self) -> usize {
        self.next
    }

    pub(crate) fn bounded(&self) -> bool {
        self.source.bounded()
    }

    /// Whether every partition has ended, and nothing is left to be run again.
    pub(crate) fn ended(&self) -> bool {
        let none_to_come = self.source.bounded() || !self.lanes.is_empty();
        self.replay.is_empty() && none_to_come && self.lanes.iter().all(|lane| lane.ended)
    }

    /// The next tick; `None` if a live source has nothing to say.
    pub(crate) fn tick(&mut self) -> Result<Option<TickInput>, EngineError> {
        if let Some(record) = self.replay.pop_front() {
            return self.tick_again(record).map(Some);
        }
        self.meet_partitions();
        let mut tick = TickInput::default();
        let deadline = Instant::now() + self.limits.interval;
        let mut records = 0;
        loop {
            records += self.round(&mut tick, self.limits.records - records, deadline)?;
            let full = records >= self.limits.records;
            if full || self.source.bounded() || Instant::now() >= deadline || self.ended() {
                break;
            }
        }
        let empty = tick.record == TickRecord::default();
        if empty && !self.source.bounded() && self.lanes.iter().all(|lane| lane.ended || lane.place.is_none()) {
            // No partition to wait for yet.
            std::thread::sleep(self.limits.interval);
        }
        Ok((!empty).then_some(tick))
    }

    /// Asks each partition for one block, in rotation, until `room` records are there. Returns how many came.
    fn round(&mut self, tick: &mut TickInput, room: usize, deadline: Instant) -> Result<usize, EngineError> {
        let (count, first) = (self.lanes.len(), self.next);
        let idle_after = self.limits.idle_after.filter(|_| !self.source.bounded());
        let mut records = 0;
        for step in 0..count {
            let index = (first + step) % count;
            let wait = deadline.saturating_duration_since(Instant::now()) / count as u32;
            let lane = &mut self.lanes[index];
            let Some(place) = lane.place.filter(|_| !lane.ended) else { continue };
            match retry(self.patience, || self.source.next(place, wait))? {
                Next::Block(batch) => {
                    records += batch.records;
                    self.next = (index + 1) % count;
                    self.take(tick, index, batch);
                    if records >= room {
                        break;
                    }
                }
                Next::Pending => {
                    if !self.source.reachable() {
                        // Nobody knows whether it has something.
                        lane.silent_since = None;
                    } else if lane.falls_idle(idle_after) {
                        tick.record.idle.push(index as u32);
                    }
                }
                Next::End => {
                    lane.ended = true;
                    tick.record.ended.push(index as u32);
                }
            }
        }
        Ok(records)
    }

    fn take(&mut self, tick: &mut TickInput, index: usize, mut batch: EventBatch) {
        let lane = &mut self.lanes[index];
        lane.position = batch.end;
        // A block with neither only moves the position: past what a source keeps for itself.
        if batch.records > 0 || batch.watermark.is_news() {
            (lane.idle, lane.silent_since) = (false, None);
            // Found idle and heard of in one tick: it is not idle.
            tick.record.idle.retain(|idle| *idle != index as u32);
        }
        batch.partition = Partition(index as u32);
        for letter in &mut batch.dead {
            if let Some((partition, _)) = &mut letter.position {
                *partition = batch.partition;
            }
        }
        if let Carried::At(watermark_ms) = batch.watermark {
            tick.record.carried.push((tick.record.blocks.len() as u32, watermark_ms));
        }
        tick.record.blocks.push((index as u32, batch.end));
        tick.batches.push(batch);
    }

    /// Makes the tick that `record` tells of.
    fn tick_again(&mut self, record: TickRecord) -> Result<TickInput, EngineError> {
        let mut tick = TickInput::default();
        for (index, end) in &record.blocks {
            self.meet_partitions();
            let index = *index as usize;
            let gone = || PortError::Stop(format!("a partition that the tick log names is gone: place {index}"));
            let lane = self.lanes.get(index).ok_or_else(gone)?;
            let place = lane.place.ok_or_else(gone)?;
            let name = lane.name.clone();
            let batch = loop {
                match retry(self.patience, || self.source.next(place, Duration::from_secs(1)))? {
                    Next::Block(batch) => break batch,
                    Next::Pending => {}
                    Next::End => {
                        return Err(PortError::Stop(format!(
                            "partition {name} ends before {end}, up to which it was read before: its content has \
                             changed; bring the old content back, or start with an empty data folder"
                        ))
                        .into());
                    }
                }
            };
            if batch.end != *end {
                return Err(PortError::Stop(format!(
                    "partition {name} gives a block up to {} where it gave one up to {end} before: its content has \
                     changed; bring the old content back, or start with an empty data folder",
                    batch.end
                ))
                .into());
            }
            self.next = (index + 1) % self.lanes.len();
            self.take(&mut tick, index, batch);
        }
        record.ended.iter().for_each(|index| self.lanes[*index as usize].ended = true);
        record.idle.iter().for_each(|index| self.lanes[*index as usize].idle = true);
        tick.record = record;
        Ok(tick)
    }
}
