//! Stages: one per metric. A stage takes the rows of a tick to their groups, calls the module, keeps states and timers,
//! and closes what the watermark has passed.
//!
//! Everything here runs on a worker, which owns the key groups whose rows it sees. Nothing depends on which worker that
//! is: groups never meet, and emitted rows are put in canonical order afterwards ([`emission`]).
//!
//! | window | file | kept in state |
//! | --- | --- | --- |
//! | tumbling, sliding | [`aligned`] | one accumulator per (key, window) |
//! | session | [`session`] | open sessions per key, one accumulator each |
//! | key | [`keyed`] | one accumulator per key |
//! | interval join | [`join`] | waiting rows per key |

pub(crate) mod route;
pub(crate) mod gather;
pub(crate) mod groups;
pub(crate) mod call;
pub(crate) mod aligned;
pub(crate) mod session;
pub(crate) mod keyed;
pub(crate) mod join;
pub(crate) mod row_codec;
pub(crate) mod emission;

use crate::batch::EventBatch;
use crate::dead_letter::DeadLetter;
use crate::descriptor::{Side as ColumnSide, WindowSpec};
use crate::engine::retry::{Patience, retry};
use crate::error::EngineError;
use crate::guest::Guest;
use crate::ids::StageId;
use crate::metric::{METRIC_TYPE, MetricSpec};
use crate::output::Table;
use crate::plan::{ExtractionPlan, SlotIndex};
use crate::ports::{StateKey, StateShard, Timer};
use crate::progress::StageRecord;
use crate::telemetry::StageTelemetry;
use arrow_array::ArrayRef;
use emission::{Emission, StageRows};
use route::{Consumer, RoutedRow};
use std::sync::{Arc, OnceLock};
use tidemark_dataflow::{EventTime, KeyGroup, KeyGroups};

/// A metric, compiled against the job's extraction plan.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Its place in topological order.
    pub(crate) index: usize,
    /// Its name in state keys.
    pub(crate) id: StageId,
    /// Its module's index in the job's registry.
    pub(crate) module: u16,
    pub(crate) spec: MetricSpec,
    /// Windows that start earlier are not its.
    pub(crate) from: i64,
    /// Nor are those that start then or later, if another version has taken over.
    pub(crate) until: Option<i64>,
    /// Whether it still reads the past, and takes nothing of what comes.
    pub(crate) reads_past: bool,
    /// Stages of older versions of the metric.
    pub(crate) elders: Vec<StageId>,
    /// What comes earlier is an elder's to tell of, as long as there is one.
    pub(crate) answers_from: i64,
    /// Who reads rows: one consumer, or left and right for a join.
    pub(crate) consumers: Vec<Consumer>,
    /// Where each input column comes from.
    pub(crate) slots: Vec<SlotIndex>,
    pub(crate) table: Arc<Table>,
    /// Stages whose rows it reads.
    pub(crate) upstream: Vec<usize>,
    /// Whether it reads events of the source.
    pub(crate) reads_source: bool,
    /// Columns that are the same in all its rows, made when it has some: a change compiles every stage.
    provenance: OnceLock<[ArrayRef; 4]>,
    pub(crate) telemetry: Arc<StageTelemetry>,
}

impl Stage {
    /// Compiles `spec`, adding its slots and interests to `plan`.
    pub(crate) fn compile(
        index: usize,
        module: u16,
        (record, spec): (StageRecord, MetricSpec),
        plan: &mut ExtractionPlan,
        telemetry: Arc<StageTelemetry>,
    ) -> Self {
        let filters = match &spec.window {
            WindowSpec::IntervalJoin { left, right, .. } => vec![Some(left), Some(right)],
            _ => vec![None],
        };
        let consumers: Vec<Consumer> = filters.into_iter().map(|side| Consumer::compile(&spec, side, plan)).collect();
        let slots = spec.inputs.iter().map(|input| plan.slot(&input.path, input.kind)).collect();
        let table = Table::metric(&spec.name, &spec.output);
        let reads_source = consumers.iter().any(|consumer| {
            consumer.types.as_ref().is_none_or(|types| types.iter().any(|name| !name.starts_with(METRIC_TYPE)))
        });
        let StageRecord { id, from, until, past, .. } = record;
        Self {
            index,
            id,
            module,
            spec,
            from,
            until,
            reads_past: past.is_some(),
            elders: Vec::new(),
            answers_from: from,
            consumers,
            slots,
            table,
            upstream: Vec::new(),
            reads_source,
            provenance: OnceLock::new(),
            telemetry,
        }
    }

    /// Whether a window that starts then is this version's.
    pub(crate) fn owns(&self, start: EventTime) -> bool {
        start.0 >= self.from && self.until.is_none_or(|until| start.0 < until)
    }

    /// Whether a row of this time that comes now can count for this version, or be told to be late by it. Sessions that an
    /// older version has open are left out: whose key they are is not known before the state is asked.
    pub(crate) fn has_place_for(&self, time: EventTime) -> bool {
        if !self.takes_part(false) {
            return false;
        }
        match (&self.spec.window, self.spec.aligned()) {
            (_, Some(windows)) => windows.assign(time).any(|window| self.owns(window.start)),
            (WindowSpec::Session { .. }, None) => !self.is_retired() && time.0 >= self.from,
            (_, None) => true,
        }
    }

    /// Whether this version tells of a row that no version can count: the one that has its last window, or the oldest one,
    /// if those that had it are gone.
    pub(crate) fn answers_for(&self, time: EventTime) -> bool {
        let windows = self.spec.aligned();
        let start = windows.and_then(|windows| windows.assign(time).next()).map_or(time, |last| last.start);
        match start.0 < self.answers_from {
            true => self.elders.is_empty(),
            false => self.until.is_none_or(|until| start.0 < until),
        }
    }

    /// Whether another version has taken over.
    pub(crate) fn is_retired(&self) -> bool {
        self.until.is_some()
    }

    /// Whether it takes no rows, and its timers wait.
    pub(crate) fn is_paused(&self) -> bool {
        self.spec.deployment.paused && !self.is_retired()
    }

    /// Whether it takes part in a tick: of what comes, or of the past.
    pub(crate) fn takes_part(&self, in_past: bool) -> bool {
        !self.is_paused() && self.reads_past == in_past
    }

    /// Columns that are the same in all its rows.
    pub(crate) fn provenance(&self) -> &[ArrayRef; 4] {
        self.provenance.get_or_init(|| emission::provenance(&self.spec))
    }

    /// Input columns of one side of a join.
    pub(crate) fn side_columns(&self, side: ColumnSide) -> impl Iterator<Item = usize> + '_ {
        let inputs = self.spec.inputs.iter().enumerate();
        inputs.filter(move |(_, input)| input.side == Some(side)).map(|(index, _)| index)
    }
}

/// What a stage sees of a tick.
#[derive(Clone, Copy)]
pub(crate) struct StageInput<'a> {
    pub(crate) stage: &'a Stage,
    /// Blocks of the source and rows of upstream stages.
    pub(crate) batches: &'a [EventBatch],
    /// The stage's watermark before the tick: what decides lateness.
    pub(crate) watermark: EventTime,
    /// Its watermark after the tick's rows: what closes windows.
    pub(crate) next_watermark: EventTime,
    pub(crate) key_groups: KeyGroups,
    /// Whether it is the past that is read.
    pub(crate) in_past: bool,
    /// Whether the module is out of budget and must not be called. Its rows are put aside, and its windows and timers
    /// wait; at the end of the input they are put aside, too.
    pub(crate) quarantined: bool,
    /// How long the state is asked again where it may recover.
    pub(crate) patience: Patience,
}

/// What a worker makes of a tick for one stage.
#[derive(Default)]
pub(crate) struct StageOutput {
    pub(crate) emission: Emission,
    pub(crate) dead: Vec<DeadLetter>,
    /// Groups that failed.
    pub(crate) poison: u32,
    /// Timers that were due.
    pub(crate) timers: usize,
}

/// The same, put in order.
pub(crate) struct WorkerRows {
    pub(crate) rows: StageRows,
    pub(crate) dead: Vec<DeadLetter>,
    pub(crate) poison: u32,
    pub(crate) timers: usize,
}

/// Due timers are taken this many at a time, to bound what one call sees.
const DUE_BATCH: usize = 16_384;

/// What a timer means: the last byte of its key, behind the state key that it is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum TimerKind {
    /// The window's end: fire.
    Fire = 1,
    /// The end of the allowed lateness: forget the window.
    Cleanup = 2,
    /// Set by the metric.
    User = 3,
    /// The time to live may be over.
    Expiry = 4,
    /// Something in a join buffer is due.
    Join = 5,
}

impl TimerKind {
    /// The timer of this kind for a state key.
    pub(crate) fn at(self, time: EventTime, state_key: &[u8]) -> Timer {
        let mut key = Vec::with_capacity(state_key.len() + 1);
        key.extend_from_slice(state_key);
        key.push(self as u8);
        Timer { time, key: key.into_boxed_slice() }
    }

    /// Its name, for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fire => "fire",
            Self::Cleanup => "cleanup",
            Self::User => "user",
            Self::Expiry => "expiry",
            Self::Join => "join",
        }
    }

    /// Splits a timer's key into what it is about and what it means.
    pub(crate) fn parse(key: &[u8]) -> Option<(&[u8], Self)> {
        let (kind, state_key) = key.split_last()?;
        let kind = match kind {
            1 => Self::Fire,
            2 => Self::Cleanup,
            3 => Self::User,
            4 => Self::Expiry,
            5 => Self::Join,
            _ => return None,
        };
        Some((state_key, kind))
    }
}

/// A timer that is due.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) group: KeyGroup,
    pub(crate) time: EventTime,
    pub(crate) state_key: StateKey,
    pub(crate) kind: TimerKind,
}

/// One worker: an instance of every module.
pub(crate) struct Worker {
    /// By stage.
    pub(crate) guests: Vec<Box<dyn Guest>>,
}

impl Worker {
    /// Takes a stage through a tick: rows first, then what the watermark closes. `shard` is the worker's state.
    pub(crate) fn run(
        &mut self,
        shard: &mut dyn StateShard,
        input: StageInput<'_>,
        rows: &[Vec<RoutedRow>],
    ) -> Result<WorkerRows, EngineError> {
        let StageOutput { emission, dead, poison, timers } = self.fold_and_close(shard, input, rows)?;
        let rows = StageRows::sort(input.stage, emission)?;
        Ok(WorkerRows { rows, dead, poison, timers })
    }

    fn fold_and_close(
        &mut self,
        shard: &mut dyn StateShard,
        input: StageInput<'_>,
        rows: &[Vec<RoutedRow>],
    ) -> Result<StageOutput, EngineError> {
        let mut run =
            StageRun { input, shard, guest: &mut *self.guests[input.stage.index], output: StageOutput::default() };
        if !input.stage.takes_part(input.in_past) {
            return Ok(run.output);
        }
        if input.quarantined {
            for rows in rows {
                match &input.stage.spec.window {
                    WindowSpec::Tumbling { .. } | WindowSpec::Sliding { .. } => aligned::refuse(&mut run, rows),
                    WindowSpec::Session { .. } => session::refuse(&mut run, rows)?,
                    _ => run.refuse(rows),
                }
            }
            if input.next_watermark < EventTime::MAX && !input.stage.is_retired() {
                // Windows and timers wait for a mended module. None comes for a version that was taken over from.
                return Ok(run.output);
            }
        } else {
            match &input.stage.spec.window {
                WindowSpec::Tumbling { .. } | WindowSpec::Sliding { .. } => aligned::fold(&mut run, &rows[0])?,
                WindowSpec::Session { gap_ms } => session::fold(&mut run, &rows[0], *gap_ms)?,
                WindowSpec::Key { ttl_ms } => keyed::fold(&mut run, &rows[0], *ttl_ms)?,
                WindowSpec::IntervalJoin { .. } => join::fold(&mut run, &rows[0], &rows[1])?,
            }
        }
        run.close_due()?;
        Ok(run.output)
    }
}

/// A stage's pass over a tick on one worker.
pub(crate) struct StageRun<'a> {
    pub(crate) input: StageInput<'a>,
    pub(crate) shard: &'a mut dyn StateShard,
    pub(crate) guest: &'a mut dyn Guest,
    pub(crate) output: StageOutput,
}

impl StageRun<'_> {
    /// Closes everything that the new watermark has reached.
    fn close_due(&mut self) -> Result<(), EngineError> {
        let mut chains = keyed::Chains::default();
        loop {
            let timers = self.due()?;
            let Some((_, last)) = timers.last() else { break };
            self.output.timers += timers.len();
            // Behind a full batch there may be more, from this moment on.
            let more_from = (timers.len() == DUE_BATCH).then_some(last.time);
            let due = self.parse(timers);
            match &self.input.stage.spec.window {
                WindowSpec::Tumbling { .. } | WindowSpec::Sliding { .. } => drop(aligned::close(self, due)?),
                WindowSpec::Session { .. } => session::close(self, due)?,
                WindowSpec::Key { ttl_ms } => keyed::close(self, due, more_from, *ttl_ms, &mut chains)?,
                WindowSpec::IntervalJoin { .. } => join::close(self, due)?,
            }
        }
        chains.finish(self);
        Ok(())
    }

    /// Timers that the new watermark has reached, earliest first.
    fn due(&mut self) -> Result<Vec<(KeyGroup, Timer)>, EngineError> {
        let (stage, until) = (self.input.stage.id, self.input.next_watermark);
        retry(self.input.patience, || self.shard.due(stage, until, DUE_BATCH))
    }

    /// What timers are about. Those that another kind of window left, which the metric had before, are dropped.
    fn parse(&self, timers: Vec<(KeyGroup, Timer)>) -> Vec<Due> {
        let kinds: &[TimerKind] = match &self.input.stage.spec.window {
            WindowSpec::Key { .. } => &[TimerKind::User, TimerKind::Expiry],
            WindowSpec::IntervalJoin { .. } => &[TimerKind::Join],
            _ => &[TimerKind::Fire, TimerKind::Cleanup],
        };
        let parse = |(group, timer): (KeyGroup, Timer)| {
            let (state_key, kind) = TimerKind::parse(&timer.key)?;
            kinds.contains(&kind).then(|| Due { group, time: timer.time, state_key: state_key.into(), kind })
        };
        timers.into_iter().filter_map(parse).collect()
    }

    /// Brings values into memory, before they are read one by one.
    pub(crate) fn prefetch(&mut self, keys: &[StateKey]) -> Result<(), EngineError> {
        retry(self.input.patience, || self.shard.prefetch(keys))
    }

    pub(crate) fn set_timer(&mut self, group: KeyGroup, kind: TimerKind, time: EventTime, state_key: &[u8]) {
        self.shard.set_timer(self.input.stage.id, group, kind.at(time, state_key));
    }

    pub(crate) fn clear_timer(&mut self, group: KeyGroup, kind: TimerKind, time: EventTime, state_key: &[u8]) {
        self.shard.clear_timer(self.input.stage.id, group, &kind.at(time, state_key));
    }
}
