//! Blocks of one partition's records: copied once, back to back, and cut by the limits or where they were cut before.
//!
//! Knows nothing of Kafka but that offsets grow and may leave gaps: markers of transactions have offsets, and compaction
//! removes records. The blocks are a function of records, limits and cuts alone, as long as nobody ends one early.

use crate::cleanse::{KEPT_OF_TOO_LONG, RawBlock, RawRecord};
use crate::source::cutter::BlockLimits;
use crate::source::spent::Spent;
use bytes::Bytes;
use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use tidemark_dataflow::watermark::Mark;
use tidemark_engine::batch::Carried;
use tidemark_engine::ids::{Offset, Partition};

/// The block in the making.
pub(super) struct BlockBuilder {
    partition: Partition,
    limits: BlockLimits,
    /// Ends of blocks that were cut before and must be cut again, whatever the limits say now.
    cuts: VecDeque<u64>,
    /// Where the block begins.
    position: u64,
    /// Behind everything that is known to be read: its records, and gaps.
    reached: u64,
    buffer: Vec<u8>,
    records: Vec<RawRecord>,
    /// Bytes of its records; one that is too long counts as one that just is not.
    weight: usize,
    spent: Spent,
    /// What lookup tables added to its records before.
    enrichments: Vec<(u32, Range<u32>)>,
    /// What a block says of the watermark if nothing in it does.
    silent: Carried,
    watermark: Carried,
    /// What each of several writers said last, in the order in which they were first heard of.
    marks: Vec<Mark>,
}

/// A block that was cut before cannot be cut again: there is more in it than one block can hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooMuch {
    /// Where it ended.
    pub(super) cut: u64,
}

impl BlockBuilder {
    /// `cleansed` says that the partition has cleansed events, whose writer knows the watermark.
    pub(super) fn new(
        partition: Partition,
        position: u64,
        limits: BlockLimits,
        cuts: VecDeque<u64>,
        cleansed: bool,
    ) -> Self {
        let silent = if cleansed { Carried::Later } else { Carried::Nothing };
        Self {
            partition,
            limits,
            cuts,
            position,
            reached: position,
            buffer: Vec::new(),
            records: Vec::new(),
            weight: 0,
            spent: Spent::default(),
            enrichments: Vec::new(),
            watermark: silent.clone(),
            silent,
            marks: Vec::new(),
        }
    }

    /// Behind everything that is known to be read.
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }

    /// Whether there is anything to hand over: records, or at least a gap to go past.
    pub(super) fn is_empty(&self) -> bool {
        self.reached == self.position
    }

    /// Whether somebody waits for the block: it has records, or says how far event time has come.
    pub(super) fn has_news(&self) -> bool {
        !self.records.is_empty() || self.watermark.is_news() || !self.marks.is_empty()
    }

    /// Where the block must end, if it was cut before.
    pub(super) fn cut(&self) -> Option<u64> {
        self.cuts.front().copied()
    }

    /// Whether everything up to there is read.
    pub(super) fn is_at_cut(&self) -> bool {
        self.cut().is_some_and(|cut| cut <= self.reached)
    }

    /// Whether the block ends before a record of `length` bytes at `offset`.
    pub(super) fn ends_before(&self, offset: u64, length: usize) -> bool {
        match self.cut() {
            Some(cut) => offset >= cut,
            None => !self.records.is_empty() && self.weight + self.weight_of(length) > self.limits.bytes,
        }
    }

    /// Adds a record, before which the block does not end. Whether the block is full now.
    pub(super) fn add(&mut self, offset: u64, payload: &[u8], enrichment: Option<&[u8]>) -> Result<bool, TooMuch> {
        let too_long = payload.len() > self.limits.record_bytes;
        let kept = if too_long { &payload[..payload.len().min(KEPT_OF_TOO_LONG)] } else { payload };
        if self.buffer.len() + kept.len() + enrichment.map_or(0, <[u8]>::len) > RawBlock::MAX_BYTES {
            // Limits keep a block far below, so there is a cut.
            return Err(TooMuch { cut: self.cut().unwrap_or(offset) });
        }
        if self.buffer.capacity() == 0 {
            self.buffer = self.spent.take(0);
        }
        let start = self.buffer.len() as u32;
        self.buffer.extend_from_slice(kept);
        self.records.push(RawRecord {
            offset: Offset(offset),
            range: start..self.buffer.len() as u32,
            too_long: too_long.then_some(payload.len() as u64),
        });
        if let Some(enrichment) = enrichment {
            let start = self.buffer.len() as u32;
            self.buffer.extend_from_slice(enrichment);
            self.enrichments.push((self.records.len() as u32 - 1, start..self.buffer.len() as u32));
        }
        self.weight += self.weight_of(payload.len());
        Ok(self.reach(offset + 1) || (self.cut().is_none() && self.records.len() == self.limits.records))
    }

    /// Notes how far event time has come, behind everything before `offset`. Whether the block is full now.
    pub(super) fn mark(&mut self, offset: u64, watermark_ms: i64) -> bool {
        self.watermark = Carried::At(watermark_ms);
        self.reach(offset + 1)
    }

    /// Notes how far one of several writers is. Whether the block is full now.
    pub(super) fn mark_by(&mut self, offset: u64, mark: Mark) -> bool {
        let writer = (&mark.family, mark.writer);
        match self.marks.iter_mut().find(|known| (&known.family, known.writer) == writer) {
            Some(known) => *known = mark,
            None => self.marks.push(mark),
        }
        self.reach(offset + 1)
    }

    /// Notes that nothing before `offset` is missing. Whether the block is full now.
    pub(super) fn reach(&mut self, offset: u64) -> bool {
        self.reached = self.reached.max(offset);
        self.is_at_cut()
    }

    /// Ends the block: where it was cut before, or else behind everything read.
    pub(super) fn finish(&mut self) -> RawBlock {
        let end = self.cuts.pop_front().unwrap_or(self.reached);
        let buffer = Bytes::from(mem::take(&mut self.buffer));
        self.spent.give(buffer.clone());
        // The next block will have about as many.
        let next = Vec::with_capacity(self.records.len());
        let records = mem::replace(&mut self.records, next);
        let start = Offset(self.position);
        self.weight = 0;
        self.position = end;
        self.reached = self.reached.max(end);
        let mut watermark = mem::replace(&mut self.watermark, self.silent.clone());
        if !self.marks.is_empty() {
            watermark = Carried::Marks(mem::take(&mut self.marks).into());
        }
        RawBlock {
            partition: self.partition,
            start,
            end: Offset(end),
            buffer,
            records,
            enrichments: mem::take(&mut self.enrichments),
            watermark,
        }
    }

    fn weight_of(&self, length: usize) -> usize {
        length.min(self.limits.record_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The blocks of records, whose offsets are `gap + 1` apart, as a feed asks for them; the last ends at `end`.
    fn blocks(lengths: &[(u64, usize)], end: u64, limits: BlockLimits, cuts: &[u64]) -> Vec<RawBlock> {
        let mut builder = BlockBuilder::new(Partition(3), 0, limits, cuts.iter().copied().collect(), false);
        let (mut blocks, mut offset) = (Vec::new(), 0);
        for (gap, length) in lengths {
            offset += gap;
            while builder.ends_before(offset, *length) {
                blocks.push(builder.finish());
            }
            if builder.add(offset, &vec![b'x'; *length], None).unwrap() {
                blocks.push(builder.finish());
            }
            offset += 1;
        }
        builder.reach(end.max(offset));
        while !builder.is_empty() {
            blocks.push(builder.finish());
        }
        blocks
    }

    proptest! {
        #[test]
        fn blocks_are_seamless_within_limits_and_can_be_cut_again(
            lengths in prop::collection::vec((0_u64..3, 0_usize..300), 0..60),
            tail in 0_u64..3,
            records in 1_usize..9,
            bytes in 1_usize..1_000,
            others in (1_usize..9, 1_usize..1_000),
        ) {
            let end = lengths.iter().map(|(gap, _)| gap + 1).sum::<u64>() + tail;
            let limits = BlockLimits { records, bytes, record_bytes: 200 };
            let found = blocks(&lengths, end, limits, &[]);
            let count: usize = found.iter().map(|block| block.records.len()).sum();
            prop_assert_eq!(count, lengths.len());
            let mut position = 0;
            for block in &found {
                prop_assert_eq!(block.start.0, position);
                position = block.end.0;
                let weight: usize = block.records.iter().map(|record| record.range.len().min(200)).sum();
                prop_assert!(block.records.len() <= records && (weight <= bytes || block.records.len() == 1));
                prop_assert!(block.records.iter().all(|record| (block.start..block.end).contains(&record.offset)));
            }
            prop_assert_eq!(position, end);
            let cuts: Vec<u64> = found.iter().map(|block| block.end.0).collect();
            let again = blocks(&lengths, end, BlockLimits { records: others.0, bytes: others.1, ..limits }, &cuts);
            let view = |blocks: &[RawBlock]| -> Vec<_> {
                blocks.iter().map(|block| (block.end, block.records.clone(), block.buffer.clone())).collect()
            };
            prop_assert_eq!(view(&again), view(&found));
        }
    }
}
