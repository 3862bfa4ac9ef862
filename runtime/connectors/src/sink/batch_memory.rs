//! How much memory rows take.

use arrow_array::{Array, RecordBatch};

/// Bytes of the rows themselves, also where the batch is a slice of something larger.
pub(super) fn memory_of(rows: &RecordBatch) -> u64 {
    let columns = rows.columns().iter();
    columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or_default() as u64).sum()
}
