//! Checkpoints in a local folder.

use super::error::CheckpointError;
use super::folder_objects::Objects;
use super::place::{MANIFESTS, OBJECTS, Place, Stored, Tenure, compare, object_name};
use crate::durable::{self, Fingerprint};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A folder of checkpoints.
pub(super) struct Folder {
    folder: PathBuf,
    objects: Objects,
}

impl Folder {
    /// Opens it, created if it is missing.
    pub(super) fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let manifests = folder.join(MANIFESTS);
        durable::create_folders(&manifests).map_err(|error| CheckpointError::refused("create", &manifests, &error))?;
        Ok(Self { folder: folder.to_owned(), objects: Objects::open(folder.join(OBJECTS))? })
    }
}

impl Place for Folder {
    fn manifests(&self) -> Result<Vec<String>, CheckpointError> {
        let folder = self.folder.join(MANIFESTS);
        durable::entries(&folder).map_err(|error| CheckpointError::refused("list", &folder, &error))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, CheckpointError> {
        let path = self.folder.join(name);
        match fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CheckpointError::refused("read", &path, &error)),
        }
    }

    fn write(&self, name: &str, content: &[u8], tenure: Tenure) -> Result<(), CheckpointError> {
        let path = self.folder.join(name);
        // Of two owners neither writes into the other's half of a file.
        let partial = path.with_added_extension(format!("{}partial", tenure.prefix()));
        durable::write_by_way_of(&partial, &path, content)
            .map_err(|error| CheckpointError::refused("write", &path, &error))
    }

    fn remove(&self, names: &[String]) -> Result<(), CheckpointError> {
        for name in names {
            let path = self.folder.join(name);
            durable::remove_file(&path).map_err(|error| CheckpointError::refused("remove", &path, &error))?;
        }
        let manifests = self.folder.join(MANIFESTS);
        durable::sync_folder(&manifests).map_err(|error| CheckpointError::refused("sync", &manifests, &error))
    }

    fn keep(&self, path: &Path, known: Option<&Stored>, tenure: Tenure) -> Result<Fingerprint, CheckpointError> {
        self.objects.store(path, known, tenure)
    }

    fn sync(&self) -> Result<(), CheckpointError> {
        self.objects.sync()
    }

    fn load(
        &self,
        stored: &Stored,
        to: &Path,
        mut output: &mut dyn Write,
    ) -> Result<Result<(), String>, CheckpointError> {
        let object = self.objects.path(stored);
        let input = match File::open(&object) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err("is missing".to_owned())),
            input => input.map_err(|error| CheckpointError::refused("read", &object, &error))?,
        };
        let mut input = NotingReader { inner: input, failed: false };
        let found = match durable::copy_hashed(&mut input, &mut output) {
            Err(error) if input.failed => return Ok(Err(format!("cannot be read: {error}"))),
            found => found.map_err(|error| CheckpointError::refused("restore", to, &error))?,
        };
        let sound = compare(&stored.content, &found);
        if sound.is_err()
            && let Err(error) = self.objects.set_aside(stored)
        {
            tracing::warn!(object = %object.display(), %error, "a damaged file of a checkpoint cannot be moved aside");
        }
        Ok(sound)
    }

    fn retain(&self, used: &BTreeSet<Stored>, tenure: Tenure) -> Result<(), CheckpointError> {
        self.objects.retain(&used.iter().map(object_name).collect(), tenure)
    }

    fn describe(&self) -> String {
        self.folder.display().to_string()
    }
}

/// Remembers whether an error came from reading: a disk that cannot read a file has damaged it.
struct NotingReader<R> {
    inner: R,
    failed: bool,
}

impl<R: io::Read> io::Read for NotingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(buffer);
        self.failed |= matches!(&result, Err(error) if error.kind() != io::ErrorKind::Interrupted);
        result
    }
}
