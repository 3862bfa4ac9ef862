//! State of a job on this node: hands out shards, commits them together, takes snapshots.

use crate::database::{Database, StageSizes, put_stage_size};
use crate::error::StateError;
use crate::inspect::{LastCommit, StateInspector};
use crate::options::{META, STATE};
use crate::settings::StateSettings;
use crate::shard::RocksShard;
use rocksdb::WriteBatch;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidemark_dataflow::{KeyGroup, KeyGroups};
use tidemark_engine::ids::StageId;
use tidemark_engine::ports::{MetaBatch, PortError, StateBackend, StateShard};

/// [`StateBackend`] on a RocksDB database.
///
/// ```
/// use tidemark_dataflow::KeyGroups;
/// use tidemark_engine::ports::{MetaBatch, StateBackend};
/// use tidemark_state::{RocksState, StateSettings};
///
/// # let folder = tempfile::tempdir()?;
/// let settings = StateSettings::at(folder.path());
/// let key = [0, 1, 0, 7, b'k'];
///
/// let mut state = RocksState::open(&settings, KeyGroups::DEFAULT)?;
/// let mut shards = state.shards(1)?;
/// shards[0].put(&key, b"value");
/// state.commit(&mut shards, &MetaBatch::default())?;
/// drop((state, shards));
///
/// let state = RocksState::open(&settings, KeyGroups::DEFAULT)?;
/// let mut shards = state.shards(2)?; // another number of workers
/// assert_eq!(shards[0].get(&key)?, Some(&b"value"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RocksState {
    database: Arc<Database>,
    key_groups: KeyGroups,
    cache_bytes: usize,
    /// Counts calls of [`StateBackend::shards`]: a shard of an earlier call holds a stale view.
    generation: AtomicU64,
    sizes: StageSizes,
    last_commit: Arc<LastCommit>,
}

impl RocksState {
    /// Opens the database in the folder of `settings`, or creates it where there is none.
    ///
    /// The folder is locked until the state, its shards and its inspectors are dropped. Fails if another process has
    /// it, if files are missing or damaged, or if it was made for another number of key groups.
    pub fn open(settings: &StateSettings, key_groups: KeyGroups) -> Result<Self, StateError> {
        let database = Arc::new(Database::open(settings, key_groups)?);
        let sizes = database.stage_sizes()?;
        Ok(Self {
            database,
            key_groups,
            cache_bytes: settings.cache_bytes,
            generation: AtomicU64::new(0),
            sizes,
            last_commit: Arc::default(),
        })
    }

    /// A handle to look at committed state from other threads.
    #[must_use]
    pub fn inspector(&self) -> StateInspector {
        StateInspector { database: Arc::clone(&self.database), last_commit: Arc::clone(&self.last_commit) }
    }

    /// The key groups of `worker`: those for which [`KeyGroups::worker_of`] says so, which are neighbours.
    fn groups_of(&self, worker: usize, workers: usize) -> Range<u16> {
        let owner = |group: &u16| self.key_groups.worker_of(KeyGroup(*group), workers);
        let start = (0..self.key_groups.count()).find(|group| owner(group) >= worker);
        let start = start.unwrap_or(self.key_groups.count());
        let end = (start..self.key_groups.count()).find(|group| owner(group) > worker);
        start..end.unwrap_or(self.key_groups.count())
    }

    fn own<'a>(&self, shards: &'a mut [Box<dyn StateShard>]) -> Result<Vec<&'a mut RocksShard>, PortError> {
        let generation = self.generation.load(Ordering::Relaxed);
        let own = |shard: &'a mut Box<dyn StateShard>| {
            let shard = RocksShard::of(shard.as_mut()).filter(|shard| shard.generation == generation);
            shard.ok_or_else(|| PortError::Stop("commit takes the shards of the last call of `shards` only".to_owned()))
        };
        shards.iter_mut().map(own).collect()
    }
}

impl StateBackend for RocksState {
    fn shards(&self, workers: usize) -> Result<Vec<Box<dyn StateShard>>, PortError> {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let cache_bytes = self.cache_bytes / workers.max(1);
        let shard = |worker| {
            let groups = self.groups_of(worker, workers);
            Box::new(RocksShard::new(Arc::clone(&self.database), groups, cache_bytes, generation))
                as Box<dyn StateShard>
        };
        Ok((0..workers).map(shard).collect())
    }

    fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.database.meta(key)?)
    }

    fn meta_prefix(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, PortError> {
        Ok(self.database.scan(META, prefix, usize::MAX)?)
    }

    fn commit(&mut self, shards: &mut [Box<dyn StateShard>], meta: &MetaBatch) -> Result<(), PortError> {
        let shards = self.own(shards)?;
        let commit_bytes: usize = shards.iter().map(|shard| shard.dirty_bytes()).sum();
        let mut batch = WriteBatch::with_capacity_bytes(commit_bytes + commit_bytes / 4);
        let mut sizes = self.sizes.clone();
        for shard in &shards {
            shard.write_changes(&mut batch, &mut sizes);
        }
        for &stage in &meta.dropped {
            self.database.drop_stage(&mut batch, stage);
            sizes.remove(&stage);
        }
        for (&stage, &size) in sizes.iter().filter(|(stage, size)| self.sizes.get(stage) != Some(size)) {
            put_stage_size(&mut batch, stage, size);
        }
        let column = self.database.column(META);
        meta.deletes.iter().for_each(|key| batch.delete_cf(column, key));
        meta.puts.iter().for_each(|(key, value)| batch.put_cf(column, key, value));
        let caches: Vec<_> = shards.iter().map(|shard| shard.cache_telemetry()).collect();

        self.database.write(batch)?;
        for shard in shards {
            shard.committed();
            meta.dropped.iter().for_each(|stage| shard.forget(*stage));
        }
        self.sizes = sizes;
        self.last_commit.record(caches.into_iter(), commit_bytes as u64, &self.sizes);
        Ok(())
    }

    fn sample(&self, stage: StageId, limit: usize) -> Result<Vec<Vec<u8>>, PortError> {
        let entries = self.database.scan(STATE, &stage.0.to_be_bytes(), limit)?;
        Ok(entries.into_iter().map(|(_, value)| value).collect())
    }

    fn snapshot(&self, into: &Path) -> Result<(), PortError> {
        Ok(self.database.checkpoint(into)?)
    }
}
