//! The Parquet sink: cold rows in a local folder or an object store, exactly once by epoch.
//!
//! ```text
//! events/date=2026-01-08/type=ai_stream_status/e000000000012.parquet
//! metrics/date=2026-01-08/metric=jitter-coefficient/e000000000001-000000000016.t1.parquet
//! dead_letters/date=unknown/e000000000007.parquet
//! .staging/e000000000013/000000.parquet          prepared, not visible yet
//! ```
//!
//! An epoch's rows of one folder are one file, sorted ([`layout`]), named by the epoch ([`file_name`]). Rows wait in
//! memory up to a budget and are spilled as sorted runs beyond it ([`pending`]). Prepare writes and syncs files in the
//! hidden staging folder, or uploads them from there without completing the uploads ([`prepare`]); finalise renames or
//! completes them ([`finalise`]); recovery finishes the committed epoch and removes what later ones left ([`recovery`]).
//! What differs between a folder and a store is in [`storage`]. Small files are merged by a rule over committed files
//! ([`compaction`]), in the background ([`merging`]) and as part of the same protocol. Bytes and names depend on rows,
//! epochs and settings alone, so a run that was killed anywhere leaves the same folder as an undisturbed one.
//!
//! Readers use [`ReadHold`]: it names the files that hold each row once and keeps them from being removed.

mod chunk;
mod compaction;
mod cutting;
mod file_name;
mod file_writer;
mod finalise;
mod handle;
mod layout;
mod locks;
mod merge;
mod merging;
mod pending;
mod prepare;
mod reader;
mod recovery;
mod rows;
mod settings;
mod storage;
mod store_reader;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::{driver, s3_server};

pub use crate::object_storage::ObjectStoreSettings;
pub(crate) use layout::partition_value;
pub use reader::{ReadHold, Selection, visible_files};
pub use settings::{CompactionSettings, ParquetSettings};
pub use store_reader::StoreReader;

use crate::fail_point::FailPoint;
use arrow_array::RecordBatch;
use finalise::Check;
use handle::Handle;
use layout::Folders;
use merging::{Merged, Merging};
use pending::Pending;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use storage::{LocalStorage, ObjectStorage, Storage};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::Table;
use tidemark_engine::ports::{PortError, Sink};

/// Names of the fail points.
mod step {
    pub(super) const WRITE_SPILLED: &str = "sink.write.spilled";
    pub(super) const PREPARE_BEFORE: &str = "sink.prepare.before";
    pub(super) const PREPARE_STAGED: &str = "sink.prepare.staged";
    pub(super) const MERGE_WRITTEN: &str = "sink.merge.written";
    pub(super) const UPLOAD_BEGUN: &str = "sink.upload.begun";
    pub(super) const UPLOAD_PART: &str = "sink.upload.part";
    pub(super) const PREPARE_AFTER: &str = "sink.prepare.after";
    pub(super) const FINALISE_BEFORE: &str = "sink.finalise.before";
    pub(super) const FINALISE_PARTIAL: &str = "sink.finalise.partial";
    pub(super) const FINALISE_RENAMED: &str = "sink.finalise.renamed";
    pub(super) const FINALISE_REPLACED: &str = "sink.finalise.replaced";
    pub(super) const FINALISE_AFTER: &str = "sink.finalise.after";
    pub(super) const RECOVER_FINALISED: &str = "sink.recover.finalised";
    pub(super) const RECOVER_CLEARED: &str = "sink.recover.cleared";
    /// Where state goes back behind a merge, and nowhere else.
    pub(super) const RECOVER_CUT: &str = "sink.recover.cut";
}

/// The steps at which a test may end the process, in the order of an epoch, those of recovery last. `partial`, `staged`
/// and `merge.written` are reached after the first file only, `spilled` and `replaced` only where that happens.
pub const FAIL_POINTS: [&str; 12] = [
    step::WRITE_SPILLED,
    step::PREPARE_BEFORE,
    step::PREPARE_STAGED,
    step::MERGE_WRITTEN,
    step::PREPARE_AFTER,
    step::FINALISE_BEFORE,
    step::FINALISE_PARTIAL,
    step::FINALISE_RENAMED,
    step::FINALISE_REPLACED,
    step::FINALISE_AFTER,
    step::RECOVER_FINALISED,
    step::RECOVER_CLEARED,
];

/// Further steps where files lie in an object store: within the uploads, once they are begun and behind the first part.
pub const UPLOAD_FAIL_POINTS: [&str; 2] = [step::UPLOAD_BEGUN, step::UPLOAD_PART];

/// Rows as Parquet files.
pub struct ParquetSink {
    storage: Arc<dyn Storage>,
    settings: ParquetSettings,
    fail_point: FailPoint,
    folders: Folders,
    pending: Pending,
    /// Prepared and not finalised.
    prepared: Option<Epoch>,
    /// Folders that the last finalised epoch touched: where something may be due to be merged.
    to_look_at: BTreeSet<String>,
    /// Folders with a file that cannot be read.
    unmergeable: BTreeSet<String>,
    /// What is being merged for the next epoch, and what was.
    merging: Option<Merging>,
    merged: Option<Merged>,
    /// Folders with files to remove as soon as no reader holds them.
    with_superseded: BTreeSet<String>,
}

impl ParquetSink {
    /// Opens the folder `root`, created if it is missing, for this sink alone.
    ///
    /// # Errors
    /// [`PortError::Stop`] for wrong settings, a folder that cannot be written, and one that another process writes.
    pub fn open(root: &Path, settings: ParquetSettings, fail_point: FailPoint) -> Result<Self, PortError> {
        Self::over(|| Ok(Arc::new(LocalStorage::open(root)?)), settings, fail_point)
    }

    /// Opens a place in an object store, with the local folder `scratch` for itself: files are made there.
    ///
    /// The store is first asked by [`Sink::recover`]. Nothing keeps a second process with another scratch folder from
    /// writing to the same place: give every job one of its own.
    ///
    /// # Errors
    /// [`PortError::Stop`] for wrong settings, and a scratch folder that cannot be written or that another process uses.
    pub fn open_store(
        store: &ObjectStoreSettings,
        scratch: &Path,
        settings: ParquetSettings,
        fail_point: FailPoint,
    ) -> Result<Self, PortError> {
        let storage = || -> Result<Arc<dyn Storage>, PortError> {
            Ok(Arc::new(ObjectStorage::open(store, scratch, fail_point.clone())?))
        };
        Self::over(storage, settings, fail_point.clone())
    }

    fn over(
        storage: impl FnOnce() -> Result<Arc<dyn Storage>, PortError>,
        settings: ParquetSettings,
        fail_point: FailPoint,
    ) -> Result<Self, PortError> {
        let mistakes = settings.mistakes();
        if !mistakes.is_empty() {
            return Err(PortError::Stop(format!("settings of the Parquet sink: {}", mistakes.join("; "))));
        }
        let storage = storage()?;
        Ok(Self {
            fail_point,
            folders: Folders::new(storage.clone(), &settings),
            pending: Pending::new(storage.scratch().join("spill")),
            storage,
            settings,
            prepared: None,
            to_look_at: BTreeSet::new(),
            unmergeable: BTreeSet::new(),
            merging: None,
            merged: None,
            with_superseded: BTreeSet::new(),
        })
    }
}

impl Sink for ParquetSink {
    fn name(&self) -> &str {
        "parquet"
    }

    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
        if self.pending.add(table, rows, &mut self.folders, &self.settings)? {
            (self.fail_point)(step::WRITE_SPILLED);
        }
        Ok(())
    }

    fn prepare(&mut self, epoch: Epoch) -> Result<Vec<u8>, PortError> {
        (self.fail_point)(step::PREPARE_BEFORE);
        if let Some(earlier) = self.prepared {
            return Err(PortError::Stop(format!("epoch {epoch} was prepared before epoch {earlier} was finalised")));
        }
        let handle = self.stage(epoch)?;
        self.pending.clear()?;
        self.forget_merged()?;
        self.folders.end_epoch();
        self.prepared = Some(epoch);
        (self.fail_point)(step::PREPARE_AFTER);
        Ok(handle.to_bytes())
    }

    fn finalise(&mut self, epoch: Epoch, handle: &[u8]) -> Result<(), PortError> {
        (self.fail_point)(step::FINALISE_BEFORE);
        let handle = Handle::parse(handle)?;
        if handle.epoch != epoch {
            return Err(PortError::Stop(format!("epoch {epoch} was finalised with the handle of {}", handle.epoch)));
        }
        self.publish(&handle, Check::Size)?;
        self.to_look_at = handle.folders_to_look_at();
        self.prepared = None;
        self.start_merging()?;
        (self.fail_point)(step::FINALISE_AFTER);
        Ok(())
    }

    fn recover(&mut self, committed: Epoch, handle: Option<&[u8]>) -> Result<(), PortError> {
        if let Some(handle) = handle.map(Handle::parse).transpose()? {
            if handle.epoch > committed {
                return Err(PortError::Stop(format!(
                    "epoch {committed} is committed, but the handle is of {}: the state is damaged; restore the newest \
                     checkpoint",
                    handle.epoch
                )));
            }
            self.publish(&handle, Check::Content)?;
            self.to_look_at = handle.folders_to_look_at();
        }
        (self.fail_point)(step::RECOVER_FINALISED);
        self.remove_leftovers(committed)?;
        self.start_merging()
    }
}
