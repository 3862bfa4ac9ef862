//! The tick log in an object store, beside the checkpoints: one object for each epoch, so that a machine that is lost
//! takes nothing along which its successor needs.
//!
//! ```text
//! PREFIX/ticks/e000000000101.tick
//! ```
//!
//! An object is there as a whole or not at all. It costs each epoch one request more: where epochs of a second are too
//! dear, make them longer.

use super::record::{LARGEST_RECORD, frame, parse};
use crate::object_storage::{Bucket, ObjectStoreSettings};
use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use std::collections::BTreeSet;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::{PortError, TickLog};

/// The folder of records.
const TICKS: &str = "ticks";

/// A tick log in an object store, written by one process at a time.
pub struct StoreTickLog {
    bucket: Bucket,
    /// Epochs that have a record.
    epochs: BTreeSet<Epoch>,
}

impl StoreTickLog {
    /// Opens the log and finds out which records there are.
    ///
    /// # Errors
    /// [`PortError`] for wrong settings, and a store that cannot be reached.
    pub fn open(settings: &ObjectStoreSettings) -> Result<Self, PortError> {
        let bucket = Bucket::open(settings)?;
        let objects = bucket.list(TICKS)?.objects;
        let epochs = objects.iter().filter_map(|object| epoch_of_name(object.location.filename()?)).collect();
        Ok(Self { bucket, epochs })
    }

    /// The epoch of the last record.
    #[must_use]
    pub fn last_epoch(&self) -> Option<Epoch> {
        self.epochs.last().copied()
    }

    /// The epoch of the first record.
    #[must_use]
    pub fn first_epoch(&self) -> Option<Epoch> {
        self.epochs.first().copied()
    }

    fn object(&self, epoch: Epoch) -> Result<ObjectPath, PortError> {
        self.bucket.object(&format!("{TICKS}/e{:012}.tick", epoch.0))
    }

    fn read(&self, epoch: Epoch) -> Result<Vec<u8>, PortError> {
        let object = self.object(epoch)?;
        let content = self.bucket.get(&object)?;
        let record = content.as_deref().and_then(parse).filter(|(found, _)| *found == epoch);
        record.map(|(_, record)| record.to_vec()).ok_or_else(|| {
            PortError::Stop(format!(
                "the record of epoch {epoch} in the tick log is damaged or gone: put {} back from a copy; without it, only \
                 epochs before it can be re-run",
                self.bucket.describe(&object)
            ))
        })
    }

    fn remove(&mut self, epochs: &[Epoch]) -> Result<(), PortError> {
        for epoch in epochs {
            self.bucket.delete(&self.object(*epoch)?)?;
            self.epochs.remove(epoch);
        }
        Ok(())
    }
}

impl TickLog for StoreTickLog {
    fn append(&mut self, epoch: Epoch, record: &[u8]) -> Result<(), PortError> {
        if record.len() > LARGEST_RECORD {
            let requested = record.len();
            return Err(PortError::Stop(format!(
                "a tick log record takes {requested} bytes, limit {LARGEST_RECORD}: make epochs shorter"
            )));
        }
        self.bucket.put(&self.object(epoch)?, Bytes::from(frame(epoch, record)))?;
        self.epochs.insert(epoch);
        Ok(())
    }

    fn read_after(&mut self, epoch: Epoch) -> Result<Vec<(Epoch, Vec<u8>)>, PortError> {
        let later = self.epochs.range(Epoch(epoch.0 + 1)..);
        later.map(|later| Ok((*later, self.read(*later)?))).collect()
    }

    fn truncate_after(&mut self, epoch: Epoch) -> Result<(), PortError> {
        // The last one first: whatever is left has no gap.
        let later: Vec<Epoch> = self.epochs.range(Epoch(epoch.0 + 1)..).rev().copied().collect();
        self.remove(&later)
    }

    fn forget_before(&mut self, epoch: Epoch) -> Result<(), PortError> {
        let earlier: Vec<Epoch> = self.epochs.range(..=epoch).copied().collect();
        self.remove(&earlier)
    }
}

fn epoch_of_name(name: &str) -> Option<Epoch> {
    let epoch = Epoch(name.strip_prefix('e')?.strip_suffix(".tick")?.parse().ok()?);
    (name == format!("e{:012}.tick", epoch.0)).then_some(epoch)
}
