//! Blocks of raw records: what sources hand to the decoder.

use bytes::Bytes;
use std::ops::Range;
use tidemark_engine::batch::Carried;
use tidemark_engine::ids::{Offset, Partition};

/// How much is kept of a record that is longer than the limit.
pub const KEPT_OF_TOO_LONG: usize = 4 * 1024;

/// Consecutive records of one partition.
#[derive(Clone, Debug)]
pub struct RawBlock {
    /// Where they come from.
    pub partition: Partition,
    /// First position of the block.
    pub start: Offset,
    /// First position after it.
    pub end: Offset,
    /// The records' bytes, and perhaps others between them; at most [`RawBlock::MAX_BYTES`].
    pub buffer: Bytes,
    /// The records, in the order of their positions.
    pub records: Vec<RawRecord>,
    /// What lookup tables added to records before: the record's place in `records` and its bytes in the buffer, JSON by
    /// `table.field`, in the order of records. Only cleansed events have any.
    pub enrichments: Vec<(u32, Range<u32>)>,
    /// What the block says of its partition's watermark.
    pub watermark: Carried,
}

impl RawBlock {
    /// The largest buffer: Arrow's texts have 31-bit positions.
    pub const MAX_BYTES: usize = 1 << 30;
}

/// One record in the buffer of a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawRecord {
    /// Its position in the partition.
    pub offset: Offset,
    /// Its bytes, without the line end; for a record that is too long, its beginning.
    pub range: Range<u32>,
    /// For a record that is longer than the limit, its length in bytes.
    pub too_long: Option<u64>,
}
