//! A folder of the local file system: durable by syncing, visible by renaming.

use super::{Published, Storage};
use crate::durable::{self, Fingerprint};
use crate::sink::parquet::compaction::StoredFile;
use crate::sink::parquet::file_name::{FileName, split_visible};
use crate::sink::parquet::finalise::Check;
use crate::sink::parquet::handle::{Handle, PreparedFile, STAGING, staged_path, staging_folder};
use crate::sink::parquet::locks::Locks;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

/// The folder, held by this process alone.
pub(in super::super) struct LocalStorage {
    root: PathBuf,
    scratch: PathBuf,
    locks: Locks,
}

impl LocalStorage {
    /// Takes the folder `root`, created if it is missing.
    pub(in super::super) fn open(root: &Path) -> Result<Self, PortError> {
        let scratch = root.join(STAGING);
        let locks = Locks::take(&scratch).map_err(|error| durable::port_error("open", root, &error))?;
        let locks = locks.ok_or_else(|| {
            PortError::Stop(format!(
                "another process writes to {}: end it, or give this job another folder",
                root.display()
            ))
        })?;
        Ok(Self { root: root.to_owned(), scratch, locks })
    }

    fn path(&self, folder: &str, name: FileName) -> PathBuf {
        self.root.join(folder).join(name.to_string())
    }

    fn publish_file(
        &self,
        epoch: Epoch,
        place: usize,
        file: &PreparedFile,
        check: Check,
    ) -> Result<Published, PortError> {
        let staged = staged_path(&staging_folder(&self.scratch, epoch), place);
        let folder = self.root.join(&file.folder);
        let target = folder.join(&file.name);
        let from = if staged.exists() { &staged } else { &target };
        let found = match (check, fs::metadata(from)) {
            (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(Published::Gone),
            (Check::Size, metadata) => metadata.map(|found| found.len() == file.content.bytes),
            (Check::Content, _) => Fingerprint::of_file(from).map(|found| found == file.content),
        };
        if !found.map_err(|error| durable::port_error("read", from, &error))? {
            return Ok(Published::Damaged(from.display().to_string()));
        }
        if *from == staged {
            durable::create_folders(&folder).map_err(|error| durable::port_error("create", &folder, &error))?;
            fs::rename(&staged, &target).map_err(|error| durable::port_error("rename to", &target, &error))?;
        }
        Ok(Published::Visible)
    }
}

impl Storage for LocalStorage {
    fn scratch(&self) -> &Path {
        &self.scratch
    }

    fn folders(&self, folder: &str) -> Result<Vec<String>, PortError> {
        let path = self.root.join(folder);
        let names = durable::entries(&path).map_err(|error| durable::port_error("list", &path, &error))?;
        Ok(names.into_iter().filter(|name| path.join(name).is_dir()).collect())
    }

    fn files(&self, folder: &str) -> Result<Vec<StoredFile>, PortError> {
        let path = self.root.join(folder);
        let listed = durable::entries(&path).and_then(|names| {
            let files = names.iter().filter_map(|name| FileName::parse(name));
            files.map(|name| Ok(StoredFile { name, bytes: fs::metadata(path.join(name.to_string()))?.len() })).collect()
        });
        listed.map_err(|error: io::Error| durable::port_error("list", &path, &error))
    }

    fn read(&self, folder: &str, name: FileName) -> Result<PathBuf, PortError> {
        Ok(self.path(folder, name))
    }

    fn forget_read(&self) -> Result<(), PortError> {
        Ok(())
    }

    fn stage(&self, handle: &mut Handle) -> Result<(), PortError> {
        if handle.files.is_empty() {
            return Ok(());
        }
        for folder in [&staging_folder(&self.scratch, handle.epoch), &self.scratch] {
            durable::sync_folder(folder).map_err(|error| durable::port_error("sync", folder, &error))?;
        }
        Ok(())
    }

    fn publish(&self, handle: &Handle, places: Range<usize>, check: Check) -> Result<Vec<Published>, PortError> {
        places.map(|place| self.publish_file(handle.epoch, place, &handle.files[place], check)).collect()
    }

    fn settle(&self, folder: &str) -> Result<(), PortError> {
        let path = self.root.join(folder);
        durable::sync_folder(&path).map_err(|error| durable::port_error("sync", &path, &error))
    }

    fn forget_staged(&self, epoch: Epoch) -> Result<(), PortError> {
        let path = staging_folder(&self.scratch, epoch);
        durable::remove_folder(&path).map_err(|error| durable::port_error("remove", &path, &error))
    }

    fn forget_all_staged(&self) -> Result<(), PortError> {
        remove_all_but_locks(&self.scratch)
    }

    fn remove(&self, folder: &str, name: FileName) -> Result<(), PortError> {
        let path = self.path(folder, name);
        durable::remove_file(&path).map_err(|error| durable::port_error("remove", &path, &error))
    }

    fn remove_empty(&self, folder: &str) -> Result<(), PortError> {
        let path = self.root.join(folder);
        for empty in path.ancestors().take_while(|ancestor| *ancestor != self.root) {
            match fs::remove_dir(empty) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(()),
                Err(error) => return Err(durable::port_error("remove", empty, &error)),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn remove_superseded(&self, folder: &str, removed: &mut dyn FnMut()) -> Result<bool, PortError> {
        let locked = self.locks.try_exclude_readers();
        let Some(_guard) = locked.map_err(|error| durable::port_error("lock", &self.root, &error))? else {
            return Ok(false);
        };
        let names = self.files(folder)?.into_iter().map(|file| file.name);
        let mut superseded = split_visible(names).1;
        superseded.sort_unstable();
        for name in superseded {
            self.remove(folder, name)?;
            removed();
        }
        Ok(true)
    }

    fn describe(&self, folder: &str, name: &str) -> String {
        self.root.join(folder).join(name).display().to_string()
    }
}

/// Empties a scratch folder.
pub(super) fn remove_all_but_locks(scratch: &Path) -> Result<(), PortError> {
    let names = durable::entries(scratch).map_err(|error| durable::port_error("list", scratch, &error))?;
    for name in names.iter().filter(|name| !name.ends_with(".lock")) {
        let path = scratch.join(name);
        durable::remove_folder(&path).map_err(|error| durable::port_error("remove", &path, &error))?;
    }
    Ok(())
}
