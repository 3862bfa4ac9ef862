//! Events between decoding and the stages: one block of one partition, column by column.

use crate::dead_letter::DeadLetter;
use crate::enrichment::TableSnapshot;
use crate::ids::{Offset, Partition};
use arrow_array::ArrayRef;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// The records of one block as they came, for the archive and for dead letters: ranges of one shared buffer.
#[derive(Clone, Debug, Default)]
pub struct RawRecords {
    /// What was read.
    pub buffer: Bytes,
    /// Each row's bytes in `buffer`, without the line end.
    pub ranges: Vec<Range<u32>>,
}

impl RawRecords {
    /// Row `row` as it came.
    #[must_use]
    pub fn get(&self, row: usize) -> &[u8] {
        let range = &self.ranges[row];
        &self.buffer[range.start as usize..range.end as usize]
    }
}

/// Cleansed events of one block, every vector with one entry per row, rows in offset order.
#[derive(Clone, Debug, Default)]
pub struct EventBatch {
    /// Where the block comes from.
    pub partition: Partition,
    /// First position of the block.
    pub start: Offset,
    /// First position after the block: where reading goes on.
    pub end: Offset,
    /// Records that the block held, the dead ones included: what tick bounds count.
    pub records: usize,
    /// Position of each row.
    pub offsets: Vec<Offset>,
    /// Event time of each row, in milliseconds.
    pub event_times: Vec<i64>,
    /// Fingerprint of each event's id: the UUID itself, XXH3-128 of any other text, 0 where the event has none.
    pub ids: Vec<u128>,
    /// Which consumers want the row, one bit each ([`crate::plan::ExtractionPlan::interest`]).
    pub interest: Vec<u64>,
    /// One array per slot of the plan, in its order; `enrich.` slots are null until enrichment.
    pub columns: Vec<ArrayRef>,
    /// Event type of each row, as an index into `types`.
    pub type_ids: Vec<u16>,
    /// The event types that occur in this block.
    pub types: Vec<Arc<str>>,
    /// The records as they came.
    pub raw: RawRecords,
    /// Lookup-table contents that arrived as events of this block.
    pub snapshots: Vec<TableSnapshot>,
    /// What failed to parse or to validate.
    pub dead: Vec<DeadLetter>,
}

impl EventBatch {
    /// Number of live rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.event_times.len()
    }
}
