//! Compiled code on disk, so that a start does not compile again.
//!
//! An entry is named by the module's digest and by everything that decides about its code: the version of our rewriting,
//! wasmtime's, the engine's settings and the CPU's features. It is native code, so nothing may be executed that this
//! process did not write: the folder is private, and an entry whose checksum or name does not fit is compiled again,
//! never loaded.

use crate::host::HostError;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use tidemark_engine::ids::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

const EXTENSION: &str = "code";
const CHECKSUM_BYTES: usize = 32;

/// The folder.
pub(crate) struct CodeCache {
    folder: PathBuf,
    /// Size to which it is trimmed.
    most_bytes: u64,
}

impl CodeCache {
    /// Makes the folder if it is not there; refuses one that others can read or write.
    pub(crate) fn open(folder: &Path, most_bytes: u64) -> Result<Self, HostError> {
        let error = |detail: String| HostError::Cache { folder: folder.display().to_string(), detail };
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|cause| error(cause.to_string()))?;
        let metadata = fs::symlink_metadata(folder).map_err(|cause| error(cause.to_string()))?;
        if !metadata.is_dir() || metadata.mode() & 0o077 != 0 {
            return Err(error("holds native code and must be a folder that nobody else can enter: chmod 700".into()));
        }
        Ok(Self { folder: folder.to_owned(), most_bytes })
    }

    /// The module with `digest`, after a rewriting of version `rewriting`: from the cache if possible, else what
    /// `compile` returns, which is kept.
    pub(crate) fn component(
        &self,
        engine: &Engine,
        digest: Digest,
        rewriting: Option<u32>,
        compile: impl FnOnce() -> wasmtime::Result<Component>,
    ) -> wasmtime::Result<Component> {
        let name = format!("{digest}-{}-{}.{EXTENSION}", engine_id(engine), rewriting.unwrap_or(0));
        let path = self.folder.join(&name);
        if let Some(component) = load(engine, &path, &name) {
            return Ok(component);
        }
        let component = compile()?;
        if let Err(error) = self.keep(&path, &name, &component.serialize()?) {
            // The module works without; only the next start takes longer.
            tracing::warn!(path = %path.display(), %error, "compiled code could not be kept");
        }
        Ok(component)
    }

    /// Writes an entry so that it is there either whole or not at all.
    fn keep(&self, path: &Path, name: &str, code: &[u8]) -> io::Result<()> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let partial = self.folder.join(format!("{}-{serial}.partial", std::process::id()));
        let written = (|| {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&partial)?;
            file.write_all(&checksum(name, code))?;
            file.write_all(code)?;
            file.sync_all()?;
            fs::rename(&partial, path)
        })();
        if written.is_err() {
            // Nothing more can be done about it; the next process does not look at it.
            drop(fs::remove_file(&partial));
        }
        written.and_then(|()| self.trim(path))
    }

    /// Removes the oldest entries until the folder is within its limit; `newest` stays.
    fn trim(&self, newest: &Path) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            entries.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry.path(), metadata.len()));
        }
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, path, bytes) in entries {
            if total > self.most_bytes && path != newest {
                fs::remove_file(&path)?;
                total -= bytes;
            }
        }
        Ok(())
    }
}

/// The entry at `path`, if it is there and whole, and was written under this name.
fn load(engine: &Engine, path: &Path, name: &str) -> Option<Component> {
    let entry = fs::read(path).ok()?;
    let (found, code) = entry.split_at_checked(CHECKSUM_BYTES)?;
    if found != checksum(name, code) {
        tracing::warn!(path = %path.display(), "compiled code is damaged; compiling again");
        return None;
    }
    if let Ok(file) = File::options().append(true).open(path) {
        // Only the order of removal depends on it.
        drop(file.set_modified(SystemTime::now()));
    }
    // SAFETY: these are bytes that `serialize` returned for this digest and an engine of this identity: the checksum
    // covers both, and nobody but this user can write in the folder.
    let component = unsafe { Component::deserialize(engine, code) };
    component.inspect_err(|error| tracing::warn!(path = %path.display(), %error, "compiled code does not fit")).ok()
}

fn checksum(name: &str, code: &[u8]) -> [u8; CHECKSUM_BYTES] {
    Sha256::new().chain_update(name).chain_update([0]).chain_update(code).finalize().into()
}

/// A name for wasmtime's version, the engine's settings and the CPU.
fn engine_id(engine: &Engine) -> String {
    let mut hasher = DigestHasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The standard library's hashers are either seeded or free to change; this one is neither.
struct DigestHasher(Sha256);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_le_bytes(*digest.first_chunk().expect("a digest has 32 bytes"))
    }
}
