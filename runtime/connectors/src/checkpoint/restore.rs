//! Restoring a checkpoint: every byte is verified before anything is called restored.

use super::error::CheckpointError;
use super::manifest::{Manifest, StoredFile};
use super::place::object_name;
use super::store::Checkpoints;
use crate::durable;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use tidemark_engine::ids::Epoch;

/// A checkpoint that cannot be used, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// Which one.
    pub epoch: Epoch,
    /// What is wrong, for a person.
    pub detail: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the checkpoint of epoch {} is damaged: {}", self.epoch, self.detail)
    }
}

/// What was restored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// The epoch that the restored state is of.
    pub epoch: Epoch,
    /// Newer checkpoints that were passed over, newest first. Log them.
    pub damaged: Vec<Damage>,
}

impl Checkpoints {
    /// Restores the newest checkpoint that is whole into the new or empty folder `into`.
    ///
    /// `None` where no checkpoint was ever kept.
    ///
    /// # Errors
    /// [`CheckpointError::AllDamaged`] where there are some and none is whole; `into` is as before then.
    pub fn restore_newest(&self, into: &Path) -> Result<Option<Restored>, CheckpointError> {
        let mut damaged = Vec::new();
        let epochs = self.epochs()?;
        if let Some(newest) = self.newest_saved()?.filter(|newest| epochs.last().is_none_or(|last| last < newest)) {
            damaged.push(Damage { epoch: newest, detail: "its manifest is missing".to_owned() });
        }
        for epoch in epochs.into_iter().rev() {
            match self.restore(epoch, into) {
                Ok(()) => return Ok(Some(Restored { epoch, damaged })),
                Err(CheckpointError::Damaged(damage)) => damaged.push(damage),
                Err(error) => return Err(error),
            }
        }
        if damaged.is_empty() {
            return Ok(None);
        }
        Err(CheckpointError::AllDamaged { place: self.place.describe(), damaged })
    }

    /// Restores the checkpoint of `epoch` into the new or empty folder `into`, which is as before on any error.
    pub fn restore(&self, epoch: Epoch, into: &Path) -> Result<(), CheckpointError> {
        let refused = |error: io::Error| CheckpointError::refused("restore into", into, &error);
        if !durable::entries(into).map_err(refused)?.is_empty() {
            return Err(CheckpointError::Occupied(into.to_owned()));
        }
        let manifest = self.whole_manifest(epoch)?;
        // Beside the target, so that one rename makes the whole appear.
        let temporary = into.with_added_extension("restoring");
        durable::remove_folder(&temporary).map_err(refused)?;
        durable::create_folders(&temporary).map_err(refused)?;
        for file in &manifest.files {
            if let Err(error) = self.restore_file(&manifest, file, &temporary) {
                durable::remove_folder(&temporary).map_err(refused)?;
                return Err(error);
            }
        }
        fs::rename(&temporary, into).map_err(refused)?;
        into.parent().map_or(Ok(()), durable::sync_folder).map_err(refused)
    }

    /// Verifies the checkpoint of `epoch` without restoring it.
    pub fn verify(&self, epoch: Epoch) -> Result<(), CheckpointError> {
        let manifest = self.whole_manifest(epoch)?;
        manifest.files.iter().try_for_each(|file| {
            let mut nowhere = io::sink();
            self.copy_object(&manifest, file, Path::new(&file.path), &mut nowhere)
        })
    }

    fn whole_manifest(&self, epoch: Epoch) -> Result<Manifest, CheckpointError> {
        self.manifest(epoch)?.map_err(|detail| CheckpointError::Damaged(Damage { epoch, detail }))
    }

    fn restore_file(&self, manifest: &Manifest, file: &StoredFile, folder: &Path) -> Result<(), CheckpointError> {
        let path = folder.join(&file.path);
        let refused = |error: io::Error| CheckpointError::refused("restore", &path, &error);
        path.parent().map_or(Ok(()), durable::create_folders).map_err(refused)?;
        let mut output = File::create(&path).map_err(refused)?;
        self.copy_object(manifest, file, &path, &mut output)?;
        output.sync_all().map_err(refused)?;
        path.parent().map_or(Ok(()), durable::sync_folder).map_err(refused)
    }

    /// Copies the content of `file`, which may turn out to be damaged only at its end.
    fn copy_object(
        &self,
        manifest: &Manifest,
        file: &StoredFile,
        to: &Path,
        output: &mut dyn io::Write,
    ) -> Result<(), CheckpointError> {
        let stored = manifest.stored(file);
        let sound = self.place.load(&stored, to, output)?;
        sound.map_err(|what| {
            let detail = format!("{} (stored as {}) {what}", file.path, object_name(&stored));
            CheckpointError::Damaged(Damage { epoch: manifest.epoch, detail })
        })
    }
}
