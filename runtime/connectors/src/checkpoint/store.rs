//! Saving and listing checkpoints.

use super::error::CheckpointError;
use super::folder::Folder;
use super::manifest::{Manifest, StoredFile};
use super::place::{MANIFESTS, Place, Stored, Tenure};
use super::remote::Remote;
use crate::fail_point::FailPoint;
use crate::object_storage::ObjectStoreSettings;
use crate::side_by_side::side_by_side;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::{CheckpointStore, PortError};

const BEFORE: &str = "checkpoint.before";
const FILES_COPIED: &str = "checkpoint.files_copied";
const MANIFEST_WRITTEN: &str = "checkpoint.manifest_written";
const PRUNED: &str = "checkpoint.pruned";

/// The steps at which a test may end the process.
pub const FAIL_POINTS: [&str; 4] = [BEFORE, FILES_COPIED, MANIFEST_WRITTEN, PRUNED];

/// Names the manifest that was written last, so that a store that lost its manifests is not taken for a new one.
pub(super) const NEWEST: &str = "newest";

/// How checkpoints are kept.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointSettings {
    /// The newest so many stay.
    pub keep: usize,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self { keep: 3 }
    }
}

impl CheckpointSettings {
    /// Every mistake, one sentence each, names relative to this table.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        if (1..=1000).contains(&self.keep) {
            return Vec::new();
        }
        vec![format!("keep = {} must be from 1 to 1000", self.keep)]
    }
}

/// A stored checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckpointInfo {
    /// The epoch after which it was taken.
    pub epoch: Epoch,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// How many files it has.
    pub files: usize,
    /// Their bytes, content shared with other checkpoints included.
    pub bytes: u64,
    /// What is wrong with its manifest, where something is. Contents are verified when they are restored.
    pub damage: Option<String>,
}

/// The checkpoints of a job, in a local folder or an object store.
pub struct Checkpoints {
    pub(super) place: Box<dyn Place>,
    settings: CheckpointSettings,
    ownership: Ownership,
    fail_point: FailPoint,
}

/// Who else may use the place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ownership {
    /// Nobody.
    Sole,
    /// Processes that believe to own it, of which each has lost to those that came later.
    Shared(Option<Tenure>),
}

impl Checkpoints {
    /// Opens the store in `folder`, created if it is missing.
    pub fn open(folder: &Path, settings: CheckpointSettings, fail_point: FailPoint) -> Result<Self, CheckpointError> {
        Self::over(|| Ok(Box::new(Folder::open(folder)?)), settings, fail_point)
    }

    /// Opens a place in an object store; it is first asked when a checkpoint is saved or listed.
    pub fn open_store(
        store: &ObjectStoreSettings,
        settings: CheckpointSettings,
        fail_point: FailPoint,
    ) -> Result<Self, CheckpointError> {
        Self::over(|| Ok(Box::new(Remote::open(store)?)), settings, fail_point)
    }

    fn over(
        place: impl FnOnce() -> Result<Box<dyn Place>, CheckpointError>,
        settings: CheckpointSettings,
        fail_point: FailPoint,
    ) -> Result<Self, CheckpointError> {
        let mistakes = settings.mistakes();
        if !mistakes.is_empty() {
            let message = format!("settings of the checkpoint store: {}", mistakes.join("; "));
            return Err(PortError::Stop(message).into());
        }
        Ok(Self { place: place()?, settings, ownership: Ownership::Sole, fail_point })
    }

    /// The same where other processes may believe that the place is theirs, or come to own it. What they still need then
    /// stays, whatever this one does late: each stores content of its own, and removes nothing of those behind it.
    ///
    /// The first checkpoint that is saved, and each later one, must be of an epoch that this process alone has decided.
    #[must_use]
    pub fn shared(self) -> Self {
        Self { ownership: Ownership::Shared(None), ..self }
    }

    /// Whose what is written is.
    pub(super) fn tenure(&self) -> Tenure {
        match self.ownership {
            Ownership::Sole | Ownership::Shared(None) => Tenure::SOLE,
            Ownership::Shared(Some(tenure)) => tenure,
        }
    }

    /// Every checkpoint, oldest first.
    pub fn list(&self) -> Result<Vec<CheckpointInfo>, CheckpointError> {
        let described = self.epochs()?.into_iter().filter_map(|epoch| {
            let manifest = match self.manifest(epoch) {
                // Whoever keeps checkpoints has removed it meanwhile.
                Err(CheckpointError::Missing(_)) => return None,
                Err(error) => return Some(Err(error)),
                Ok(manifest) => manifest,
            };
            Some(Ok(match manifest {
                Ok(manifest) => CheckpointInfo {
                    epoch,
                    name: manifest.name,
                    files: manifest.files.len(),
                    bytes: manifest.files.iter().map(|file| file.content.bytes).sum(),
                    damage: None,
                },
                Err(damage) => CheckpointInfo { epoch, name: None, files: 0, bytes: 0, damage: Some(damage) },
            }))
        });
        described.collect()
    }

    /// The oldest checkpoint kept: the tick log must reach back to it.
    pub fn oldest(&self) -> Result<Option<Epoch>, CheckpointError> {
        Ok(self.epochs()?.first().copied())
    }

    /// Epochs that have a manifest, ascending.
    pub(super) fn epochs(&self) -> Result<Vec<Epoch>, CheckpointError> {
        Ok(self.place.manifests()?.iter().filter_map(|name| Manifest::epoch_of_file_name(name)).collect())
    }

    /// The epoch of the checkpoint that was saved last, as far as is known: `None` before the first.
    pub(super) fn newest_saved(&self) -> Result<Option<Epoch>, CheckpointError> {
        let content = self.place.read(NEWEST)?;
        let name = content.as_deref().and_then(|content| std::str::from_utf8(content).ok());
        Ok(name.and_then(Manifest::epoch_of_file_name))
    }

    /// The manifest of `epoch`; the inner error says what is wrong with it.
    pub(super) fn manifest(&self, epoch: Epoch) -> Result<Result<Manifest, String>, CheckpointError> {
        let content = self.place.read(&manifest_name(epoch))?.ok_or(CheckpointError::Missing(epoch))?;
        Ok(Manifest::parse(&content).and_then(|manifest| {
            let named_right = manifest.epoch == epoch;
            named_right.then_some(manifest).ok_or_else(|| "its manifest is that of another epoch".to_owned())
        }))
    }

    pub(super) fn save_files(
        &mut self,
        epoch: Epoch,
        folder: &Path,
        name: Option<&str>,
    ) -> Result<(), CheckpointError> {
        (self.fail_point)(BEFORE);
        if self.ownership == Ownership::Shared(None) {
            self.ownership = Ownership::Shared(Some(Tenure(epoch.0)));
        }
        let tenure = self.tenure();
        let known = self.newest_contents()?;
        let paths = files_below(folder).map_err(|error| CheckpointError::refused("list", folder, &error))?;
        let kept = side_by_side(paths, |_, path| {
            let content = self.place.keep(&folder.join(&path), known.get(&path), tenure)?;
            Ok(StoredFile { path, content })
        });
        let files = kept.into_iter().collect::<Result<Vec<_>, CheckpointError>>()?;
        self.place.sync()?;
        (self.fail_point)(FILES_COPIED);
        self.place.write(&manifest_name(epoch), &Manifest::new(epoch, name, tenure, files).to_bytes(), tenure)?;
        // Whoever is late is not the last.
        if self.epochs()?.last() == Some(&epoch) {
            self.place.write(NEWEST, Manifest::file_name(epoch).as_bytes(), tenure)?;
        }
        (self.fail_point)(MANIFEST_WRITTEN);
        self.prune()?;
        (self.fail_point)(PRUNED);
        Ok(())
    }

    /// What the files of the newest readable checkpoint are stored as, by path.
    fn newest_contents(&self) -> Result<BTreeMap<String, Stored>, CheckpointError> {
        for epoch in self.epochs()?.into_iter().rev() {
            if let Ok(manifest) = self.manifest(epoch)? {
                return Ok(manifest.files.iter().map(|file| (file.path.clone(), manifest.stored(file))).collect());
            }
        }
        Ok(BTreeMap::new())
    }

    /// Removes all but the newest checkpoints, then content that none of the others has.
    ///
    /// Only readable checkpoints count as kept, so damaged ones never push a good one out; they go when they are older
    /// than everything kept. Named checkpoints stay and do not count.
    pub(super) fn prune(&self) -> Result<(), CheckpointError> {
        let tenure = match self.ownership {
            Ownership::Sole => Tenure(u64::MAX),
            Ownership::Shared(Some(tenure)) => tenure,
            // It has decided nothing yet: whatever is there is somebody else's.
            Ownership::Shared(None) => return Ok(()),
        };
        let mut kept = 0;
        let (mut used, mut outdated) = (BTreeSet::new(), Vec::new());
        for epoch in self.epochs()?.into_iter().rev() {
            let manifest = self.manifest(epoch)?.ok();
            let named = manifest.as_ref().is_some_and(|manifest| manifest.name.is_some());
            if kept >= self.settings.keep && !named {
                outdated.push(manifest_name(epoch));
                continue;
            }
            kept += usize::from(manifest.is_some() && !named);
            used.extend(manifest.iter().flat_map(|manifest| manifest.files.iter().map(|file| manifest.stored(file))));
        }
        self.place.remove(&outdated)?;
        self.place.retain(&used, tenure)
    }
}

impl CheckpointStore for Checkpoints {
    fn save(&mut self, epoch: Epoch, folder: &Path) -> Result<(), PortError> {
        Ok(self.save_files(epoch, folder, None)?)
    }

    fn oldest(&self) -> Result<Option<Epoch>, PortError> {
        Ok(Self::oldest(self)?)
    }
}

pub(super) fn manifest_name(epoch: Epoch) -> String {
    format!("{MANIFESTS}/{}", Manifest::file_name(epoch))
}

/// Every file below `folder`, as paths relative to it, sorted.
fn files_below(folder: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(prefix) = folders.pop() {
        for entry in fs::read_dir(folder.join(&prefix))? {
            let entry = entry?;
            let name = entry.file_name().into_string();
            let name = name.map_err(|name| io::Error::other(format!("file name {} is not UTF-8", name.display())))?;
            let path = format!("{prefix}{name}");
            if entry.file_type()?.is_dir() { folders.push(format!("{path}/")) } else { found.push(path) }
        }
    }
    found.sort_unstable();
    Ok(found)
}
