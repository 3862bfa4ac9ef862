//! Small files of a whole job that several nodes run, beside the checkpoints of its pieces.

use crate::durable;
use crate::object_storage::{Bucket, ObjectStoreSettings};
use bytes::Bytes;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tidemark_engine::ports::PortError;

/// Where they are. Names are relative to it, with `/`.
pub struct JobFiles(Place);

enum Place {
    Folder(PathBuf),
    Store(Bucket),
}

impl JobFiles {
    /// In a folder that all nodes see.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self(Place::Folder(folder.to_owned()))
    }

    /// In an object store.
    ///
    /// # Errors
    /// [`PortError::Stop`] for wrong settings.
    pub fn in_store(store: &ObjectStoreSettings) -> Result<Self, PortError> {
        Ok(Self(Place::Store(Bucket::open(store)?)))
    }

    /// The content of a file, if it is there.
    ///
    /// # Errors
    /// [`PortError`] where the place cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        match &self.0 {
            Place::Store(bucket) => Ok(bucket.get(&bucket.object(name)?)?.map(Vec::from)),
            Place::Folder(folder) => match fs::read(folder.join(name)) {
                Ok(content) => Ok(Some(content)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(durable::port_error("read", &folder.join(name), &error)),
            },
        }
    }

    /// Writes a file, durably: a crash leaves the old content or the new one.
    ///
    /// # Errors
    /// [`PortError`] where the place cannot be written.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), PortError> {
        match &self.0 {
            Place::Store(bucket) => bucket.put(&bucket.object(name)?, Bytes::copy_from_slice(content)),
            Place::Folder(folder) => {
                let path = folder.join(name);
                let made = path.parent().map_or(Ok(()), durable::create_folders);
                let written = made.and_then(|()| durable::write_atomically(&path, content));
                written.map_err(|error| durable::port_error("write", &path, &error))
            }
        }
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// [`PortError`] where the place cannot be written.
    pub fn remove(&self, name: &str) -> Result<(), PortError> {
        match &self.0 {
            Place::Store(bucket) => bucket.delete(&bucket.object(name)?),
            Place::Folder(folder) => {
                let path = folder.join(name);
                durable::remove_file(&path).map_err(|error| durable::port_error("remove", &path, &error))
            }
        }
    }

    /// Names of what is right below `folder`: files, and folders.
    ///
    /// # Errors
    /// [`PortError`] where the place cannot be read.
    pub fn names(&self, folder: &str) -> Result<Vec<String>, PortError> {
        match &self.0 {
            Place::Store(bucket) => {
                let listed = bucket.list(folder)?;
                let files = listed.objects.iter().filter_map(|object| object.location.filename());
                let folders = listed.common_prefixes.iter().filter_map(|folder| folder.filename());
                Ok(files.chain(folders).map(str::to_owned).collect())
            }
            Place::Folder(root) => {
                let path = root.join(folder);
                durable::entries(&path).map_err(|error| durable::port_error("list", &path, &error))
            }
        }
    }
}
