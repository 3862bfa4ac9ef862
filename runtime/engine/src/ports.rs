//! What the engine needs from the world: sources, sinks, state and a checkpoint store.
//!
//! Every port has two implementations: the real one, in a crate of its own, and one in [`crate::memory`] that needs no
//! disk. The engine calls ports from its own thread only, except [`StateShard`], one of which goes to each worker.

use crate::batch::EventBatch;
use crate::ids::{Epoch, Offset, Partition, StageId};
use crate::output::Table;
use crate::plan::ExtractionPlan;
use arrow_array::RecordBatch;
use std::any::Any;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidemark_dataflow::{EventTime, KeyGroup};

/// What the caller of a port does about an error.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// May go away by itself: try again with a pause.
    #[error("{0}")]
    Retry(String),
    /// Needs a person: stop with this message, which says what to do.
    #[error("{0}")]
    Stop(String),
}

/// Where a source partition goes on: by name, since places are given out anew at each start.
pub type Positions = BTreeMap<String, Offset>;

/// How a source starts.
#[derive(Clone, Debug, Default)]
pub struct SourceStart {
    /// Where partitions go on; one without a position starts at its beginning, or where the source's settings say.
    pub positions: Positions,
    /// Ends of blocks that must be cut again exactly, per partition and ascending: the tick log of a re-run.
    pub cuts: BTreeMap<String, Vec<Offset>>,
    /// What to extract.
    pub plan: Arc<ExtractionPlan>,
    /// Most records of one block.
    pub block_records: usize,
    /// Most bytes of one block; a block holds at least one record.
    pub block_bytes: usize,
}

/// What a partition has next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and nearly always a block")]
pub enum Next {
    /// The next block, in order.
    Block(EventBatch),
    /// Nothing yet.
    Pending,
    /// The partition has ended. Stays so.
    End,
}

/// What is different about records that a person submits again: they never move the watermark, since their time has long
/// passed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Again {
    /// The metric that alone gets them: the others, the archive and the memory of ids have had them before. `None`: they
    /// never got that far, and take the way of every event.
    pub metric: Option<String>,
}

/// Events, decoded and cleansed ahead of the engine in threads of its own, through bounded queues.
///
/// For a bounded source the blocks are a function of its content and of `block_records` and `block_bytes` alone.
pub trait Source: Send {
    /// Starts reading. Called before the first [`Source::next`], and again only if it said [`PortError::Retry`].
    fn start(&mut self, start: SourceStart) -> Result<(), PortError>;

    /// Names of the partitions, by place. Known before [`Source::start`], whose block size depends on their number. May
    /// grow at the end (a followed folder gets a new file).
    fn partitions(&self) -> &[String];

    /// Where `partition`, for which [`SourceStart`] had no position, begins. Known as soon as the partition is.
    fn first_offset(&self, _partition: Partition) -> Offset {
        Offset(0)
    }

    /// The next block of `partition`; waits up to `wait` for it. A bounded source waits until it has one, whatever
    /// `wait` says.
    fn next(&mut self, partition: Partition, wait: Duration) -> Result<Next, PortError>;

    /// Gives every block from now on the columns of `plan`, those included that were decoded ahead with other columns.
    /// Blocks are cut as before. An error says which path cannot be read; then nothing has changed.
    fn change_plan(&mut self, plan: Arc<ExtractionPlan>) -> Result<(), PortError>;

    /// Whether every partition ends by itself.
    fn bounded(&self) -> bool;

    /// Whether `partition` holds records that are submitted again, and for whom. A function of the partition's name.
    fn again(&self, _partition: Partition) -> Option<Again> {
        None
    }

    /// Who writes `partition`, if several do, each of whom says how far it is: the names of what they read. The watermark
    /// waits for all of them. A function of the partition's name.
    fn written_by(&self, _partition: Partition) -> &[String] {
        &[]
    }

    /// Whether a partition that has nothing is known to have nothing. Where nobody answers, silence says nothing, and no
    /// partition is idle for it.
    fn reachable(&self) -> bool {
        true
    }

    /// Everything before these positions is committed: a source may tell those who watch it. Nothing depends on it.
    fn committed(&mut self, _positions: &Positions) {}
}

/// The events of epochs that are committed, as they were archived: for a metric that begins with the past.
pub trait History: Send {
    /// The events of `epoch` with the columns of `plan`: a block for each partition that had any, with its name. No epoch
    /// behind `committed` is asked for while it says so: a hint how far it is worth reading ahead.
    fn events(
        &mut self,
        epoch: Epoch,
        committed: Epoch,
        plan: &Arc<ExtractionPlan>,
    ) -> Result<Vec<(String, EventBatch)>, PortError>;
}

/// Where rows go.
///
/// An epoch is written with any number of [`Sink::write`]s, made durable but not visible by [`Sink::prepare`], and made
/// visible by [`Sink::finalise`] after the commit point. After a crash, [`Sink::recover`] gets the handle of the last
/// committed epoch and must make the outside show that epoch and nothing later.
pub trait Sink: Send {
    /// For logs and for the key under which the handle is kept.
    fn name(&self) -> &str;

    /// Adds rows of the running epoch.
    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError>;

    /// Where the source will go on when the epoch that is prepared next is committed: for sinks that publish it with the
    /// rows.
    fn positions(&mut self, _positions: &Positions) {}

    /// The source's watermark behind the epoch that is prepared next, in milliseconds: for sinks whose readers need it. Not called before
    /// there is one.
    fn watermark(&mut self, _watermark_ms: i64) {}

    /// Whether the source is silent behind the epoch that is prepared next, so that readers of the sink who wait for several
    /// writers need not wait for this one.
    fn idle(&mut self, _idle: bool) {}

    /// Makes the rows of `epoch` durable. The handle is what [`Sink::finalise`] needs after a restart.
    fn prepare(&mut self, epoch: Epoch) -> Result<Vec<u8>, PortError>;

    /// Makes them visible. Idempotent.
    fn finalise(&mut self, epoch: Epoch, handle: &[u8]) -> Result<(), PortError>;

    /// Finishes `committed` (whose handle is given if any epoch was committed) and removes what later epochs left.
    /// Called once, before the first write.
    fn recover(&mut self, committed: Epoch, handle: Option<&[u8]>) -> Result<(), PortError>;

    /// Whether [`Sink::recover`] found that what it had kept of the committed epoch is gone, as with a lost disk. Where
    /// the epoch is run again, it then gets its rows once more, and is asked to prepare and to finalise them.
    fn needs_rows(&self) -> bool {
        false
    }
}

/// A key in state: see [`crate::state_key`] for the layout.
pub type StateKey = Box<[u8]>;

/// An entry of the time index.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timer {
    /// When it is due.
    pub time: EventTime,
    /// What is due: the stage decides the meaning. Unique together with the time.
    pub key: StateKey,
}

/// One worker's keyed state: the key groups that it owns, read through and written back by a cache.
///
/// Changes are visible to the worker at once, durable with the next [`StateBackend::commit`], and gone if the process
/// dies before. Values and timers of different stages never meet: the stage is part of the key.
///
/// `Any`, so that a backend knows its own shards again when they come back with [`StateBackend::commit`].
pub trait StateShard: Any + Send {
    /// Brings the values of `keys` into memory with one batched read. Call before [`StateShard::get`] for many keys.
    fn prefetch(&mut self, keys: &[StateKey]) -> Result<(), PortError>;

    /// The value of `key`.
    fn get(&mut self, key: &[u8]) -> Result<Option<&[u8]>, PortError>;

    /// Sets it.
    fn put(&mut self, key: &[u8], value: &[u8]);

    /// Deletes it, if it is there.
    fn delete(&mut self, key: &[u8]);

    /// Adds a timer. Setting one twice is setting it once.
    fn set_timer(&mut self, stage: StageId, group: KeyGroup, timer: Timer);

    /// Removes a timer, if it is there.
    fn clear_timer(&mut self, stage: StageId, group: KeyGroup, timer: &Timer);

    /// Removes and returns timers of `stage` with `time ≤ until`, earliest first, ties by key, at most `limit` of
    /// them, over all key groups of the shard. Found through the index: the cost is that of what is returned. Removes
    /// nothing when it fails.
    fn due(&mut self, stage: StageId, until: EventTime, limit: usize) -> Result<Vec<(KeyGroup, Timer)>, PortError>;

    /// When the earliest timer of `stage` is due, over all key groups of the shard.
    fn earliest(&mut self, stage: StageId) -> Result<Option<EventTime>, PortError>;

    /// How many timers [`StateShard::due`] would return, without removing them.
    fn count_due(&mut self, stage: StageId, until: EventTime, limit: usize) -> Result<usize, PortError>;

    /// Bytes of changes that are not committed yet: keys, values and timers. A function of the changes, not of how
    /// they are spread over shards.
    fn dirty_bytes(&self) -> usize;
}

/// What one commit does besides the shards' changes: positions, watermarks, the tick log, sink handles.
#[derive(Clone, Debug, Default)]
pub struct MetaBatch {
    /// Keys to set.
    pub puts: Vec<MetaEntry>,
    /// Keys to delete.
    pub deletes: Vec<Vec<u8>>,
    /// Stages whose values and timers go, in every key group. They are never used again.
    pub dropped: Vec<StageId>,
}

/// A meta key and its value.
pub type MetaEntry = (Vec<u8>, Vec<u8>);

/// State of a job on this node.
pub trait StateBackend: Send {
    /// One shard per worker: worker `w` owns the key groups with [`tidemark_dataflow::KeyGroups::worker_of`]` == w`.
    fn shards(&self, workers: usize) -> Result<Vec<Box<dyn StateShard>>, PortError>;

    /// A meta value, as of the last commit.
    fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PortError>;

    /// Meta entries whose key starts with `prefix`, by key.
    fn meta_prefix(&self, prefix: &[u8]) -> Result<Vec<MetaEntry>, PortError>;

    /// The commit point: every change of every shard and `meta`, in one synced write. All of it or nothing.
    fn commit(&mut self, shards: &mut [Box<dyn StateShard>], meta: &MetaBatch) -> Result<(), PortError>;

    /// Up to `limit` committed values of `stage`, of whatever keys.
    fn sample(&self, stage: StageId, limit: usize) -> Result<Vec<Vec<u8>>, PortError>;

    /// Writes an image of the last commit into the new folder `into`, by hard links where the file system has them.
    fn snapshot(&self, into: &Path) -> Result<(), PortError>;
}

/// Committed state at one moment, for those who look at it from other threads.
pub trait CommittedState {
    /// A meta value.
    fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PortError>;

    /// The value of a key.
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PortError>;

    /// Up to `limit` entries with keys from `from` to before `until`, by key.
    fn entries(&self, from: &[u8], until: &[u8], limit: usize) -> Result<Vec<(StateKey, Vec<u8>)>, PortError>;

    /// The timers of a key group of a stage whose keys are `wanted`, earliest first, among the first `most`; and whether
    /// there are no more.
    fn timers(
        &self,
        stage: StageId,
        group: KeyGroup,
        most: usize,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(Vec<Timer>, bool), PortError>;
}

/// Where checkpoints are kept.
pub trait CheckpointStore: Send {
    /// Keeps the image in `folder` as the checkpoint of `epoch`, checksummed, and drops all but the newest few.
    fn save(&mut self, epoch: Epoch, folder: &Path) -> Result<(), PortError>;

    /// The epoch of the oldest checkpoint that is kept: what the tick log must reach back to.
    fn oldest(&self) -> Result<Option<Epoch>, PortError> {
        Ok(None)
    }
}

/// Where the tick log is kept: beside the checkpoints, away from the state's disk if that can be lost.
///
/// A record is written after every sink has prepared its epoch and before the state commits it. If the state is lost,
/// the log decides which epochs were; if it is there, later records are of an epoch that never was.
pub trait TickLog: Send {
    /// Adds the record of `epoch`, durably.
    fn append(&mut self, epoch: Epoch, record: &[u8]) -> Result<(), PortError>;

    /// The records of all epochs after `epoch`, in order and without a gap.
    fn read_after(&mut self, epoch: Epoch) -> Result<Vec<(Epoch, Vec<u8>)>, PortError>;

    /// Drops the records of epochs after `epoch`.
    fn truncate_after(&mut self, epoch: Epoch) -> Result<(), PortError>;

    /// May drop records of `epoch` and before.
    fn forget_before(&mut self, epoch: Epoch) -> Result<(), PortError>;
}
