//! The manifest of a checkpoint: its files with their fingerprints, under a checksum of its own.

use super::place::{Stored, Tenure};
use crate::durable::Fingerprint;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path};
use tidemark_engine::ids::Epoch;

/// The format that this version writes and reads.
const FORMAT: u32 = 1;

/// What a checkpoint consists of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: u32,
    pub(super) epoch: Epoch,
    /// A checkpoint with a name is kept until somebody removes it.
    pub(super) name: Option<String>,
    /// Whose content the files are.
    #[serde(default, skip_serializing_if = "Tenure::is_sole")]
    tenure: Tenure,
    /// By path.
    pub(super) files: Vec<StoredFile>,
    /// XXH3-128 of this manifest as JSON with an empty checksum.
    checksum: String,
}

/// A file of a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredFile {
    /// Relative to the checkpoint's folder, with `/`.
    pub(super) path: String,
    pub(super) content: Fingerprint,
}

impl Manifest {
    pub(super) fn new(epoch: Epoch, name: Option<&str>, tenure: Tenure, files: Vec<StoredFile>) -> Self {
        Self { format: FORMAT, epoch, name: name.map(str::to_owned), tenure, files, checksum: String::new() }
    }

    /// What a file of it is stored as.
    pub(super) fn stored(&self, file: &StoredFile) -> Stored {
        Stored { tenure: self.tenure, content: file.content.clone() }
    }

    /// The file name of the manifest of `epoch`.
    pub(super) fn file_name(epoch: Epoch) -> String {
        format!("e{:012}.json", epoch.0)
    }

    /// The epoch in a file name; `None` for a foreign file.
    pub(super) fn epoch_of_file_name(name: &str) -> Option<Epoch> {
        let epoch = Epoch(name.strip_prefix('e')?.strip_suffix(".json")?.parse().ok()?);
        (Self::file_name(epoch) == name).then_some(epoch)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut sealed = self.clone();
        sealed.checksum = sealed.own_checksum();
        let mut bytes = serde_json::to_vec_pretty(&sealed).expect("a manifest holds only texts and numbers");
        bytes.push(b'\n');
        bytes
    }

    /// Reads and verifies a manifest; the error says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let unreadable = |error| format!("its manifest is not readable: {error}");
        let Versioned { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format != FORMAT {
            return Err(format!("its manifest has format {format}, and this version reads format {FORMAT}"));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        if manifest.checksum != manifest.own_checksum() {
            return Err("its manifest does not have the checksum that it states".to_owned());
        }
        match manifest.files.iter().find(|file| !stays_inside(&file.path)) {
            Some(file) => Err(format!("its manifest names a file outside of the checkpoint: {}", file.path)),
            None => Ok(manifest),
        }
    }

    fn own_checksum(&self) -> String {
        let unsealed = Self { checksum: String::new(), ..self.clone() };
        let bytes = serde_json::to_vec(&unsealed).expect("a manifest holds only texts and numbers");
        Fingerprint::of(&bytes).xxh3
    }
}

fn stays_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}
