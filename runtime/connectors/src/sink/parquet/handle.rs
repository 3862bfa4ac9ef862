//! The handle of an epoch: what its prepare left in the staging folder, and where each file belongs.

use super::file_name::FileName;
use crate::durable::Fingerprint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

/// The format that this version writes.
const FORMAT: u32 = 1;

/// The hidden folder below the root: files that are not visible yet, spilled runs and locks.
pub(super) const STAGING: &str = ".staging";

/// What finalising an epoch needs to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Handle {
    format: u32,
    pub(super) epoch: Epoch,
    /// The epoch's own files, then merged ones. A merged file replaces the files that its epoch range contains. The
    /// staged name of a file is its place in this list.
    pub(super) files: Vec<PreparedFile>,
    /// Folders whose merging waits for the next epoch.
    pub(super) waiting: BTreeSet<String>,
}

/// A staged file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PreparedFile {
    /// Relative to the root.
    pub(super) folder: String,
    pub(super) name: String,
    pub(super) content: Fingerprint,
    /// In an object store: the upload that completing makes the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) upload: Option<Upload>,
}

/// A multipart upload with all its parts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Upload {
    pub(super) id: String,
    /// What the store called each part.
    pub(super) parts: Vec<String>,
}

impl Handle {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self { format: FORMAT, epoch, files: Vec::new(), waiting: BTreeSet::new() }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a handle holds only texts and numbers")
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, PortError> {
        let stop = |detail: String| PortError::Stop(format!("the Parquet sink's handle in state {detail}"));
        let handle: Self = serde_json::from_slice(bytes).map_err(|error| stop(format!("cannot be read: {error}")))?;
        if handle.format != FORMAT {
            return Err(stop(format!("has format {}: use the version of this program that wrote it", handle.format)));
        }
        Ok(handle)
    }

    /// Folders that got a file, and those that wait: where the next epoch looks for something to merge.
    pub(super) fn folders_to_look_at(&self) -> BTreeSet<String> {
        self.files.iter().map(|file| file.folder.clone()).chain(self.waiting.iter().cloned()).collect()
    }
}

impl PreparedFile {
    /// Whether it takes the place of other files.
    pub(super) fn is_merged(&self) -> bool {
        FileName::parse(&self.name).is_some_and(|name| name.tier > 0)
    }
}

/// Where the files of `epoch` are made, below the scratch folder.
pub(super) fn staging_folder(scratch: &Path, epoch: Epoch) -> PathBuf {
    scratch.join(format!("e{:012}", epoch.0))
}

/// The staged form of the file at `place` of the handle's list.
pub(super) fn staged_path(folder: &Path, place: usize) -> PathBuf {
    folder.join(format!("{place:06}.parquet"))
}
