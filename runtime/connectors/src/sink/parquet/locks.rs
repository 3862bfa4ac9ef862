//! Two locks in the staging folder: one writer per folder, and readers that keep replaced files from being removed.
//!
//! Advisory locks of the operating system: a killed process holds none.

use super::handle::STAGING;
use crate::durable;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

const WRITER: &str = "writer.lock";
const READERS: &str = "readers.lock";

/// The sink's side.
pub(super) struct Locks {
    /// Held as long as the sink lives.
    _writer: File,
    readers: File,
}

/// No reader can start while this lives.
pub(super) struct ReadersExcluded<'a>(&'a File);

impl Locks {
    /// Takes the writer's lock in the scratch folder `folder`; `None` where another process has it.
    pub(super) fn take(folder: &Path) -> io::Result<Option<Self>> {
        durable::create_folders(folder)?;
        let open = |name| OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(name));
        let (writer, readers) = (open(WRITER)?, open(READERS)?);
        match writer.try_lock() {
            Ok(()) => Ok(Some(Self { _writer: writer, readers })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Keeps readers out; `None` while there are some.
    pub(super) fn try_exclude_readers(&self) -> io::Result<Option<ReadersExcluded<'_>>> {
        match self.readers.try_lock() {
            Ok(()) => Ok(Some(ReadersExcluded(&self.readers))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for ReadersExcluded<'_> {
    fn drop(&mut self) {
        // Cannot fail on a lock that is held; closing the file would release it as well.
        let _ = self.0.unlock();
    }
}

/// A reader's side: nothing is removed while it lives. `None` where no sink ever wrote.
pub(super) fn hold_for_reading(root: &Path) -> io::Result<Option<File>> {
    match File::open(root.join(STAGING).join(READERS)) {
        Ok(file) => file.lock_shared().map(|()| Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
