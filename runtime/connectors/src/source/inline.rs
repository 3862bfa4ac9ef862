//! Reading without threads: everything happens when the engine asks. Best where there is one core.

use super::cutter::Cut;
use super::origin::Origin;
use super::{POLL, RESCAN};
use crate::cleanse::Decoder;
use std::thread;
use std::time::{Duration, Instant};
use tidemark_engine::ids::Partition;
use tidemark_engine::ports::{Next, PortError};

/// The partitions and the decoder.
pub(crate) struct Inline<O: Origin> {
    origin: O,
    feeds: Vec<O::Feed>,
    decoder: Decoder,
    scanned: Instant,
}

impl<O: Origin> Inline<O> {
    pub(crate) fn new(origin: O, names: &[String], decoder: Decoder) -> Self {
        let mut inline = Self { origin, feeds: Vec::new(), decoder, scanned: Instant::now() };
        names.iter().for_each(|name| inline.add(name));
        inline
    }

    /// Decodes every block from now on with `decoder`: none was decoded ahead.
    pub(crate) fn change_decoder(&mut self, decoder: Decoder) {
        self.decoder = decoder;
    }

    /// The next block of a partition. Adds the names of new partitions.
    pub(crate) fn next(
        &mut self,
        partition: Partition,
        wait: Duration,
        names: &mut Vec<String>,
    ) -> Result<Next, PortError> {
        let deadline = Instant::now() + wait;
        loop {
            self.look_for_partitions(names)?;
            let Some(feed) = self.feeds.get_mut(partition.0 as usize) else { return Ok(Next::End) };
            match self.origin.next(feed)? {
                Cut::Block(block) => return Ok(Next::Block(self.decoder.decode(&block))),
                Cut::End => return Ok(Next::End),
                Cut::Waiting => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if self.origin.live() && left.is_zero() {
                        return Ok(Next::Pending);
                    }
                    thread::sleep(if self.origin.live() { left.min(POLL) } else { POLL });
                }
            }
        }
    }

    fn look_for_partitions(&mut self, names: &mut Vec<String>) -> Result<(), PortError> {
        if !self.origin.live() || self.scanned.elapsed() < RESCAN {
            return Ok(());
        }
        self.scanned = Instant::now();
        for name in self.origin.discover()? {
            self.add(&name);
            names.push(name);
        }
        Ok(())
    }

    fn add(&mut self, name: &str) {
        let partition = Partition(self.feeds.len() as u32);
        self.feeds.push(self.origin.feed(name, partition));
    }
}
