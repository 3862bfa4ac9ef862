//! What a deployment can set about state, and the bounds within which that makes sense.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const MIB: usize = 1 << 20;

/// Settings of the state on this node. The defaults keep a job with five million live keys within 1 GB of resident
/// memory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StateSettings {
    /// Folder of the database. Created if it does not exist; belongs to one running process at a time.
    pub path: PathBuf,
    /// Bytes of hot state over all workers, keys and overhead included. Changes that are not committed are pinned
    /// beyond it; the engine bounds those by committing early.
    pub cache_bytes: usize,
    /// Bytes of RocksDB's cache of uncompressed blocks, filters and indexes.
    pub block_cache_bytes: usize,
    /// Bytes that one column family collects in memory before it writes a file.
    pub write_buffer_bytes: usize,
    /// Bytes of the write-ahead log after which the oldest buffers are written out, so that a restart stays short.
    pub wal_bytes: u64,
    /// Threads for flushes and compactions of a database. All databases of a process share them, and as many of those may
    /// flush at a time.
    pub background_jobs: u16,
    /// Files that RocksDB keeps open.
    pub open_files: u16,
}

impl Default for StateSettings {
    fn default() -> Self {
        Self {
            path: PathBuf::from("data/state"),
            cache_bytes: 192 * MIB,
            block_cache_bytes: 96 * MIB,
            write_buffer_bytes: 32 * MIB,
            wal_bytes: 256 << 20,
            background_jobs: 2,
            open_files: 512,
        }
    }
}

/// Settings outside their bounds: every mistake, one sentence each.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct SettingsError(pub Vec<String>);

impl StateSettings {
    /// Settings for a database in `path`, everything else as by default.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// Checks every bound and reports all mistakes at once.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let mut mistakes = Vec::new();
        if self.path.as_os_str().is_empty() {
            mistakes.push("state.path is empty: name the folder that state is kept in".to_owned());
        }
        let mut check = |name: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                mistakes.push(format!("state.{name} is {value}: it must be between {least} and {most}"));
            }
        };
        const TIB: u64 = 1 << 40;
        check("cache_bytes", self.cache_bytes as u64, 64 << 10, TIB);
        check("block_cache_bytes", self.block_cache_bytes as u64, 1 << 20, TIB);
        check("write_buffer_bytes", self.write_buffer_bytes as u64, 64 << 10, 1 << 30);
        check("wal_bytes", self.wal_bytes, self.write_buffer_bytes as u64, TIB);
        check("background_jobs", self.background_jobs.into(), 1, 64);
        check("open_files", self.open_files.into(), 32, u16::MAX.into());
        if mistakes.is_empty() { Ok(()) } else { Err(SettingsError(mistakes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        assert_eq!(StateSettings::default().validate(), Ok(()));
    }

    #[test]
    fn every_mistake_is_reported() {
        let settings =
            StateSettings { cache_bytes: 0, open_files: 1, path: PathBuf::new(), ..StateSettings::default() };
        let SettingsError(mistakes) = settings.validate().expect_err("three mistakes");
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
    }

    #[test]
    fn unknown_fields_are_refused() {
        let error = serde_json::from_str::<StateSettings>(r#"{"cache_byte": 1}"#).expect_err("a misspelt name");
        assert!(error.to_string().contains("cache_byte"), "{error}");
    }
}
