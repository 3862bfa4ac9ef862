//! The checkpoint store as the engine drives it.

use crate::config::Config;
use crate::folder;
use anyhow::Context as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidemark_connectors::checkpoint::{
    CheckpointError, CheckpointSettings, Checkpoints, CheckpointsOnThread, Restored,
};
use tidemark_engine::fail_point::Hook;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::{CheckpointStore, PortError};

/// The checkpoints of a job, and the folder in which their images are made.
pub(super) struct JobCheckpoints {
    store: SharedCheckpoints,
    /// Whether saving takes longer than the engine can wait.
    is_far: bool,
    snapshot_folder: PathBuf,
}

/// The checkpoints of a job, where it keeps them.
pub(super) fn open(config: &Config, hook: Hook) -> Result<Checkpoints, CheckpointError> {
    let settings = CheckpointSettings { keep: config.checkpoint.keep };
    let opened = match &config.checkpoint.store {
        None => Checkpoints::open(&config.checkpoints(), settings, hook),
        Some(store) => Checkpoints::open_store(store, settings, hook),
    };
    // Who owned a piece before may not have heard yet that it has lost it.
    Ok(if config.piece.is_some() { opened?.shared() } else { opened? })
}

impl JobCheckpoints {
    /// Opens the store and removes images that a crash left.
    pub(super) fn open(config: &Config, hook: Hook) -> anyhow::Result<Self> {
        let store = SharedCheckpoints::new(open(config, hook)?);
        remove_images(&config.data.dir)
            .with_context(|| format!("cannot remove images from {}", config.data.dir.display()))?;
        let snapshot_folder = config.data.dir.join(SNAPSHOT);
        Ok(Self { store, is_far: config.checkpoint.store.is_some(), snapshot_folder })
    }

    /// Where the engine makes images: on the file system of the state, so that files are linked and not copied.
    pub(super) fn snapshot_folder(&self) -> &Path {
        &self.snapshot_folder
    }

    /// See [`Checkpoints::restore_newest`].
    pub(super) fn restore_newest(&self, into: &Path) -> Result<Option<Restored>, CheckpointError> {
        self.store.with(|store| store.restore_newest(into))
    }

    /// The epoch of the newest checkpoint, sound or not.
    pub(super) fn newest(&self) -> Result<Option<Epoch>, CheckpointError> {
        let listed = self.store.with(|store| store.list())?;
        Ok(listed.iter().map(|checkpoint| checkpoint.epoch).max())
    }

    /// The same store, for whoever keeps savepoints while the engine runs.
    pub(super) fn store(&self) -> SharedCheckpoints {
        self.store.clone()
    }

    /// What the engine drives.
    pub(super) fn into_port(self) -> Result<Box<dyn CheckpointStore>, PortError> {
        if self.is_far {
            return Ok(Box::new(CheckpointsOnThread::start(Box::new(self.store))?));
        }
        Ok(Box::new(self))
    }
}

/// The store of a job that runs, for the engine and for whoever keeps savepoints meanwhile: one at a time.
#[derive(Clone)]
pub struct SharedCheckpoints(Arc<Shared>);

struct Shared {
    store: Mutex<Checkpoints>,
    /// The epoch of a savepoint that is on its way to the store.
    claimed: Mutex<Option<Epoch>>,
}

/// Holds the tick log behind an epoch of which a savepoint is on its way.
pub(crate) struct Claim(Arc<Shared>);

impl SharedCheckpoints {
    fn new(store: Checkpoints) -> Self {
        Self(Arc::new(Shared { store: Mutex::new(store), claimed: Mutex::default() }))
    }

    /// Does something with the store, when it is nobody else's turn.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Checkpoints) -> T) -> T {
        work(&mut lock(&self.0.store))
    }

    /// Keeps the tick log behind `epoch` until a savepoint of it is kept.
    pub(crate) fn claim(&self, epoch: Epoch) -> Claim {
        *lock(&self.0.claimed) = Some(epoch);
        Claim(Arc::clone(&self.0))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        *lock(&self.0.claimed) = None;
    }
}

impl CheckpointStore for SharedCheckpoints {
    fn save(&mut self, epoch: Epoch, folder: &Path) -> Result<(), PortError> {
        self.with(|store| store.save(epoch, folder))
    }

    fn oldest(&self) -> Result<Option<Epoch>, PortError> {
        // First: a savepoint that is kept in between is in the store.
        let claimed = *lock(&self.0.claimed);
        let kept = self.with(|store| store.oldest())?;
        Ok(kept.into_iter().chain(claimed).min())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the image of a savepoint is made, below the data folder `data`.
pub(crate) fn savepoint_image(data: &Path, epoch: Epoch) -> PathBuf {
    data.join(format!("{SNAPSHOT}.e{:012}.savepoint", epoch.0))
}

/// The folder of images, and the beginning of the names of those that are on their way to a store.
const SNAPSHOT: &str = "snapshot";

impl CheckpointStore for JobCheckpoints {
    fn save(&mut self, epoch: Epoch, folder: &Path) -> Result<(), PortError> {
        CheckpointStore::save(&mut self.store, epoch, folder)?;
        // The next image is made in the same place.
        folder::remove(folder).map_err(|error| PortError::Stop(error.to_string()))
    }

    fn oldest(&self) -> Result<Option<Epoch>, PortError> {
        self.store.oldest()
    }
}

fn remove_images(data: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(data)? {
        let name = entry?.file_name();
        if name.to_str().is_some_and(|name| name == SNAPSHOT || name.starts_with("snapshot.e")) {
            folder::remove(&data.join(name))?;
        }
    }
    Ok(())
}
