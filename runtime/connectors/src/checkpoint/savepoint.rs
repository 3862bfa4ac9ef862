//! Savepoints: checkpoints with a name, which stay until somebody removes them.

use super::error::CheckpointError;
use super::manifest::Manifest;
use super::store::{CheckpointInfo, Checkpoints, NEWEST, manifest_name};
use tidemark_engine::ids::Epoch;

impl Checkpoints {
    /// The savepoints, oldest first.
    pub fn savepoints(&self) -> Result<Vec<CheckpointInfo>, CheckpointError> {
        Ok(self.list()?.into_iter().filter(|checkpoint| checkpoint.name.is_some()).collect())
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
