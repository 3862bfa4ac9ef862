//! Events between decoding and the stages: one block of one partition, column by column.

use crate::dead_letter::DeadLetter;
use crate::enrichment::TableSnapshot;
use crate::ids::{Offset, Partition};
use arrow_array::ArrayRef;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use tidemark_dataflow::EventTime;
use tidemark_dataflow::watermark::Mark;

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

/// What a block says of the watermark of its partition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Carried {
    /// Nothing, as raw events do: it follows from their times.
    #[default]
    Nothing,
    /// Whoever wrote the partition says how far event time has come there, but not in this block.
    Later,
    /// It is this, behind everything in the block, in milliseconds.
    At(i64),
    /// Several write the partition, and these said how far they are, behind everything of theirs in the block.
    Marks(Arc<[Mark]>),
}

impl Carried {
    /// Whether there is a new watermark.
    #[must_use]
    pub fn is_news(&self) -> bool {
        matches!(self, Self::At(_) | Self::Marks(_))
    }
}

/// The type id of a dropped row: a block has far fewer types.
const DROPPED: u16 = u16::MAX;

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
    /// Event type of each row, as an index into `types`; see [`EventBatch::drop_row`].
    pub type_ids: Vec<u16>,
    /// The event types that occur in this block.
    pub types: Vec<Arc<str>>,
    /// The records as they came.
    pub raw: RawRecords,
    /// Lookup-table contents that arrived as events of this block, each with its row.
    pub snapshots: Vec<(u32, TableSnapshot)>,
    /// What lookup tables added to rows before they were written where they were read from: the row and its values, as
    /// JSON by `table.field`. Rows in order; only cleansed events have any.
    pub enrichments: Vec<(u32, Bytes)>,
    /// What the block says of its partition's watermark.
    pub watermark: Carried,
    /// What failed to parse or to validate.
    pub dead: Vec<DeadLetter>,
}

impl EventBatch {
    /// Number of live rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.event_times.len()
    }

    /// Takes a row out: nobody is interested in it any more, and the archive leaves it out. It keeps its place, since
    /// moving every column for a few duplicates would cost more than the duplicates.
    pub fn drop_row(&mut self, row: usize) {
        self.interest[row] = 0;
        self.type_ids[row] = DROPPED;
    }

    /// Whether [`EventBatch::drop_row`] took the row out.
    #[must_use]
    pub fn is_dropped(&self, row: usize) -> bool {
        self.type_ids[row] == DROPPED
    }

    /// The newest event time of the rows that were not dropped.
    #[must_use]
    pub fn newest_event_time(&self) -> Option<EventTime> {
        let rows = self.event_times.iter().zip(&self.type_ids);
        rows.filter(|(_, id)| **id != DROPPED).map(|(time, _)| EventTime(*time)).max()
    }
}
