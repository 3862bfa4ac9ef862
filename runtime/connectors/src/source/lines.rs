//! Partitions of lines: each is opened when its first block is wanted, cut into blocks, and closed at its end.

use super::cutter::{BlockCutter, BlockLimits, Cut};
use super::input::{Input, Tail};
use super::origin::Origin;
use super::places::Places;
use std::collections::VecDeque;
use std::io::Read;
use tidemark_engine::ids::Partition;
use tidemark_engine::ports::{PortError, SourceStart};

/// Files, standard input or the generator, from where they are to be read on.
pub(crate) struct Lines {
    pub(crate) places: Places,
    pub(crate) limits: BlockLimits,
    pub(crate) start: SourceStart,
}

/// A partition.
pub(crate) struct LineFeed {
    name: String,
    partition: Partition,
    stage: Stage,
}

enum Stage {
    Closed { position: u64, cuts: VecDeque<u64> },
    Open { cutter: Box<BlockCutter<Box<dyn Read + Send>>>, tail: Option<Tail> },
    Ended,
}

impl Origin for Lines {
    type Feed = LineFeed;

    fn live(&self) -> bool {
        !self.places.bounded()
    }

    fn may_block(&self) -> bool {
        self.places.may_block()
    }

    fn feed(&mut self, name: &str, partition: Partition) -> LineFeed {
        let (position, cuts) = place_in(&self.start, name, 0);
        LineFeed { name: name.to_owned(), partition, stage: Stage::Closed { position, cuts } }
    }

    fn next(&mut self, feed: &mut LineFeed) -> Result<Cut, PortError> {
        let next = feed.next(self);
        if matches!(next, Err(_) | Ok(Cut::End)) {
            feed.stage = Stage::Ended;
        }
        next
    }

    fn discover(&mut self) -> Result<Vec<String>, PortError> {
        self.places.discover()
    }
}

impl LineFeed {
    fn next(&mut self, lines: &Lines) -> Result<Cut, PortError> {
        if let Stage::Closed { position, cuts } = &mut self.stage {
            let Input { reader, tail } = lines.places.open(&self.name, *position)?;
            let (live, cuts) = (lines.live(), std::mem::take(cuts));
            let cutter = BlockCutter::new(reader, live, self.partition, *position, lines.limits, cuts);
            self.stage = Stage::Open { cutter: Box::new(cutter), tail };
        }
        let Stage::Open { cutter, tail } = &mut self.stage else { return Ok(Cut::End) };
        let next = cutter.next().map_err(|error| error.stop(&self.name))?;
        if let (Cut::Waiting, Some(tail)) = (&next, tail) {
            tail.check(cutter.read_position()).map_err(|error| error.stop(&self.name))?;
        }
        Ok(next)
    }
}

/// Where the partition `name` goes on, or else `first`, and the ends of blocks to be cut again from there.
pub(crate) fn place_in(start: &SourceStart, name: &str, first: u64) -> (u64, VecDeque<u64>) {
    let position = start.positions.get(name).map_or(first, |offset| offset.0);
    let cuts = start.cuts.get(name).into_iter().flatten().map(|offset| offset.0);
    (position, cuts.filter(|&cut| cut > position).collect())
}
