//! Cuts a stream of lines into blocks.
//!
//! The blocks of an input are a function of its bytes and of the limits alone, from any block's end on: how the input
//! hands out its bytes has no part in it, unless the input is live and has no more for now. Lines stay where they were
//! read; only the unfinished block at the end of what was read is copied, once.

use super::error::SourceError;
use super::settings::ReadSettings;
use super::spent::Spent;
use crate::cleanse::{KEPT_OF_TOO_LONG, RawBlock, RawRecord};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::Read;
use std::mem;
use tidemark_engine::batch::Carried;
use tidemark_engine::ids::{Offset, Partition};
use tidemark_engine::ports::SourceStart;

/// How much is read at once to begin with: little, for blocks may be small.
const FIRST_READ: usize = 256 * 1024;

/// When a block is full, and a record too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BlockLimits {
    /// Most records of a block.
    pub(crate) records: usize,
    /// Most bytes of a block's lines, unless it has only one.
    pub(crate) bytes: usize,
    /// A longer record is too long.
    pub(crate) record_bytes: usize,
}

impl BlockLimits {
    /// Of what the engine asks for, within what a block can hold.
    pub(crate) fn new(start: &SourceStart, read: &ReadSettings) -> Self {
        Self {
            records: start.block_records.max(1),
            bytes: start.block_bytes.min(RawBlock::MAX_BYTES / 2),
            record_bytes: read.max_record_bytes.min(RawBlock::MAX_BYTES / 4),
        }
    }
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Cut {
    /// A block.
    Block(RawBlock),
    /// A live input has nothing more for now.
    Waiting,
    /// The input has ended.
    End,
}

/// The cutter of one input.
pub(crate) struct BlockCutter<R> {
    input: R,
    /// Whether the end of the input is only the end for now.
    live: bool,
    ended: bool,
    partition: Partition,
    limits: BlockLimits,
    /// Ends of blocks that were cut before and must be cut again, whatever the limits say now.
    cuts: VecDeque<u64>,
    read_size: usize,
    /// What was read and is not in a block yet, from `draft.base` on.
    chunk: Bytes,
    spent: Spent,
    draft: Draft,
}

/// The block in the making. Places are relative to `base`, the place in the chunk where its buffer begins.
#[derive(Default)]
struct Draft {
    /// Position of the block, which may begin with empty lines that are not in the buffer.
    position: u64,
    base: usize,
    base_position: u64,
    records: Vec<RawRecord>,
    /// Bytes of its lines, one for each line end included; a record that is too long counts as one that just is not,
    /// however little of it is kept.
    weight: usize,
    /// Behind the last record's line: place and position.
    end: (usize, u64),
    /// Bytes of records that were too long to be kept.
    dropped: u64,
    /// Where the line begins whose end is looked for.
    line: usize,
    /// Up to where it was looked for.
    scanned: usize,
    /// Bytes of that line that were not kept.
    line_dropped: u64,
}

impl<R: Read> BlockCutter<R> {
    /// Cuts `input`, whose first byte stands at `position`.
    pub(crate) fn new(
        input: R,
        live: bool,
        partition: Partition,
        position: u64,
        limits: BlockLimits,
        cuts: VecDeque<u64>,
    ) -> Self {
        let draft = Draft { position, base_position: position, ..Draft::default() };
        Self {
            input,
            live,
            ended: false,
            partition,
            limits,
            cuts,
            read_size: FIRST_READ,
            chunk: Bytes::new(),
            spent: Spent::default(),
            draft,
        }
    }

    /// Position of the first byte that was not read yet.
    pub(crate) fn read_position(&self) -> u64 {
        let draft = &self.draft;
        let unfinished = (self.chunk.len() - draft.base) as u64;
        draft.base_position + unfinished + draft.dropped + draft.line_dropped
    }

    /// The next block.
    pub(crate) fn next(&mut self) -> Result<Cut, SourceError> {
        loop {
            let draft = &mut self.draft;
            let found = memchr::memchr(b'\n', &self.chunk[draft.base + draft.scanned..]);
            if let Some(length) = found {
                let end = draft.scanned + length;
                if let Some(block) = self.add_line(end, 1)? {
                    return Ok(Cut::Block(block));
                }
                continue;
            }
            draft.scanned = self.chunk.len() - draft.base;
            self.drop_excess();
            if self.ended || self.fill()? == 0 {
                return self.at_end();
            }
        }
    }

    /// Takes the line that ends at `end`, behind which `terminator` bytes belong to it. The block, if it is full; the
    /// line may then be left for the next one.
    fn add_line(&mut self, end: usize, terminator: usize) -> Result<Option<RawBlock>, SourceError> {
        let draft = &mut self.draft;
        let line = draft.line;
        let offset = draft.base_position + line as u64 + draft.dropped;
        let length = (end - line) as u64 + draft.line_dropped;
        let behind = (end + terminator, offset + length + terminator as u64);
        let too_long = length > self.limits.record_bytes as u64;
        let content = &self.chunk[draft.base + line..draft.base + end];
        let (kept, weight) = if too_long {
            (content.len().min(KEPT_OF_TOO_LONG), self.limits.record_bytes.max(KEPT_OF_TOO_LONG))
        } else {
            let content = content.strip_suffix(b"\r").unwrap_or(content);
            (content.len(), content.len())
        };
        if self.is_due(weight, offset, (kept > 0).then_some(behind.1))? {
            return Ok(Some(self.finish()));
        }
        let draft = &mut self.draft;
        (draft.line, draft.scanned) = (behind.0, behind.0);
        if kept == 0 && draft.records.is_empty() {
            draft.advance(behind);
            return Ok(None);
        }
        draft.weight += weight + 1;
        if kept == 0 {
            return Ok(None);
        }
        let range = line as u32..(line + kept) as u32;
        draft.records.push(RawRecord { offset: Offset(offset), range, too_long: too_long.then_some(length) });
        draft.dropped += mem::take(&mut draft.line_dropped);
        draft.end = behind;
        let full = match self.cuts.front() {
            Some(&cut) => behind.1 == cut,
            None => draft.records.len() == self.limits.records,
        };
        Ok(full.then(|| self.finish()))
    }

    /// Whether the block ends before the line at `offset`, which, if it is a record, is followed by the position
    /// `record_end`.
    fn is_due(&self, weight: usize, offset: u64, record_end: Option<u64>) -> Result<bool, SourceError> {
        let draft = &self.draft;
        match self.cuts.front() {
            Some(&cut) if offset >= cut || record_end.is_some_and(|end| end > cut) => {
                // An earlier run ended a block here, so a record must have ended here.
                Err(SourceError::Changed { position: cut })
            }
            Some(_) => Ok(false),
            None => Ok(!draft.records.is_empty() && draft.weight + weight > self.limits.bytes),
        }
    }

    /// Ends the block behind its last record.
    fn finish(&mut self) -> RawBlock {
        let draft = &mut self.draft;
        let buffer = self.chunk.slice(draft.base..draft.base + draft.end.0);
        // The next block will have about as many.
        let next = Vec::with_capacity(draft.records.len());
        let records = mem::replace(&mut draft.records, next);
        draft.weight = 0;
        let (start, end) = (Offset(draft.position), Offset(draft.end.1));
        draft.position = draft.end.1;
        draft.advance(draft.end);
        if self.cuts.front() == Some(&end.0) {
            self.cuts.pop_front();
        }
        RawBlock {
            partition: self.partition,
            start,
            end,
            buffer,
            records,
            enrichments: Vec::new(),
            watermark: Carried::Nothing,
        }
    }

    /// The input has no more, for ever or for now.
    fn at_end(&mut self) -> Result<Cut, SourceError> {
        let unfinished = self.draft.scanned > self.draft.line || self.draft.line_dropped > 0;
        if !self.live {
            self.ended = true;
            if unfinished && let Some(block) = self.add_line(self.draft.scanned, 0)? {
                return Ok(Cut::Block(block));
            }
        }
        match self.cuts.front() {
            Some(&cut) => Err(SourceError::Changed { position: cut }),
            None if !self.draft.records.is_empty() => Ok(Cut::Block(self.finish())),
            None if self.live => Ok(Cut::Waiting),
            None => Ok(Cut::End),
        }
    }

    /// Lets go of a line that is too long already but for its beginning, so that no input can fill the memory.
    fn drop_excess(&mut self) {
        let draft = &mut self.draft;
        let length = (draft.scanned - draft.line) as u64 + draft.line_dropped;
        let kept = draft.line + KEPT_OF_TOO_LONG;
        if length > self.limits.record_bytes.max(KEPT_OF_TOO_LONG) as u64 && draft.scanned > kept {
            draft.line_dropped += (draft.scanned - kept) as u64;
            draft.scanned = kept;
            self.chunk.truncate(draft.base + kept);
        }
    }

    /// Reads more behind the draft and returns how much.
    fn fill(&mut self) -> Result<usize, SourceError> {
        let unfinished = &self.chunk[self.draft.base..];
        if unfinished.len() > self.read_size / 2 {
            // Large blocks: read so much that little is copied for each.
            self.read_size = (self.read_size * 2).min(self.limits.bytes.max(FIRST_READ));
        }
        let size = unfinished.len() + self.read_size;
        let mut chunk = self.spent.take(size);
        chunk.extend_from_slice(unfinished);
        let read = self.input.by_ref().take(self.read_size as u64).read_to_end(&mut chunk)?;
        if read > 0 {
            let spent = mem::replace(&mut self.chunk, Bytes::from(chunk));
            self.draft.base = 0;
            self.spent.give(spent);
        }
        Ok(read)
    }
}

impl Draft {
    /// Moves the base to a place and its position. Whatever was dropped was dropped before it, or belongs to the line
    /// that begins behind it.
    fn advance(&mut self, (place, position): (usize, u64)) {
        self.base += place;
        self.base_position = position;
        self.line -= place;
        self.scanned -= place;
        self.end = (0, position);
        self.dropped = 0;
    }
}
