//! One partition being read: opened when its first block is wanted, closed at its end.

use super::cutter::{BlockCutter, BlockLimits, Cut};
use super::input::{Input, Tail};
use super::origin::Origin;
use std::collections::VecDeque;
use std::io::Read;
use tidemark_engine::ids::Partition;
use tidemark_engine::ports::{PortError, SourceStart};

/// How to read every partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeedRules {
    pub(crate) limits: BlockLimits,
    /// Whether the end of a partition is only the end for now.
    pub(crate) live: bool,
}

/// A partition.
pub(crate) struct Feed {
    name: String,
    partition: Partition,
    rules: FeedRules,
    stage: Stage,
}

enum Stage {
    Closed { position: u64, cuts: VecDeque<u64> },
    Open { cutter: Box<BlockCutter<Box<dyn Read + Send>>>, tail: Option<Tail> },
    Ended,
}

impl Feed {
    /// A partition that goes on where `start` says.
    pub(crate) fn new(name: &str, partition: Partition, rules: FeedRules, start: &SourceStart) -> Self {
        let position = start.positions.get(name).map_or(0, |offset| offset.0);
        let cuts = start.cuts.get(name).into_iter().flatten().map(|offset| offset.0);
        let cuts = cuts.filter(|&cut| cut > position).collect();
        Self { name: name.to_owned(), partition, rules, stage: Stage::Closed { position, cuts } }
    }

    /// What comes next; after an error, the end.
    pub(crate) fn next(&mut self, origin: &Origin) -> Result<Cut, PortError> {
        let next = self.try_next(origin);
        if matches!(next, Err(_) | Ok(Cut::End)) {
            self.stage = Stage::Ended;
        }
        next
    }

    fn try_next(&mut self, origin: &Origin) -> Result<Cut, PortError> {
        if let Stage::Closed { position, cuts } = &mut self.stage {
            let Input { reader, tail } = origin.open(&self.name, *position)?;
            let FeedRules { limits, live } = self.rules;
            let cutter = BlockCutter::new(reader, live, self.partition, *position, limits, std::mem::take(cuts));
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
