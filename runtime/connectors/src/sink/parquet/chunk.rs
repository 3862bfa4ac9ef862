//! Cuts a sequence of rows into chunks of bounded size, gathered from the batches in which they lie.
//!
//! Where a chunk ends depends on the rows alone, never on how they were batched before: a writer fed with chunks gives
//! the same bytes for the same rows.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use arrow_select::interleave::interleave_record_batch;

/// Most rows of a chunk.
const ROWS: usize = 4096;
/// Bytes at which a chunk ends.
const BYTES: usize = 4 << 20;

/// A chunk in the making.
#[derive(Default)]
pub(super) struct ChunkBuilder {
    batches: Vec<RecordBatch>,
    rows: Vec<(usize, usize)>,
    bytes: usize,
}

impl ChunkBuilder {
    /// Makes a batch known; the answer names it in [`Self::push`].
    pub(super) fn add_batch(&mut self, batch: RecordBatch) -> usize {
        self.batches.push(batch);
        self.batches.len() - 1
    }

    /// Adds a row of about `bytes` bytes. The chunk must not be full.
    pub(super) fn push(&mut self, batch: usize, row: usize, bytes: usize) {
        self.rows.push((batch, row));
        self.bytes += bytes;
    }

    /// Whether the chunk ends here.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= ROWS || self.bytes >= BYTES
    }

    /// The rows pushed since the last call, `None` without any. Batches stay known.
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let chunk = interleave_record_batch(&batches, &self.rows)?;
        self.rows.clear();
        self.bytes = 0;
        Ok(Some(chunk))
    }

    /// Forgets every batch. Nothing may be pushed and not taken.
    pub(super) fn forget_batches(&mut self) {
        self.batches.clear();
    }
}
