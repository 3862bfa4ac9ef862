//! Where checkpoints lie: in a folder or in an object store. What a checkpoint is, and which are kept, is not known here.

use super::error::CheckpointError;
use crate::durable::Fingerprint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

/// The folder of manifests.
pub(super) const MANIFESTS: &str = "manifests";
/// The folder of objects.
pub(super) const OBJECTS: &str = "objects";

/// Whose content it is, where several processes may believe to own a place: the epoch of the first checkpoint that the
/// owner has kept, which is one that it alone has decided. Later owners have later ones. 0 where there is only ever one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
pub(super) struct Tenure(pub(super) u64);

impl Tenure {
    /// Of a place that only ever one process uses at a time.
    pub(super) const SOLE: Self = Self(0);

    /// Whether only ever one process uses the place.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks in this way")]
    pub(super) fn is_sole(&self) -> bool {
        *self == Self::SOLE
    }

    /// What names of this owner's files begin with.
    pub(super) fn prefix(self) -> String {
        if self.is_sole() { String::new() } else { format!("t{:012}-", self.0) }
    }

    /// Of a name that begins with a prefix.
    fn of_name(name: &str) -> Self {
        let number = name.strip_prefix('t').and_then(|rest| rest.split_once('-')?.0.parse().ok());
        number.map_or(Self::SOLE, Self)
    }

    /// Whether this owner may remove what is stored as `name`: what is its own, and what is of owners before it. To whoever
    /// comes later it has lost.
    pub(super) fn may_remove(self, name: &str) -> bool {
        Self::of_name(name) <= self
    }
}

/// Content as it is stored.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Stored {
    pub(super) tenure: Tenure,
    pub(super) content: Fingerprint,
}

/// A place for checkpoints. Names are relative to it, with `/`.
pub(super) trait Place: Send + Sync {
    /// Names of the manifests, sorted.
    fn manifests(&self) -> Result<Vec<String>, CheckpointError>;

    /// The content of a small file, if it is there.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, CheckpointError>;

    /// Writes a small file, durably: a crash leaves the old content or the new one.
    fn write(&self, name: &str, content: &[u8], tenure: Tenure) -> Result<(), CheckpointError>;

    /// Removes small files, durably.
    fn remove(&self, names: &[String]) -> Result<(), CheckpointError>;

    /// Stores the content of a local file as `tenure`'s own, unless it is there. `known` is what a file of this name was
    /// stored as in the last checkpoint. What an earlier owner stored is linked or copied: that may go at any moment.
    fn keep(&self, path: &Path, known: Option<&Stored>, tenure: Tenure) -> Result<Fingerprint, CheckpointError>;

    /// Makes what was kept durable.
    fn sync(&self) -> Result<(), CheckpointError>;

    /// Copies stored content to `output`, which is at the local path `to`. The inner error says what is wrong with it;
    /// it is stored anew the next time then.
    fn load(&self, stored: &Stored, to: &Path, output: &mut dyn Write) -> Result<Result<(), String>, CheckpointError>;

    /// Removes content that is not in `used`, and that `tenure` may remove.
    fn retain(&self, used: &BTreeSet<Stored>, tenure: Tenure) -> Result<(), CheckpointError>;

    /// What a person calls the place.
    fn describe(&self) -> String;
}

/// The name of stored content.
pub(super) fn object_name(Stored { tenure, content }: &Stored) -> String {
    format!("{}{}-{}", tenure.prefix(), content.xxh3, content.bytes)
}

/// What is wrong with content that was found to be `found`; nothing if that is right.
pub(super) fn compare(content: &Fingerprint, found: &Fingerprint) -> Result<(), String> {
    if found == content {
        Ok(())
    } else if found.bytes == content.bytes {
        Err("does not have its checksum".to_owned())
    } else {
        Err(format!("has {} bytes instead of {}", found.bytes, content.bytes))
    }
}
