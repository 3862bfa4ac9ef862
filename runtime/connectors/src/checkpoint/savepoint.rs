//! Savepoints: checkpoints with a name, which stay until somebody removes them.

use super::error::CheckpointError;
use super::manifest::Manifest;
use super::store::{CheckpointInfo, Checkpoints, NEWEST, manifest_name};
use std::path::Path;
use tidemark_engine::ids::Epoch;

/// Why a savepoint is not kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// Another one has the name.
    #[error("there is a savepoint {name} already, of epoch {epoch}: remove it, or choose another name")]
    NameTaken {
        /// The name.
        name: String,
        /// What it is of.
        epoch: Epoch,
    },
    /// The epoch has a name already.
    #[error("epoch {epoch} is kept already, as savepoint {name}, and nothing was committed since")]
    EpochTaken {
        /// Its name.
        name: String,
        /// The epoch.
        epoch: Epoch,
    },
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] CheckpointError),
}

impl Checkpoints {
    /// The savepoints, oldest first.
    pub fn savepoints(&self) -> Result<Vec<CheckpointInfo>, CheckpointError> {
        Ok(self.list()?.into_iter().filter(|checkpoint| checkpoint.name.is_some()).collect())
    }

    /// Makes the checkpoint of `epoch` the savepoint `name`. False where there is no such checkpoint, or none that can be read.
    ///
    /// # Errors
    /// [`NotKept`] where the name or the epoch is taken.
    pub fn name(&self, epoch: Epoch, name: &str) -> Result<bool, NotKept> {
        for CheckpointInfo { epoch: other, name: taken, .. } in self.savepoints()? {
            match taken {
                Some(taken) if taken == name => return Err(NotKept::NameTaken { name: taken, epoch: other }),
                Some(taken) if other == epoch => return Err(NotKept::EpochTaken { name: taken, epoch }),
                _ => {}
            }
        }
        Ok(self.rename(epoch, Some(name))?)
    }

    /// Keeps the image in `folder`, of `epoch`, as the savepoint `name`, which nobody else has: see [`Self::name`].
    pub fn save_as(&mut self, name: &str, epoch: Epoch, folder: &Path) -> Result<(), NotKept> {
        Ok(self.save_files(epoch, folder, Some(name))?)
    }

    /// Gives the checkpoint of `epoch` a name, or takes it away. False where there is none, or none that can be read.
    pub fn rename(&self, epoch: Epoch, name: Option<&str>) -> Result<bool, CheckpointError> {
        if !self.epochs()?.contains(&epoch) {
            return Ok(false);
        }
        let Ok(mut manifest) = self.manifest(epoch)? else { return Ok(false) };
        manifest.name = name.map(str::to_owned);
        self.place.write(&manifest_name(epoch), &manifest.to_bytes(), self.tenure())?;
        if name.is_none() {
            self.prune()?;
        }
        Ok(true)
    }

    /// Removes every checkpoint of a later epoch: nobody shall go on from there any more.
    pub fn forget_after(&self, epoch: Epoch) -> Result<(), CheckpointError> {
        // First, so that what is gone is not taken for lost.
        self.place.write(NEWEST, Manifest::file_name(epoch).as_bytes(), self.tenure())?;
        let later: Vec<String> = self.epochs()?.into_iter().filter(|other| *other > epoch).map(manifest_name).collect();
        self.place.remove(&later)?;
        self.prune()
    }
}
