//! Saving checkpoints on a thread of its own: sending an image to an object store takes longer than the engine can wait.
//!
//! One image at a time: what is due while one is on its way is left out, and the tick log reaches further back instead.
//! A store that is away is tried again until it is there, since nothing depends on a checkpoint but the length of a
//! recovery; what only a person can mend is told to the engine with the next checkpoint.

use crate::durable;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::{CheckpointStore, PortError};

/// Pauses between attempts: they double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A checkpoint store behind a thread.
pub struct CheckpointsOnThread {
    /// `None` while the thread ends.
    images: Option<Sender<(Epoch, PathBuf)>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_busy: AtomicBool,
    /// Nobody waits for the store any more.
    is_ending: AtomicBool,
    oldest: Mutex<Option<Epoch>>,
    failure: Mutex<Option<PortError>>,
}

impl CheckpointsOnThread {
    /// Starts the thread. The store is asked for its oldest checkpoint first.
    pub fn start(store: Box<dyn CheckpointStore>) -> Result<Self, PortError> {
        let shared = Arc::new(Shared { oldest: Mutex::new(store.oldest()?), ..Shared::default() });
        let (images, received) = bounded(1);
        let told = shared.clone();
        let thread = std::thread::Builder::new().name("checkpoints".to_owned());
        let thread = thread.spawn(move || run(store, &received, &told));
        let thread = thread.map_err(|error| PortError::Stop(format!("cannot start a thread: {error}")))?;
        Ok(Self { images: Some(images), shared, thread: Some(thread) })
    }
}

impl CheckpointStore for CheckpointsOnThread {
    fn save(&mut self, epoch: Epoch, folder: &Path) -> Result<(), PortError> {
        if let Some(failure) = lock(&self.shared.failure).take() {
            return Err(failure);
        }
        let refused = |error| durable::port_error("move", folder, &error);
        if self.shared.is_busy.load(Ordering::Acquire) {
            tracing::warn!(%epoch, "no checkpoint: the one before is still on its way to the store");
            return durable::remove_folder(folder).map_err(refused);
        }
        // The engine makes its next image in the same place.
        let image = folder.with_added_extension(format!("e{:012}", epoch.0));
        durable::remove_folder(&image).and_then(|()| fs::rename(folder, &image)).map_err(refused)?;
        self.shared.is_busy.store(true, Ordering::Release);
        let images = self.images.as_ref().expect("taken only when dropped");
        images.send((epoch, image)).map_err(|_| {
            PortError::Stop("the thread that saves checkpoints has ended: standard error says why".to_owned())
        })
    }

    fn oldest(&self) -> Result<Option<Epoch>, PortError> {
        Ok(*lock(&self.shared.oldest))
    }
}

impl Drop for CheckpointsOnThread {
    fn drop(&mut self) {
        self.images = None;
        self.shared.is_ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that saves checkpoints has panicked");
        }
    }
}

fn run(mut store: Box<dyn CheckpointStore>, images: &Receiver<(Epoch, PathBuf)>, shared: &Shared) {
    while let Ok((epoch, image)) = images.recv() {
        match save(&mut *store, epoch, &image, shared) {
            Ok(oldest) => *lock(&shared.oldest) = oldest,
            Err(PortError::Retry(message)) => tracing::error!(%epoch, message, "a checkpoint was not saved"),
            Err(error) => {
                tracing::error!(%epoch, %error, "a checkpoint was not saved");
                *lock(&shared.failure) = Some(error);
            }
        }
        if let Err(error) = durable::remove_folder(&image) {
            tracing::warn!(image = %image.display(), %error, "the image of a checkpoint cannot be removed");
        }
        shared.is_busy.store(false, Ordering::Release);
    }
}

/// Saves an image, however long the store is away, unless the run ends.
fn save(
    store: &mut dyn CheckpointStore,
    epoch: Epoch,
    image: &Path,
    shared: &Shared,
) -> Result<Option<Epoch>, PortError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match store.save(epoch, image).and_then(|()| store.oldest()) {
            Err(PortError::Retry(message)) if !shared.is_ending.load(Ordering::Acquire) => {
                tracing::warn!(%epoch, message, ?pause, "a checkpoint is tried again");
                std::thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
