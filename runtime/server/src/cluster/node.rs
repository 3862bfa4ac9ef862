//! One node: runs the pieces that it owns, each on a thread of its own.

use super::piece::{PieceId, Pieces};
use super::undone::{Undone, job_files};
use crate::catalogue::JobCatalogue;
use crate::telemetry::PieceTelemetry;
use crate::wiring::OpenJob;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tidemark_connectors::kafka::{OwnedPartition, Owner};
use tidemark_engine::Step;
use tidemark_engine::fail_point::Hook;
use tidemark_engine::telemetry::Telemetry;

/// How often in a row a piece is opened again that fails before it has committed anything: whoever owned it before may
/// still be about to hear that it does not any more.
const ATTEMPTS: u32 = 8;

/// The pause before the second attempt; each further one is twice as long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// What pieces share.
pub(super) struct Shared {
    pub(super) pieces: Pieces,
    pub(super) catalogue: Arc<JobCatalogue>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) shown: Arc<PieceTelemetry>,
    pub(super) hook: Hook,
    /// Why the node cannot go on, if so.
    failure: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn new(
        pieces: Pieces,
        catalogue: Arc<JobCatalogue>,
        telemetry: Arc<Telemetry>,
        shown: Arc<PieceTelemetry>,
        hook: Hook,
    ) -> Arc<Self> {
        Arc::new(Self { pieces, catalogue, telemetry, shown, hook, failure: Mutex::default() })
    }

    /// Why the node cannot go on, if so.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fail(&self, message: String) {
        // The first reason is the one that counts.
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
    }
}

/// The pieces that this node owns.
pub(super) struct Node {
    shared: Arc<Shared>,
    running: BTreeMap<PieceId, RunningPiece>,
}

struct RunningPiece {
    orders: Arc<Orders>,
    thread: JoinHandle<()>,
}

/// What a piece's thread is told.
#[derive(Default)]
struct Orders {
    /// To end.
    stop: AtomicBool,
    /// To end without another word: the piece is somebody else's.
    lost: AtomicBool,
}

impl Orders {
    fn is_told_to_end(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

impl Node {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, running: BTreeMap::new() }
    }

    /// Tells pieces to end, all at once, and waits until they have.
    fn end(&mut self, partitions: Vec<OwnedPartition>, lost: bool) {
        let ids = partitions.into_iter().map(|(topic, partition)| PieceId { topic, partition });
        let ending: Vec<(PieceId, RunningPiece)> =
            ids.filter_map(|id| self.running.remove(&id).map(|piece| (id, piece))).collect();
        for (_, piece) in &ending {
            piece.orders.lost.store(lost, Ordering::Release);
            piece.orders.stop.store(true, Ordering::Release);
        }
        for (id, piece) in ending {
            if piece.thread.join().is_err() {
                self.shared.fail(format!("the thread of {id} has panicked: standard error says why"));
            }
        }
    }
}

impl Owner for Node {
    fn granted(&mut self, partitions: Vec<OwnedPartition>) {
        for (topic, partition) in partitions {
            let id = PieceId { topic, partition };
            let orders = Arc::new(Orders::default());
            let (shared, own, told) = (Arc::clone(&self.shared), id.clone(), Arc::clone(&orders));
            let name = format!("piece {id}");
            match std::thread::Builder::new().name(name).spawn(move || run(&shared, &own, &told)) {
                Ok(thread) => drop(self.running.insert(id, RunningPiece { orders, thread })),
                Err(error) => self.shared.fail(format!("cannot start a thread for {id}: {error}")),
            }
        }
    }

    fn revoked(&mut self, partitions: Vec<OwnedPartition>) {
        self.end(partitions, false);
    }

    fn lost(&mut self, partitions: Vec<OwnedPartition>) {
        self.end(partitions, true);
    }
}

/// Runs a piece until it is told to end. What fails is tried again: another node may have been taken for dead too early, or
/// may not have heard yet that the piece has moved.
fn run(shared: &Shared, id: &PieceId, orders: &Orders) {
    let (mut failed, mut pause) = (0, FIRST_PAUSE);
    while !orders.is_told_to_end() {
        shared.shown.begin(&id.to_string());
        let mut has_committed = false;
        let ended = drive(shared, id, orders, &mut has_committed);
        shared.shown.end(&id.to_string());
        let Err(error) = ended else { return };
        if orders.is_told_to_end() {
            tracing::info!(piece = %id, error = format!("{error:#}"), "a piece that was given up had failed");
            return;
        }
        if has_committed {
            (failed, pause) = (0, FIRST_PAUSE);
        }
        failed += 1;
        if failed >= ATTEMPTS {
            shared.fail(format!("{id}: {error:#}"));
            return;
        }
        tracing::warn!(piece = %id, error = format!("{error:#}"), ?pause, "a piece is opened again");
        let until = Instant::now() + pause;
        while Instant::now() < until && !orders.is_told_to_end() {
            std::thread::sleep(Duration::from_millis(20));
        }
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

fn drive(shared: &Shared, id: &PieceId, orders: &Orders, has_committed: &mut bool) -> anyhow::Result<()> {
    // Now that the piece is this node's: who takes the job back makes sure that no node owns anything.
    let undone = Undone::read(&job_files(&shared.pieces.config)?)?;
    if let Some(savepoint) = &undone.restoring {
        anyhow::bail!(
            "the job is being taken back to savepoint {savepoint}: end that with `tidemark savepoint restore`"
        );
    }
    let Some((config, metrics)) = shared.pieces.job(id, &undone) else {
        anyhow::bail!("this job has no such piece: another version of its configuration shares out other topics");
    };
    let opened =
        OpenJob::open(&config, metrics, shared.catalogue.clone(), shared.telemetry.clone(), shared.hook.clone());
    let mut job = opened?;
    job.committed()?;
    let name = id.to_string();
    let begun = job.engine.progress().epoch;
    tracing::info!(piece = %id, epoch = %begun, "a piece runs here");
    while !orders.is_told_to_end() {
        if job.engine.at_epoch_boundary() {
            job.committed()?;
            let progress = job.engine.progress();
            *has_committed |= progress.epoch > begun;
            shared.shown.show(&name, progress.epoch.0, progress.watermark);
        }
        if job.engine.step()? == Step::Finished {
            anyhow::bail!("its input has ended, which a topic does not");
        }
    }
    if !orders.lost.load(Ordering::Acquire) {
        let progress = job.engine.hand_over()?;
        tracing::info!(piece = %id, epoch = %progress.epoch, "a piece is given up");
    }
    Ok(())
}
