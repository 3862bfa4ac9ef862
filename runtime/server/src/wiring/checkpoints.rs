//! The checkpoint store as the engine drives it.

use crate::config::Config;
use anyhow::Context as _;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use tidemark_connectors::checkpoint::{CheckpointError, CheckpointSettings, LocalCheckpoints, Restored};
use tidemark_engine::fail_point::Hook;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::{CheckpointStore, PortError};

/// Checkpoints below the data folder, and the folder in which their images are made.
pub(super) struct Checkpoints {
    store: LocalCheckpoints,
    snapshot_folder: PathBuf,
}

impl Checkpoints {
    /// Opens the store and removes an image that a crash left.
    pub(super) fn open(config: &Config, hook: Hook) -> anyhow::Result<Self> {
        let settings = CheckpointSettings { keep: config.checkpoint.keep };
        let store = LocalCheckpoints::open(&config.checkpoints(), settings, hook)?;
        let snapshot_folder = config.data.dir.join("snapshot");
        remove(&snapshot_folder).with_context(|| format!("cannot remove {}", snapshot_folder.display()))?;
        Ok(Self { store, snapshot_folder })
    }

    /// Where the engine makes images: on the file system of the state, so that files are linked and not copied.
    pub(super) fn snapshot_folder(&self) -> &Path {
        &self.snapshot_folder
    }

    /// See [`LocalCheckpoints::restore_newest`].
    pub(super) fn restore_newest(&self, into: &Path) -> Result<Option<Restored>, CheckpointError> {
        self.store.restore_newest(into)
    }
}

impl CheckpointStore for Checkpoints {
    fn save(&mut self, epoch: Epoch, folder: &Path) -> Result<(), PortError> {
        self.store.save(epoch, folder)?;
        // The next image is made in the same place.
        remove(folder).map_err(|error| PortError::Stop(format!("cannot remove {}: {error}", folder.display())))
    }

    fn oldest(&self) -> Result<Option<Epoch>, PortError> {
        Ok(self.store.oldest()?)
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
