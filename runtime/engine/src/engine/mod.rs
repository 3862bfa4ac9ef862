//! The engine: takes ticks from the source through dedup, enrichment and the stages, and commits epochs.
//!
//! Results are a function of the input and the tick log alone. What the clock decides (when a live tick or epoch closes,
//! which partition is idle) is decided in [`crate::ingest`] and here in [`Engine::epoch_is_due`], and written down.

use crate::dead_letter::DeadLetter;
use crate::dedup::{Dedup, DedupSettings};
use crate::deployment::{Catalogue, Change};
use crate::enrichment::{Enrichment, TableSnapshot, TableSpec};
use crate::error::EngineError;
use crate::fail_point::{self, Hook};
use crate::ids::{Epoch, StageId};
use crate::ingest::{Ingest, TickInput, TickLimits};
use crate::job::Job;
use crate::metric::MetricSpec;
use crate::output::Table;
use crate::plan::ExtractionPlan;
use crate::ports::{CheckpointStore, History, PortError, Sink, Source, StateBackend, StateShard, TickLog};
use crate::progress::Progress;
use crate::stage::Worker;
use crate::telemetry::Telemetry;
use crate::tick_log::{EpochRecord, TickRecord};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemark_dataflow::watermark::Watermarks;
use tidemark_dataflow::{EventTime, KeyGroups};

mod again;
mod ahead;
mod catch_up;
mod change;
mod commit;
mod level;
mod outputs;
pub(crate) mod retry;
mod threads;
mod tick;

use change::{Compiled, Terms, held_poison};
use outputs::Outputs;
use retry::{Patience, retry};
use threads::Threads;

/// How an engine runs. Changing `key_groups` needs a new job; everything else may differ from run to run.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Shards of the key space.
    pub key_groups: KeyGroups,
    /// Threads that stages run on. Results do not depend on it.
    pub workers: usize,
    /// Bounds of a tick.
    pub tick: TickLimits,
    /// Records after which an epoch of a bounded source closes.
    pub epoch_records: usize,
    /// Time after which an epoch of a live source closes.
    pub epoch_interval: Duration,
    /// Uncommitted state that closes an epoch early, in bytes.
    pub epoch_dirty_bytes: usize,
    /// How far behind the newest event of its partition an event may come, in ms.
    pub watermark_bound_ms: i64,
    /// Deduplication; `None`: off.
    pub dedup: Option<DedupSettings>,
    /// Whether cleansed events are archived.
    pub archive: bool,
    /// Whether rows of metrics that run elsewhere come from the source, as events of type `metric.<name>`.
    pub rows_from_elsewhere: bool,
    /// Epochs between checkpoints; 0: none.
    pub checkpoint_every: u64,
    /// Whether other processes may believe to run the job, too. Then a checkpoint is kept only of an epoch that this one
    /// has decided: nobody else keeps one of that.
    pub shared: bool,
    /// Where the image for a checkpoint is made, on the file system of the state.
    pub snapshot_folder: PathBuf,
    /// How long a port that may recover is tried again.
    pub patience: Patience,
}

/// Everything that an engine is made of.
pub struct EngineParts {
    /// How it runs.
    pub settings: EngineSettings,
    /// What it computes from now on, besides what was deployed while it ran. A difference from last time is a change.
    pub metrics: Vec<MetricSpec>,
    /// Knows every metric that the job has run.
    pub catalogue: Arc<dyn Catalogue>,
    /// Where events come from.
    pub source: Box<dyn Source>,
    /// Where rows go.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Where state is kept.
    pub state: Box<dyn StateBackend>,
    /// Where checkpoints are kept; `None`: none are taken.
    pub checkpoints: Option<Box<dyn CheckpointStore>>,
    /// Where the tick log is kept; `None` where losing the state's disk may cost the job.
    pub tick_log: Option<Box<dyn TickLog>>,
    /// The events of the past; `None` where they are not kept.
    pub history: Option<Box<dyn History>>,
    /// Lookup tables.
    pub tables: Vec<TableSpec>,
    /// Their contents from files.
    pub table_files: Vec<TableSnapshot>,
    /// Whether the state is an old one, from a checkpoint: then the tick log says what to run again.
    pub restored: bool,
    /// Whether epochs that are run again are written, too: for whoever compares them with what was written before.
    pub rewrite: bool,
    /// Our own counters.
    pub telemetry: Arc<Telemetry>,
    /// Told of every fail point.
    pub hook: Hook,
}

/// What one step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A tick, or a change of the metrics that is made again.
    Ticked,
    /// Nothing: a live source is silent.
    Idle,
    /// Nothing: a bounded source has ended, everything is emitted and committed.
    Finished,
}

/// The engine. Drive it with [`Engine::step`], end it with [`Engine::close`].
pub struct Engine {
    settings: EngineSettings,
    plan: Arc<ExtractionPlan>,
    job: Job,
    ingest: Ingest,
    outputs: Outputs,
    state: Box<dyn StateBackend>,
    /// State of each worker.
    shards: Vec<Box<dyn StateShard>>,
    workers: Vec<Worker>,
    threads: Threads,
    checkpoints: Option<Box<dyn CheckpointStore>>,
    tick_log: Option<Box<dyn TickLog>>,
    history: Option<Box<dyn History>>,
    catalogue: Arc<dyn Catalogue>,
    /// What the job is to be brought to when nothing is left to be run again.
    wanted: Option<Vec<MetricSpec>>,
    dedup: Option<Dedup>,
    enrichment: Enrichment,
    watermarks: Watermarks,
    progress: Progress,
    poison: Vec<u32>,
    /// The epoch of the last checkpoint of this run; 0 before it.
    checkpointed: Epoch,
    /// Whether the tick log has taken an epoch from this run.
    has_decided: bool,
    epoch: OpenEpoch,
    /// Epochs that are run again, with their sinks' handles; rows don't leave.
    replay: std::collections::VecDeque<EpochRecord>,
    events: Arc<Table>,
    dead_letters: Arc<Table>,
    telemetry: Arc<Telemetry>,
    hook: Hook,
    patience: Patience,
}

/// The epoch that is not committed yet.
struct OpenEpoch {
    number: Epoch,
    records: usize,
    /// What changed before its first tick.
    changes: Vec<Change>,
    /// Stages whose state goes with it.
    dropped: Vec<StageId>,
    /// How far the past was read before its first tick.
    caught_up: Vec<(StageId, Epoch)>,
    /// Whether there is no more of the past to be read in it.
    past_is_read: bool,
    /// How long reading it took.
    past_took: Duration,
    ticks: Vec<TickRecord>,
    opened: Instant,
}

impl OpenEpoch {
    fn new(number: Epoch) -> Self {
        let (changes, dropped, caught_up, ticks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (opened, past_took) = (Instant::now(), Duration::ZERO);
        Self { number, records: 0, changes, dropped, caught_up, past_is_read: false, past_took, ticks, opened }
    }
}

impl Engine {
    /// Opens the job where it was committed, or anew. Finishes what a crash interrupted.
    pub fn open(parts: EngineParts) -> Result<Self, EngineError> {
        let EngineParts {
            settings, metrics, catalogue, source, sinks, state, tables, table_files, mut tick_log, ..
        } = parts;
        let patience = settings.patience;
        let found = Progress::load(&*state)?;
        let key_groups = settings.key_groups.count();
        let progress = found.unwrap_or_else(|| Progress::new(key_groups));
        if progress.key_groups != key_groups {
            return Err(EngineError::Job(format!(
                "the job was made with {} key groups, the configuration says {key_groups}: they can't change; put the \
                 old number back, or start with an empty data folder",
                progress.key_groups
            )));
        }
        let enrichment = Enrichment::open(tables, table_files, &*state)?;
        let replay = match &mut tick_log {
            None => Vec::new(),
            Some(log) => decided_since(&mut **log, progress.epoch, parts.restored, patience)?,
        };
        // What is run again is run with the metrics of then.
        let mut wanted = Some(metrics).filter(|_| !progress.finished);
        let at_once = if replay.is_empty() { wanted.take() } else { None };
        let terms = Terms {
            enrichment: &enrichment,
            archive: settings.archive,
            rows_from_elsewhere: settings.rows_from_elsewhere,
            telemetry: &parts.telemetry,
        };
        let (compiled, changes) =
            change::open(progress, at_once.as_deref(), &*catalogue, &*state, &terms, parts.history.is_some())?;
        let Compiled { progress, job, plan, dropped } = compiled;
        let outputs = Outputs::recover(sinks, &*state, &progress, &replay, patience, parts.rewrite)?;
        let ingest = Ingest::start(
            source,
            settings.tick,
            plan.clone(),
            &progress.partitions,
            progress.next_partition,
            &replay,
            patience,
        )?;
        let dedup = settings.dedup.map(|dedup| Dedup::open(dedup, &*state)).transpose()?;
        let shards = state.shards(settings.workers)?;
        let mut workers = Vec::with_capacity(shards.len());
        for _ in &shards {
            let guests = job.stages.iter().map(|stage| stage.spec.guest.instantiate());
            workers.push(Worker { guests: guests.collect::<Result<_, _>>()? });
        }
        let telemetry = parts.telemetry;
        telemetry.epoch.set(progress.epoch.0 as i64);
        let mut engine = Self {
            watermarks: progress.watermarks(settings.watermark_bound_ms),
            poison: held_poison(&job, &progress),
            checkpointed: Epoch(0),
            has_decided: false,
            epoch: OpenEpoch { changes, dropped, ..OpenEpoch::new(Epoch(progress.epoch.0 + 1)) },
            replay: replay.into(),
            events: Table::events(),
            dead_letters: Table::dead_letters(),
            checkpoints: parts.checkpoints,
            hook: parts.hook,
            threads: Threads::start(settings.workers)?,
            settings,
            plan,
            job,
            ingest,
            outputs,
            state,
            shards,
            workers,
            tick_log,
            history: parts.history,
            catalogue,
            wanted,
            dedup,
            enrichment,
            progress,
            telemetry,
            patience,
        };
        engine.begin_epoch()?;
        Ok(engine)
    }

    /// Pauses this long before a port is tried for the second time, instead of 50 ms.
    #[must_use]
    pub fn with_retry_pause(mut self, pause: Duration) -> Self {
        self.patience.first_pause = pause;
        self.outputs.patience = self.patience;
        self.ingest.patience = self.patience;
        self
    }

    /// What is committed.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether the source ends by itself.
    #[must_use]
    pub fn bounded(&self) -> bool {
        self.ingest.bounded()
    }

    /// Names of the source's partitions, those included that nothing was read of yet.
    pub fn partitions(&self) -> impl Iterator<Item = &str> {
        self.ingest.names()
    }

    /// Writes an image of what is committed into the new folder `into`. What is open is not in it.
    pub fn image(&self, into: &Path) -> Result<(), PortError> {
        self.state.snapshot(into)
    }

    /// Whether epochs are left that are run again.
    #[must_use]
    pub fn is_rerunning(&self) -> bool {
        !self.replay.is_empty()
    }

    /// Whether the last step committed an epoch, so that nothing is open.
    #[must_use]
    pub fn at_epoch_boundary(&self) -> bool {
        self.epoch.is_empty()
    }

    /// Does one tick, and commits the epoch if it is due.
    pub fn step(&mut self) -> Result<Step, EngineError> {
        if self.progress.finished {
            return Ok(Step::Finished);
        }
        self.read_past()?;
        let without_ticks = match self.replay.front() {
            // A change and nothing else, or the past.
            Some(record) => record.ticks.is_empty(),
            // What comes has ended, and the past has not.
            None => self.ingest.ended() && self.reads_past(),
        };
        if without_ticks {
            self.commit()?;
            return Ok(Step::Ticked);
        }
        // Behind its end a source has no more ticks: those that drain the job are empty.
        let tick = if self.ingest.ended() { Some(TickInput::default()) } else { self.ingest.tick()? };
        let Some(tick) = tick else {
            if !self.at_epoch_boundary() && self.epoch_is_due() {
                self.commit()?;
            }
            return Ok(Step::Idle);
        };
        self.run_tick(tick)?;
        (self.hook)(fail_point::TICK_DONE);
        let at_the_end = self.watermarks.current() == EventTime::MAX || self.ingest.names().next().is_none();
        self.progress.finished = at_the_end && self.ingest.ended();
        if self.progress.finished || self.epoch_is_due() {
            self.commit()?;
        }
        Ok(Step::Ticked)
    }

    /// Commits what is open. A bounded source should be stepped to the end of its epoch instead, so that its epochs do
    /// not depend on when it was stopped. An epoch that is being run again is left as it was: it is whole or not at all.
    pub fn close(mut self) -> Result<Progress, EngineError> {
        if !self.at_epoch_boundary() && self.replay.is_empty() {
            self.commit()?;
        }
        Ok(self.progress)
    }

    /// The same for whoever goes on elsewhere: behind it the newest checkpoint is of the last epoch, so that nothing is run
    /// again. An epoch that is being run again is not waited for.
    pub fn hand_over(mut self) -> Result<Progress, EngineError> {
        if !self.replay.is_empty() {
            return Ok(self.progress);
        }
        // What this run has not decided may be somebody else's to keep by now; an epoch of its own, if only an empty one,
        // says that it is not.
        if !self.at_epoch_boundary() || self.settings.shared && !self.has_decided {
            self.commit()?;
        }
        let number = self.progress.epoch;
        if number > self.checkpointed {
            self.checkpoint_now(number)?;
        }
        Ok(self.progress)
    }

    /// Makes the changes with which the epoch begins: those that the log tells of or, when nothing is left to be run again,
    /// those that the job is started with.
    fn begin_epoch(&mut self) -> Result<(), EngineError> {
        match self.replay.front() {
            Some(record) => {
                let changes = record.changes.clone();
                if changes.is_empty() { Ok(()) } else { self.change_again(&changes) }
            }
            None => match self.wanted.take() {
                Some(metrics) => self.start_with(&metrics),
                None => Ok(()),
            },
        }
    }

    fn epoch_is_due(&self) -> bool {
        if let Some(record) = self.replay.front() {
            return self.epoch.ticks.len() >= record.ticks.len();
        }
        let dirty: usize = self.shards.iter().map(|shard| shard.dirty_bytes()).sum();
        self.telemetry.dirty_bytes.set(dirty as i64);
        if dirty >= self.settings.epoch_dirty_bytes {
            return true;
        }
        if self.ingest.bounded() {
            self.epoch.records >= self.settings.epoch_records
        } else {
            let length = catch_up::length_of_epoch(self.settings.epoch_interval, self.epoch.past_took);
            self.epoch.opened.elapsed() >= length
        }
    }
}

/// The epochs after `committed` that the tick log says were decided: to be run again if the state is an old one.
/// Otherwise there is at most one, which the process died before committing, and it is dropped.
fn decided_since(
    log: &mut dyn TickLog,
    committed: Epoch,
    restored: bool,
    patience: Patience,
) -> Result<Vec<EpochRecord>, EngineError> {
    let records = retry(patience, || log.read_after(committed))?;
    if let Some((epoch, _)) = (committed.0 + 1..).zip(&records).find(|(next, (epoch, _))| epoch.0 != *next) {
        return Err(EngineError::Job(format!(
            "the tick log has no record of epoch {epoch}, which the state, of epoch {committed}, needs next: restore a \
             newer checkpoint"
        )));
    }
    if restored {
        return Ok(records
            .iter()
            .map(|(epoch, record)| EpochRecord::decode(*epoch, record))
            .collect::<Result<_, _>>()?);
    }
    if let [_, .., (last, _)] = records.as_slice() {
        return Err(EngineError::Job(format!(
            "the state is of epoch {committed}, but epochs up to {last} were decided: it is not the state of this job's \
             last run; restore the newest checkpoint, or start with an empty data folder"
        )));
    }
    retry(patience, || log.truncate_after(committed))?;
    Ok(Vec::new())
}
