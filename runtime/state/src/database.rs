//! The RocksDB database of a job on this node: opening it safely, and typed access to its column families.
//!
//! Column family `default` holds what the database says of itself:
//!
//! | key | value |
//! | --- | --- |
//! | `format` | version of the layout `u16`, number of key groups `u16` |
//! | `size`, stage `u16` | live entries `u64`, bytes of their keys and values `u64` |

use crate::error::StateError;
use crate::layout;
use crate::options;
use crate::settings::StateSettings;
use crate::view::View;
use rocksdb::properties::{CUR_SIZE_ALL_MEM_TABLES, ESTIMATE_NUM_KEYS, LIVE_SST_FILES_SIZE, PropName};
use rocksdb::{ColumnFamily, DB, DBPinnableSlice, DBRawIterator, ReadOptions, WriteBatch, checkpoint::Checkpoint};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tidemark_dataflow::KeyGroups;
use tidemark_engine::ids::StageId;

/// The layout that this version reads and writes.
const FORMAT: u16 = 1;
const FORMAT_KEY: &[u8] = b"format";
const SIZE_KEY: &[u8] = b"size";

/// How much state a stage has: live entries, and the bytes of their keys and values. Exact as long as every key is read
/// before it is written for the first time, as the engine does; otherwise a close estimate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StageSize {
    /// Keys that have a value.
    pub entries: u64,
    /// Bytes of those keys and values, uncompressed.
    pub bytes: u64,
}

/// A key and its value.
pub(crate) type Record = (Vec<u8>, Vec<u8>);

pub(crate) type StageSizes = BTreeMap<StageId, StageSize>;

pub(crate) struct Database {
    db: DB,
    path: PathBuf,
}

impl Database {
    /// Opens the database, or creates one where the folder has none.
    pub(crate) fn open(settings: &StateSettings, key_groups: KeyGroups) -> Result<Self, StateError> {
        let path = &settings.path;
        if is_new(path).map_err(|error| StateError::of_io(path, &error))? {
            Self::create(settings, key_groups)?;
        }
        Self::open_at(path, settings, key_groups, false)
    }

    /// Creates a database beside its place, so that one rename makes the whole appear: RocksDB makes column families one by
    /// one, and a process that dies in between would leave something that is neither new nor whole.
    fn create(settings: &StateSettings, key_groups: KeyGroups) -> Result<(), StateError> {
        let path = &settings.path;
        let refused = |error: std::io::Error| StateError::of_io(path, &error);
        let unfinished = path.with_added_extension("creating");
        remove(&unfinished).map_err(refused)?;
        std::fs::create_dir_all(&unfinished).map_err(refused)?;
        drop(Self::open_at(&unfinished, settings, key_groups, true)?);
        // What is there is no database.
        remove(path).map_err(refused)?;
        std::fs::rename(&unfinished, path).map_err(refused)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(parent).and_then(|folder| folder.sync_all()).map_err(refused)
    }

    fn open_at(path: &Path, settings: &StateSettings, key_groups: KeyGroups, new: bool) -> Result<Self, StateError> {
        let db = options::database(settings, new)
            .and_then(|options| DB::open_cf_descriptors(&options, path, options::columns(settings)))
            .map_err(|error| StateError::of_rocksdb(path, error))?;
        let database = Self { db, path: path.to_owned() };
        database.check_format(key_groups)?;
        Ok(database)
    }

    fn check_format(&self, key_groups: KeyGroups) -> Result<(), StateError> {
        let incompatible = |detail| Err(StateError::Incompatible { path: self.path.clone(), detail });
        let own: Vec<u8> = [FORMAT.to_be_bytes(), key_groups.count().to_be_bytes()].concat();
        match self.db.get_pinned(FORMAT_KEY).map_err(|error| self.error(error))?.as_deref() {
            None if self.db.latest_sequence_number() == 0 => {
                let mut batch = WriteBatch::default();
                batch.put(FORMAT_KEY, &own);
                self.write(batch)
            }
            None => Err(self.damaged("it does not say how it was made")),
            Some(found) if found == own => Ok(()),
            Some(&[a, b, c, d]) if u16::from_be_bytes([a, b]) == FORMAT => incompatible(format!(
                "it was made for {} key groups and the configuration says {}, which can never change within a job: set it \
                 back, or start the job anew in another folder",
                u16::from_be_bytes([c, d]),
                key_groups.count()
            )),
            Some(_) => incompatible(
                "it was written in another format: open it with the version that wrote it, or use another folder"
                    .into(),
            ),
        }
    }

    pub(crate) fn state(&self, key: &[u8]) -> Result<Option<DBPinnableSlice<'_>>, StateError> {
        self.db.get_pinned_cf(self.column(options::STATE), key).map_err(|error| self.error(error))
    }

    /// The values of `keys`, which are in ascending order, in their order.
    pub(crate) fn states(
        &self,
        keys: &[&[u8]],
    ) -> impl Iterator<Item = Result<Option<DBPinnableSlice<'_>>, StateError>> {
        let values = self.db.batched_multi_get_cf(self.column(options::STATE), keys.iter().copied(), true);
        values.into_iter().map(|value| value.map_err(|error| self.error(error)))
    }

    pub(crate) fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.db.get_cf(self.column(options::META), key).map_err(|error| self.error(error))
    }

    /// Up to `limit` entries of column family `column` whose key starts with `prefix`, by key.
    pub(crate) fn scan(&self, column: &str, prefix: &[u8], limit: usize) -> Result<Vec<Record>, StateError> {
        let mut entries = Vec::new();
        let mut iterator = self.db.raw_iterator_cf(self.column(column));
        iterator.seek(prefix);
        while entries.len() < limit
            && let Some((key, value)) = iterator.item().filter(|(key, _)| key.starts_with(prefix))
        {
            entries.push((key.to_vec(), value.to_vec()));
            iterator.next();
        }
        iterator.status().map_err(|error| self.error(error))?;
        Ok(entries)
    }

    /// Everything as of now.
    pub(crate) fn view(&self) -> View<'_> {
        View { database: self, snapshot: self.db.snapshot() }
    }

    pub(crate) fn timers(&self, options: ReadOptions) -> DBRawIterator<'_> {
        self.db.raw_iterator_cf_opt(self.column(options::TIMERS), options)
    }

    /// `false`: certainly not there. Reads memory only.
    pub(crate) fn may_have(&self, column: &str, key: &[u8]) -> bool {
        self.db.key_may_exist_cf(self.column(column), key)
    }

    pub(crate) fn stage_sizes(&self) -> Result<StageSizes, StateError> {
        let malformed = || self.damaged("the size of a stage");
        let parse = |(key, value): Record| {
            let stage = key[SIZE_KEY.len()..].try_into().map_err(|_| malformed())?;
            let (entries, bytes) = value.split_first_chunk().ok_or_else(malformed)?;
            let bytes = bytes.try_into().map_err(|_| malformed())?;
            let size = StageSize { entries: u64::from_be_bytes(*entries), bytes: u64::from_be_bytes(bytes) };
            Ok((StageId(u16::from_be_bytes(stage)), size))
        };
        self.scan(options::DEFAULT, SIZE_KEY, usize::MAX)?.into_iter().map(parse).collect()
    }

    /// Writes `batch`: on disk when this returns, all of it or nothing.
    pub(crate) fn write(&self, batch: WriteBatch) -> Result<(), StateError> {
        self.db.write_opt(batch, &options::synced()).map_err(|error| self.error(error))
    }

    /// Writes an image of everything written so far into `into`, by hard links where the file system has them.
    pub(crate) fn checkpoint(&self, into: &Path) -> Result<(), StateError> {
        if let Some(parent) = into.parent() {
            std::fs::create_dir_all(parent).map_err(|error| StateError::of_io(parent, &error))?;
        }
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(into))
            .map_err(|error| StateError::of_rocksdb(into, error))
    }

    /// Adds to `batch` that everything of `stage` goes: behind whatever the batch has of it already.
    pub(crate) fn drop_stage(&self, batch: &mut WriteBatch, stage: StageId) {
        let (from, to) = (stage.0.to_be_bytes().to_vec(), layout::behind_stage(stage));
        for column in [options::STATE, options::TIMERS] {
            batch.delete_range_cf(self.column(column), &from, &to);
        }
        batch.delete([SIZE_KEY, &stage.0.to_be_bytes()].concat());
    }

    /// Estimated entries, bytes of files and bytes of memory tables, over state and timers.
    pub(crate) fn estimates(&self) -> Result<[u64; 3], StateError> {
        let sum = |name: &PropName| {
            let mut sum = 0;
            for column in [options::STATE, options::TIMERS] {
                let value = self.db.property_int_value_cf(self.column(column), name);
                sum += value.map_err(|error| self.error(error))?.unwrap_or(0);
            }
            Ok(sum)
        };
        Ok([sum(ESTIMATE_NUM_KEYS)?, sum(LIVE_SST_FILES_SIZE)?, sum(CUR_SIZE_ALL_MEM_TABLES)?])
    }

    pub(crate) fn column(&self, name: &str) -> &ColumnFamily {
        self.db.cf_handle(name).expect("a database is opened with every column family")
    }

    pub(crate) fn error(&self, error: rocksdb::Error) -> StateError {
        StateError::of_rocksdb(&self.path, error)
    }

    pub(crate) fn damaged(&self, what: &str) -> StateError {
        StateError::Damaged { path: self.path.clone(), detail: format!("unexpected: {what}") }
    }
}

/// Puts the size of `stage` into `batch`.
pub(crate) fn put_stage_size(batch: &mut WriteBatch, stage: StageId, size: StageSize) {
    let key = [SIZE_KEY, &stage.0.to_be_bytes()].concat();
    batch.put(key, [size.entries.to_be_bytes(), size.bytes.to_be_bytes()].concat());
}

/// Removes a folder; one that is not there is removed already.
fn remove(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether no database was ever completed in the folder: it has neither the file that points to the newest manifest nor
/// any data. Data without that file is a damaged database, never a new one.
fn is_new(path: &Path) -> std::io::Result<bool> {
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let extension = Path::new(&name).extension().and_then(|extension| extension.to_str());
        if name == "CURRENT" || matches!(extension, Some("sst" | "log")) {
            return Ok(false);
        }
    }
    Ok(true)
}
