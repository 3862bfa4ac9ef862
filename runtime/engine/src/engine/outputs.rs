//! The sinks, and which of them a row goes to: all, or, while epochs are run again, only one that has lost its rows.

use super::EngineError;
use super::retry::{Patience, retry};
use crate::ids::Epoch;
use crate::output::Table;
use crate::ports::{Positions, Sink, StateBackend};
use crate::progress::Progress;
use crate::stage::Stage;
use crate::stage::emission::{ROWS_PER_BATCH, StageRows};
use crate::tick_log::EpochRecord;
use arrow_array::RecordBatch;
use std::sync::Arc;
use tidemark_dataflow::EventTime;

/// Sinks' handles of an epoch, by name.
pub(super) type Handles = Vec<(String, Vec<u8>)>;

/// The sinks of the job.
pub(super) struct Outputs {
    outlets: Vec<Outlet>,
    /// Epochs that are still to be run again.
    again: usize,
    /// Whether their rows are written, too.
    rewrite: bool,
    pub(super) patience: Patience,
}

/// How far the job is when an epoch is committed.
pub(super) struct Reached {
    /// Where the source goes on.
    pub(super) positions: Positions,
    /// The source's watermark, once there is one and until the source has ended.
    pub(super) watermark: Option<EventTime>,
    /// Whether the source is silent.
    pub(super) idle: bool,
}

struct Outlet {
    sink: Box<dyn Sink>,
    /// Whether the rows of the last epoch that is run again are to be written once more.
    needs_rows: bool,
}

impl Outputs {
    /// Brings every sink to the last decided epoch: that of the state, or of `replay`.
    pub(super) fn recover(
        sinks: Vec<Box<dyn Sink>>,
        state: &dyn StateBackend,
        progress: &Progress,
        replay: &[EpochRecord],
        patience: Patience,
        rewrite: bool,
    ) -> Result<Self, EngineError> {
        let decided = Epoch(progress.epoch.0 + replay.len() as u64);
        let mut outlets = Vec::with_capacity(sinks.len());
        for mut sink in sinks {
            let handle = match replay.last() {
                Some(record) => {
                    record.handles.iter().find(|(name, _)| name == sink.name()).map(|(_, handle)| handle.clone())
                }
                None => state.meta(&handle_key(sink.name()))?,
            };
            retry(patience, || sink.recover(decided, handle.as_deref()))?;
            let needs_rows = sink.needs_rows();
            if needs_rows && replay.is_empty() {
                return Err(EngineError::Job(format!(
                    "the sink {} has lost the rows of epoch {decided}, which it had not shown yet: move the state away, so \
                     that the newest checkpoint is restored and the epoch is run again",
                    sink.name()
                )));
            }
            outlets.push(Outlet { sink, needs_rows });
        }
        Ok(Self { outlets, again: replay.len(), rewrite, patience })
    }

    /// Epochs that are still to be run again without being written.
    fn muted(&self) -> usize {
        if self.rewrite { 0 } else { self.again }
    }

    /// Whether any sink takes rows of the epoch that is open.
    pub(super) fn take_rows(&self) -> bool {
        self.outlets.iter().any(|outlet| outlet.takes_rows(self.muted()))
    }

    /// Writes rows of the open epoch.
    pub(super) fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), EngineError> {
        let (muted, patience) = (self.muted(), self.patience);
        for outlet in self.outlets.iter_mut().filter(|outlet| outlet.takes_rows(muted)) {
            retry(patience, || outlet.sink.write(table, rows))?;
        }
        Ok(())
    }

    /// Writes a stage's rows, piece by piece.
    pub(super) fn write_stage(&mut self, stage: &Stage, rows: &StageRows, epoch: Epoch) -> Result<(), EngineError> {
        if !self.take_rows() {
            return Ok(());
        }
        for start in (0..rows.len()).step_by(ROWS_PER_BATCH) {
            let piece = start..rows.len().min(start + ROWS_PER_BATCH);
            self.write(&stage.table, &rows.record_batch(stage, piece, epoch)?)?;
        }
        Ok(())
    }

    /// Makes the rows of `epoch` durable. `known` are the handles of an epoch that is run again.
    pub(super) fn prepare(
        &mut self,
        epoch: Epoch,
        reached: &Reached,
        known: Option<&Handles>,
    ) -> Result<Handles, EngineError> {
        let (muted, patience) = (self.muted(), self.patience);
        let mut handles = known.cloned().unwrap_or_default();
        for Outlet { sink, .. } in self.outlets.iter_mut().filter(|outlet| outlet.takes_rows(muted)) {
            sink.positions(&reached.positions);
            if let Some(watermark) = reached.watermark {
                sink.watermark(watermark.0);
            }
            sink.idle(reached.idle);
            let handle = retry(patience, || sink.prepare(epoch))?;
            handles.retain(|(name, _)| name != sink.name());
            handles.push((sink.name().to_owned(), handle));
        }
        Ok(handles)
    }

    /// Makes them visible, and ends the epoch.
    pub(super) fn finalise(&mut self, epoch: Epoch, handles: &Handles) -> Result<(), EngineError> {
        let (muted, patience) = (self.muted(), self.patience);
        for outlet in self.outlets.iter_mut().filter(|outlet| outlet.takes_rows(muted)) {
            let handle = handles.iter().find(|(name, _)| name == outlet.sink.name());
            let (_, handle) = handle.expect("every sink that takes rows has prepared them");
            retry(patience, || outlet.sink.finalise(epoch, handle))?;
            outlet.needs_rows = false;
        }
        self.again = self.again.saturating_sub(1);
        Ok(())
    }
}

impl Outlet {
    fn takes_rows(&self, muted: usize) -> bool {
        muted == 0 || muted == 1 && self.needs_rows
    }
}

/// Where the state keeps a sink's handle.
pub(super) fn handle_key(sink: &str) -> Vec<u8> {
    [b"sink/", sink.as_bytes()].concat()
}
