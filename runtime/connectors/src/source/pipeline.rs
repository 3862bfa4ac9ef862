//! Reading ahead: one thread cuts blocks, others decode them, and each partition's blocks come out in order.
//!
//! ```text
//! reader ──(block, reply)──▶ decoders          work: one block per decoder
//!    └──reply──▶ partition's queue ──▶ engine  queue: `prefetch` blocks
//! ```
//!
//! The reader puts the receiving end of a block's reply into the partition's queue before the block is decoded, so that
//! the order of the queue is the order of the partition whoever decodes first. It passes over partitions whose queue is
//! full and waits for a wake-up when all are.
//!
//! When what is extracted changes, decoders take the new plan for the next block. Blocks that are decoded already keep
//! their records until the engine takes them; those of an older plan are then decoded once more, so that what the engine
//! sees changes at one moment, whatever was decoded ahead.

use super::cutter::Cut;
use super::error::SourceError;
use super::origin::Origin;
use super::{POLL, RESCAN};
use crate::cleanse::{Decoder, RawBlock};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tidemark_engine::batch::EventBatch;
use tidemark_engine::ids::Partition;
use tidemark_engine::ports::{Next, PortError};

/// New partitions that may wait to be noticed.
const ANNOUNCEMENTS: usize = 64;

/// What stands in a partition's queue.
enum Ahead {
    /// A block that is being decoded or is decoded already.
    Block(Receiver<Decoded>),
    End,
    Failed(PortError),
}

/// A block for the decoders.
struct Work {
    block: RawBlock,
    reply: Sender<Decoded>,
}

/// A block and what a decoder made of it.
struct Decoded {
    block: RawBlock,
    batch: EventBatch,
    /// Of the decoder.
    version: u64,
}

/// The decoder that others are made like, and its version. Every change of what is extracted makes another one.
struct Pattern {
    decoder: Mutex<Decoder>,
    version: AtomicU64,
}

impl Pattern {
    /// A decoder that does the same, and its version.
    fn copy(&self) -> (Decoder, u64) {
        let decoder = self.decoder.lock().unwrap_or_else(PoisonError::into_inner);
        (decoder.fork(), self.version.load(Ordering::Acquire))
    }

    fn replace(&self, new: Decoder) {
        let mut decoder = self.decoder.lock().unwrap_or_else(PoisonError::into_inner);
        *decoder = new;
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

/// One decoder, that follows the pattern.
struct Follower {
    pattern: Arc<Pattern>,
    decoder: Decoder,
    version: u64,
}

impl Follower {
    fn of(pattern: &Arc<Pattern>) -> Self {
        let (decoder, version) = pattern.copy();
        Self { pattern: Arc::clone(pattern), decoder, version }
    }

    fn decode(&mut self, block: RawBlock) -> Decoded {
        if self.version != self.pattern.version.load(Ordering::Acquire) {
            (self.decoder, self.version) = self.pattern.copy();
        }
        let batch = self.decoder.decode(&block);
        Decoded { block, batch, version: self.version }
    }
}

/// A partition that turned up while reading.
struct Announcement {
    name: String,
    queue: Receiver<Ahead>,
}

/// The engine's end of the threads.
pub(crate) struct Pipeline {
    /// Per partition; `None` after its end.
    queues: Vec<Option<Receiver<Ahead>>>,
    announcements: Receiver<Announcement>,
    wake: Option<Sender<()>>,
    live: bool,
    threads: Vec<JoinHandle<()>>,
    /// Decodes again what an older decoder has decoded ahead.
    again: Follower,
}

impl Pipeline {
    pub(crate) fn start<O: Origin>(
        origin: O,
        names: &[String],
        decoder: Decoder,
        decoders: usize,
        prefetch: usize,
    ) -> Result<Self, PortError> {
        let (work, blocks) = bounded::<Work>(decoders);
        let (announce, announcements) = bounded(ANNOUNCEMENTS);
        let (wake, woken) = bounded(1);
        let (may_block, live) = (origin.may_block(), origin.live());
        let mut reader = Reader { origin, prefetch, work, announce, woken, feeds: Vec::new(), scanned: Instant::now() };
        let queues = names.iter().map(|name| Some(reader.add(name))).collect();
        let pattern = Arc::new(Pattern { decoder: Mutex::new(decoder), version: AtomicU64::new(0) });
        let mut threads = Vec::with_capacity(decoders + 1);
        for _ in 0..decoders {
            let (mut decoder, blocks) = (Follower::of(&pattern), blocks.clone());
            let decode = move || {
                // Nobody waits for the reply of a source that was dropped.
                blocks.iter().for_each(|Work { block, reply }| drop(reply.send(decoder.decode(block))));
            };
            threads.push(spawn("decoder", decode)?);
        }
        let thread = spawn("reader", move || reader.run())?;
        // A read of standard input ends when it likes; the process does not wait for it.
        if !may_block {
            threads.push(thread);
        }
        let again = Follower::of(&pattern);
        Ok(Self { queues, announcements, wake: Some(wake), live, threads, again })
    }

    /// Gives every block from now on what `decoder` makes of it.
    pub(crate) fn change_decoder(&mut self, decoder: Decoder) {
        self.again.pattern.replace(decoder);
    }

    /// The next block of a partition. Adds the names of new partitions.
    pub(crate) fn next(
        &mut self,
        partition: Partition,
        wait: Duration,
        names: &mut Vec<String>,
    ) -> Result<Next, PortError> {
        for Announcement { name, queue } in self.announcements.try_iter() {
            names.push(name);
            self.queues.push(Some(queue));
        }
        let Some(Some(queue)) = self.queues.get(partition.0 as usize) else { return Ok(Next::End) };
        let ahead =
            if self.live { queue.recv_timeout(wait) } else { queue.recv().map_err(|_| RecvTimeoutError::Disconnected) };
        if let (Some(wake), Ok(_)) = (&self.wake, &ahead) {
            // A wake-up that is already waiting is enough.
            let _ = wake.try_send(());
        }
        let lost = |thread| SourceError::Thread(thread).stop("pipeline");
        match ahead {
            Err(RecvTimeoutError::Timeout) => Ok(Next::Pending),
            Err(RecvTimeoutError::Disconnected) => Err(lost("reader")),
            Ok(Ahead::Block(reply)) => {
                let Decoded { block, batch, version } = reply.recv().map_err(|_| lost("decoder"))?;
                let current = version == self.again.pattern.version.load(Ordering::Acquire);
                Ok(Next::Block(if current { batch } else { self.again.decode(block).batch }))
            }
            Ok(end) => {
                self.queues[partition.0 as usize] = None;
                match end {
                    Ahead::Failed(error) => Err(error),
                    _ => Ok(Next::End),
                }
            }
        }
    }
}

impl Drop for Pipeline {
    /// Lets go of every channel, which ends the threads, and waits for them.
    fn drop(&mut self) {
        self.wake = None;
        self.queues.clear();
        (_, self.announcements) = bounded(0);
        for thread in self.threads.drain(..) {
            // Its message, if it panicked, is in the log.
            let _ = thread.join();
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, PortError> {
    std::thread::Builder::new()
        .name(format!("source-{name}"))
        .spawn(run)
        .map_err(|error| PortError::Stop(format!("cannot start a {name} thread: {error}")))
}

/// The reading thread.
struct Reader<O: Origin> {
    origin: O,
    prefetch: usize,
    work: Sender<Work>,
    announce: Sender<Announcement>,
    woken: Receiver<()>,
    /// Per partition; `None` after its end.
    feeds: Vec<Option<(O::Feed, Sender<Ahead>)>>,
    scanned: Instant,
}

/// What a look at one partition came to.
enum Step {
    Progress,
    Nothing,
    /// Nobody listens any more.
    Stopped,
}

impl<O: Origin> Reader<O> {
    fn run(mut self) {
        loop {
            let mut progress = false;
            for place in 0..self.feeds.len() {
                match self.step(place) {
                    Step::Progress => progress = true,
                    Step::Nothing => {}
                    Step::Stopped => return,
                }
            }
            if self.origin.live() && self.scanned.elapsed() >= RESCAN && !self.look_for_partitions() {
                return;
            }
            if !progress && !self.rest() {
                return;
            }
        }
    }

    fn add(&mut self, name: &str) -> Receiver<Ahead> {
        let partition = Partition(self.feeds.len() as u32);
        let (sender, queue) = bounded(self.prefetch);
        self.feeds.push(Some((self.origin.feed(name, partition), sender)));
        queue
    }

    /// Reads a block of one partition, if there is room and something to read.
    fn step(&mut self, place: usize) -> Step {
        let Some((feed, queue)) = &mut self.feeds[place] else { return Step::Nothing };
        if queue.is_full() {
            return Step::Nothing;
        }
        let end = match self.origin.next(feed) {
            Ok(Cut::Waiting) => return Step::Nothing,
            Ok(Cut::Block(block)) => {
                let (reply, answer) = bounded(1);
                let sent = queue.try_send(Ahead::Block(answer));
                if matches!(sent, Err(TrySendError::Disconnected(_))) || self.work.send(Work { block, reply }).is_err()
                {
                    return Step::Stopped;
                }
                return Step::Progress;
            }
            Ok(Cut::End) => Ahead::End,
            Err(error) => Ahead::Failed(error),
        };
        // There was room, and only this thread fills the queue.
        let stopped = queue.try_send(end).is_err();
        self.feeds[place] = None;
        if stopped { Step::Stopped } else { Step::Progress }
    }

    /// Waits for room or, where partitions may have nothing for now, for time to pass. False when there is nothing left
    /// to wait for.
    fn rest(&self) -> bool {
        let all_ended = self.feeds.iter().all(Option::is_none);
        if all_ended && !self.origin.live() {
            return false;
        }
        if self.origin.waits() {
            return !matches!(self.woken.recv_timeout(POLL), Err(RecvTimeoutError::Disconnected));
        }
        self.woken.recv().is_ok()
    }

    /// False when nobody listens any more.
    fn look_for_partitions(&mut self) -> bool {
        self.scanned = Instant::now();
        let found = match self.origin.discover() {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "cannot look for new files; trying again");
                return true;
            }
        };
        found.into_iter().all(|name| {
            let queue = self.add(&name);
            self.announce.send(Announcement { name, queue }).is_ok()
        })
    }
}
