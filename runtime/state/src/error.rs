//! What can go wrong with state on disk, classed by what a person does about it.

use std::path::{Path, PathBuf};
use tidemark_engine::ports::PortError;

/// Why state cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process, or another job of this one, has the folder open.
    #[error(
        "state folder {} is in use by a running process: stop that one, or give this job a `state.path` of its own \
         ({detail})", path.display()
    )]
    Locked {
        /// The folder.
        path: PathBuf,
        /// What RocksDB said.
        detail: String,
    },
    /// Files are missing, cut short or altered.
    #[error(
        "state folder {} is damaged: move it away and restore the newest checkpoint in its place ({detail})",
        path.display()
    )]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What RocksDB said.
        detail: String,
    },
    /// A sound database that this job cannot use.
    #[error("state folder {} does not fit this job: {detail}", path.display())]
    Incompatible {
        /// The folder.
        path: PathBuf,
        /// What differs, and what to do.
        detail: String,
    },
    /// No room. Worth trying again once there is.
    #[error("the disk of state folder {} is full: make room, the write is tried again ({detail})", path.display())]
    DiskFull {
        /// The folder.
        path: PathBuf,
        /// What RocksDB said.
        detail: String,
    },
    /// Anything else: permissions, a failing disk.
    #[error("state folder {}: {detail}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system or RocksDB said.
        detail: String,
    },
}

impl From<StateError> for PortError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::DiskFull { .. } => Self::Retry(error.to_string()),
            _ => Self::Stop(error.to_string()),
        }
    }
}

impl StateError {
    /// The class of an error of RocksDB, which tells most of them apart by their text only.
    pub(crate) fn of_rocksdb(path: &Path, error: rocksdb::Error) -> Self {
        let kind = error.kind();
        let detail = error.into_string();
        let path = path.to_owned();
        let says = |text: &str| detail.contains(text);
        if says("While lock file") || says("lock hold by current process") {
            Self::Locked { path, detail }
        } else if says("No space left") {
            Self::DiskFull { path, detail }
        } else if kind == rocksdb::ErrorKind::Corruption
            || says("No such file or directory")
            || says("does not exist (create_if_missing is false)")
        {
            Self::Damaged { path, detail }
        } else if says("Column families not opened") {
            let detail = format!("it was written by another program or a newer version; use another folder ({detail})");
            Self::Incompatible { path, detail }
        } else {
            Self::Io { path, detail }
        }
    }

    pub(crate) fn of_io(path: &Path, error: &std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), detail: error.to_string() }
    }
}
