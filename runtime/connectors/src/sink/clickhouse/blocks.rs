//! Rows of the running epoch: gathered by table and cut into blocks, each one insert.
//!
//! Where a block ends depends on the rows, how they were written and the settings alone. Memory is bounded by the
//! buffer's size: what goes beyond is written to the outbox, the table with the most bytes first.

use super::outbox::{BlockFile, Outbox};
use super::settings::ClickHouseSettings;
use crate::sink::batch_memory::memory_of;
use arrow_array::RecordBatch;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidemark_engine::output::{Table, TableKind};
use tidemark_engine::ports::PortError;

/// The rows of a table that wait for their block to be closed.
struct OpenBlock {
    table: Arc<Table>,
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: u64,
}

/// The blocks of the running epoch.
#[derive(Default)]
pub(super) struct Blocks {
    open: BTreeMap<TableKind, OpenBlock>,
    bytes: u64,
    closed: Vec<BlockFile>,
    /// Every table that has rows in the epoch.
    tables: BTreeMap<TableKind, Arc<Table>>,
}

impl Blocks {
    /// Adds rows, and says whether a block was closed to make room. On an error nothing was added.
    pub(super) fn add(
        &mut self,
        table: &Arc<Table>,
        rows: &RecordBatch,
        outbox: &Outbox,
        settings: &ClickHouseSettings,
    ) -> Result<bool, PortError> {
        if rows.num_rows() == 0 {
            return Ok(false);
        }
        let foreign = |detail: &str| PortError::Stop(format!("rows do not fit the table {:?}: {detail}", table.kind));
        if rows.schema_ref().fields() != table.schema.fields() {
            return Err(foreign("their columns are others than the table's"));
        }
        if self.tables.get(&table.kind).is_some_and(|known| known.schema != table.schema) {
            return Err(foreign("its columns changed within an epoch"));
        }
        let bytes = memory_of(rows);
        let is_full = |open: &OpenBlock| {
            open.rows + rows.num_rows() > settings.block_rows || open.bytes + bytes > settings.block_bytes
        };
        let mut has_closed = false;
        if self.open.get(&table.kind).is_some_and(is_full) {
            self.close(&table.kind, outbox)?;
            has_closed = true;
        }
        while self.bytes > 0 && self.bytes + bytes > settings.buffer_bytes {
            let largest = self.open.iter().max_by_key(|(_, open)| open.bytes).map(|(kind, _)| kind.clone());
            let Some(largest) = largest else { break };
            self.close(&largest, outbox)?;
            has_closed = true;
        }
        self.tables.entry(table.kind.clone()).or_insert_with(|| table.clone());
        let open = self.open.entry(table.kind.clone()).or_insert_with(|| OpenBlock {
            table: table.clone(),
            batches: Vec::new(),
            rows: 0,
            bytes: 0,
        });
        open.batches.push(rows.clone());
        open.rows += rows.num_rows();
        open.bytes += bytes;
        self.bytes += bytes;
        Ok(has_closed)
    }

    /// Writes a table's block to the outbox. On an error its rows are still in memory.
    fn close(&mut self, kind: &TableKind, outbox: &Outbox) -> Result<(), PortError> {
        let Some(open) = self.open.get(kind) else { return Ok(()) };
        let written = outbox.write(self.closed.len(), kind, &open.table.schema, &open.batches)?;
        self.bytes -= open.bytes;
        self.open.remove(kind);
        self.closed.push(written);
        Ok(())
    }

    /// Writes what is in memory, `written` being called behind each block. Can be repeated after an error.
    pub(super) fn close_all(&mut self, outbox: &Outbox, mut written: impl FnMut()) -> Result<(), PortError> {
        while let Some(kind) = self.open.keys().next().cloned() {
            self.close(&kind, outbox)?;
            written();
        }
        Ok(())
    }

    /// The blocks that are in the outbox.
    pub(super) fn closed(&self) -> &[BlockFile] {
        &self.closed
    }

    /// The tables that have rows.
    pub(super) fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// Forgets everything: the epoch is prepared.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
