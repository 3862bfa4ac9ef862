//! Content of checkpoints in a folder, by fingerprint: stored once, however many checkpoints have it.

use super::error::CheckpointError;
use super::place::{Stored, Tenure, object_name};
use crate::durable::{self, Fingerprint};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The folder of objects.
pub(super) struct Objects {
    folder: PathBuf,
}

/// The ending of an object that is being written.
const PARTIAL: &str = "partial";
/// The ending of an object found damaged: out of the way, so that the next checkpoint stores the content anew.
const DAMAGED: &str = "damaged";

impl Objects {
    pub(super) fn open(folder: PathBuf) -> Result<Self, CheckpointError> {
        durable::create_folders(&folder).map_err(|error| CheckpointError::refused("create", &folder, &error))?;
        Ok(Self { folder })
    }

    pub(super) fn path(&self, stored: &Stored) -> PathBuf {
        self.folder.join(object_name(stored))
    }

    /// Stores the file at `path` as `tenure`'s own. `known` is what a file of this name was stored as in the last
    /// checkpoint: if the object is still the very same file, linked, it is not even read.
    ///
    /// Only files that are never changed once written (`.sst`) are linked; all others are copied.
    pub(super) fn store(
        &self,
        path: &Path,
        known: Option<&Stored>,
        tenure: Tenure,
    ) -> Result<Fingerprint, CheckpointError> {
        let refused = |error: io::Error| CheckpointError::refused("store", path, &error);
        if let Some(known) = known
            && same_file(path, &self.path(known)).map_err(refused)?
            && (known.tenure == tenure || self.take_over(known, tenure).map_err(refused)?)
        {
            return Ok(known.content.clone());
        }
        let immutable = path.extension().is_some_and(|extension| extension == "sst");
        if immutable { self.link(path, known, tenure) } else { self.copy(path, tenure) }.map_err(refused)
    }

    fn link(&self, path: &Path, known: Option<&Stored>, tenure: Tenure) -> io::Result<Fingerprint> {
        let own = Stored { tenure, content: Fingerprint::of_file(path)? };
        let object = self.path(&own);
        if self.has(&own)? {
            return Ok(own.content);
        }
        if fs::hard_link(path, &object).is_ok() {
            File::open(&object)?.sync_all()?;
            return Ok(own.content);
        }
        // Another file system, or one without links. What an earlier owner stored is on the right one.
        if let Some(known) = known.filter(|known| known.content == own.content)
            && self.take_over(known, tenure)?
        {
            return Ok(own.content);
        }
        self.copy(path, tenure)
    }

    /// Gives what an earlier owner stored a name of this one's own. False where that cannot be.
    fn take_over(&self, known: &Stored, tenure: Tenure) -> io::Result<bool> {
        let own = Stored { tenure, content: known.content.clone() };
        if !self.has(known)? {
            return Ok(false);
        }
        // It may be gone meanwhile; or have this name already, and then it is there.
        let linked = fs::hard_link(self.path(known), self.path(&own));
        Ok(linked.is_ok() || self.has(&own)?)
    }

    fn copy(&self, path: &Path, tenure: Tenure) -> io::Result<Fingerprint> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("{}incoming-{serial}.{PARTIAL}", tenure.prefix()));
        let mut output = File::create(&temporary)?;
        let own = Stored { tenure, content: durable::copy_hashed(&mut File::open(path)?, &mut output)? };
        if self.has(&own)? {
            durable::remove_file(&temporary)?;
        } else {
            output.sync_all()?;
            fs::rename(&temporary, self.path(&own))?;
        }
        Ok(own.content)
    }

    /// Whether there is an object of that name and length. Its content is verified when it is restored.
    fn has(&self, stored: &Stored) -> io::Result<bool> {
        match fs::metadata(self.path(stored)) {
            Ok(found) => Ok(found.len() == stored.content.bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes stored objects durable.
    pub(super) fn sync(&self) -> Result<(), CheckpointError> {
        durable::sync_folder(&self.folder).map_err(|error| CheckpointError::refused("sync", &self.folder, &error))
    }

    /// Moves a damaged object out of the way.
    pub(super) fn set_aside(&self, stored: &Stored) -> io::Result<()> {
        let path = self.path(stored);
        match fs::rename(&path, path.with_added_extension(DAMAGED)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes every object that is not in `used`, and that `tenure` may remove.
    pub(super) fn retain(&self, used: &BTreeSet<String>, tenure: Tenure) -> Result<(), CheckpointError> {
        let refused = |error: io::Error| CheckpointError::refused("remove files of", &self.folder, &error);
        for name in durable::entries(&self.folder).map_err(refused)? {
            if !used.contains(&name) && tenure.may_remove(&name) {
                durable::remove_file(&self.folder.join(name)).map_err(refused)?;
            }
        }
        Ok(())
    }
}

fn same_file(path: &Path, object: &Path) -> io::Result<bool> {
    let object = match fs::metadata(object) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        metadata => metadata?,
    };
    let path = fs::metadata(path)?;
    Ok((path.dev(), path.ino(), path.len()) == (object.dev(), object.ino(), object.len()))
}
