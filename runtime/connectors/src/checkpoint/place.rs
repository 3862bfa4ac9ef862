//! Where checkpoints lie: in a folder or in an object store. What a checkpoint is, and which are kept, is not known here.

use super::error::CheckpointError;
use crate::durable::Fingerprint;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

/// The folder of manifests.
pub(super) const MANIFESTS: &str = "manifests";
/// The folder of objects.
pub(super) const OBJECTS: &str = "objects";

/// A place for checkpoints. Names are relative to it, with `/`.
pub(super) trait Place: Send + Sync {
    /// Names of the manifests, sorted.
    fn manifests(&self) -> Result<Vec<String>, CheckpointError>;

    /// The content of a small file, if it is there.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, CheckpointError>;

    /// Writes a small file, durably: a crash leaves the old content or the new one.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), CheckpointError>;

    /// Removes small files, durably.
    fn remove(&self, names: &[String]) -> Result<(), CheckpointError>;

    /// Stores the content of a local file, unless it is there. `known` is the content that a file of this name had in
    /// the last checkpoint.
    fn keep(&self, path: &Path, known: Option<&Fingerprint>) -> Result<Fingerprint, CheckpointError>;

    /// Makes what was kept durable.
    fn sync(&self) -> Result<(), CheckpointError>;

    /// Copies stored content to `output`, which is at the local path `to`. The inner error says what is wrong with it;
    /// it is stored anew the next time then.
    fn load(
        &self,
        content: &Fingerprint,
        to: &Path,
        output: &mut dyn Write,
    ) -> Result<Result<(), String>, CheckpointError>;

    /// Removes content that is not in `used`.
    fn retain(&self, used: &BTreeSet<Fingerprint>) -> Result<(), CheckpointError>;

    /// What a person calls the place.
    fn describe(&self) -> String;
}

/// The name of stored content.
pub(super) fn object_name(content: &Fingerprint) -> String {
    format!("{}-{}", content.xxh3, content.bytes)
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
