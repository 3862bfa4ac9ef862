//! A sink that writes the chosen rows into a data folder of their own.

use super::compare::Selection;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tidemark_connectors::sink::parquet::{ParquetSettings, ParquetSink};
use tidemark_engine::fail_point::no_hook;
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::{Table, TableKind};
use tidemark_engine::ports::{PortError, Sink};

/// What came of a replay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replayed {
    /// The epoch of the oldest state: rows of later epochs are derived.
    pub since: Epoch,
    /// Rows written.
    pub rows: u64,
}

/// The sink.
pub(super) struct Writing {
    parquet: ParquetSink,
    selection: Selection,
    written: Arc<Mutex<Replayed>>,
}

impl Writing {
    /// Into the data folder `into`.
    pub(super) fn open(
        into: &Path,
        settings: ParquetSettings,
        selection: Selection,
        since: Epoch,
    ) -> Result<Self, PortError> {
        let parquet = ParquetSink::open(&into.join("output"), settings, no_hook())?;
        Ok(Self { parquet, selection, written: Arc::new(Mutex::new(Replayed { since, rows: 0 })) })
    }

    /// How many, so far.
    pub(super) fn written(&self) -> Arc<Mutex<Replayed>> {
        self.written.clone()
    }
}

impl Sink for Writing {
    fn name(&self) -> &str {
        "replay"
    }

    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
        if table.kind != TableKind::Metric(self.selection.metric.clone()) {
            return Ok(());
        }
        let mut wanted = vec![false; rows.num_rows()];
        self.selection.rows_of(rows).into_iter().for_each(|row| wanted[row] = true);
        let chosen = filter_record_batch(rows, &BooleanArray::from(wanted));
        let chosen = chosen.map_err(|error| PortError::Stop(format!("rows cannot be chosen: {error}")))?;
        self.written.lock().unwrap_or_else(PoisonError::into_inner).rows += chosen.num_rows() as u64;
        self.parquet.write(table, &chosen)
    }

    fn prepare(&mut self, epoch: Epoch) -> Result<Vec<u8>, PortError> {
        self.parquet.prepare(epoch)
    }

    fn finalise(&mut self, epoch: Epoch, handle: &[u8]) -> Result<(), PortError> {
        self.parquet.finalise(epoch, handle)
    }

    fn recover(&mut self, _committed: Epoch, _handle: Option<&[u8]>) -> Result<(), PortError> {
        // The folder is new.
        self.parquet.recover(Epoch(0), None)
    }
}
