//! Looking at committed state from other threads, without disturbing the job: telemetry, and the state of a key.

use crate::cache::CacheCounters;
use crate::database::{Database, StageSize, StageSizes};
use crate::error::StateError;
use crate::options::STATE;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tidemark_engine::ids::StageId;
use tidemark_engine::ports::{CommittedState, StateKey};

/// Size and work of the state on this node. Cache figures are as of the last commit, over all shards.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StateTelemetry {
    /// Keys in memory, known-absent ones included.
    pub cache_entries: u64,
    /// Bytes of memory that they take.
    pub cache_bytes: u64,
    /// Reads answered from memory, since the shards were made.
    pub cache_hits: u64,
    /// Keys read from RocksDB, since the shards were made.
    pub cache_misses: u64,
    /// Keys dropped from memory for lack of room, since the shards were made.
    pub cache_evictions: u64,
    /// Bytes of memory that were pinned by changes when the last commit began.
    pub pinned_bytes: u64,
    /// Bytes of changes in the last commit.
    pub commit_bytes: u64,
    /// Commits since the database was opened.
    pub commits: u64,
    /// Live entries and their bytes, per stage.
    pub stages: BTreeMap<StageId, StageSize>,
    /// RocksDB's estimate of entries, of state and timers.
    pub estimated_keys: u64,
    /// Bytes of live files on disk.
    pub file_bytes: u64,
    /// Bytes of RocksDB's write buffers.
    pub memtable_bytes: u64,
}

/// What commits leave for inspectors to read.
#[derive(Default)]
pub(crate) struct LastCommit(Mutex<StateTelemetry>);

impl LastCommit {
    /// A commit of `commit_bytes` of changes has succeeded. `caches` has every shard's counters and its entries, bytes
    /// and pinned bytes, these as the commit began.
    pub(crate) fn record(
        &self,
        caches: impl Iterator<Item = (CacheCounters, [u64; 3])>,
        commit_bytes: u64,
        stages: &StageSizes,
    ) {
        let mut telemetry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = StateTelemetry {
            commit_bytes,
            commits: telemetry.commits + 1,
            stages: stages.clone(),
            ..StateTelemetry::default()
        };
        for (counters, [entries, bytes, pinned]) in caches {
            next.cache_entries += entries;
            next.cache_bytes += bytes;
            next.pinned_bytes += pinned;
            next.cache_hits += counters.hits;
            next.cache_misses += counters.misses;
            next.cache_evictions += counters.evictions;
        }
        *telemetry = next;
    }

    fn read(&self) -> StateTelemetry {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A handle for other threads. Sees committed state only, and keeps the database open as long as it lives.
#[derive(Clone)]
pub struct StateInspector {
    pub(crate) database: Arc<Database>,
    pub(crate) last_commit: Arc<LastCommit>,
}

impl StateInspector {
    /// Up to `limit` committed entries whose key starts with `prefix`, by key.
    pub fn scan_prefix(&self, prefix: &[u8], limit: usize) -> Result<Vec<(StateKey, Vec<u8>)>, StateError> {
        let entries = self.database.scan(STATE, prefix, limit)?;
        Ok(entries.into_iter().map(|(key, value)| (key.into_boxed_slice(), value)).collect())
    }

    /// Looks at everything as of one commit, which later ones do not change.
    pub fn look<T>(&self, look: impl FnOnce(&dyn CommittedState) -> T) -> T {
        look(&self.database.view())
    }

    /// Sizes and counters: of the last commit, and RocksDB's of now.
    pub fn telemetry(&self) -> Result<StateTelemetry, StateError> {
        let [estimated_keys, file_bytes, memtable_bytes] = self.database.estimates()?;
        Ok(StateTelemetry { estimated_keys, file_bytes, memtable_bytes, ..self.last_commit.read() })
    }
}
