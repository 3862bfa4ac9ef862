//! A tick log in memory.

use crate::ids::Epoch;
use crate::ports::{PortError, TickLog};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A handle to a tick log that outlives engines.
#[derive(Clone, Debug, Default)]
pub struct MemoryTickLog(Arc<Mutex<BTreeMap<Epoch, Vec<u8>>>>);

impl MemoryTickLog {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Epoch, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TickLog for MemoryTickLog {
    fn append(&mut self, epoch: Epoch, record: &[u8]) -> Result<(), PortError> {
        self.lock().insert(epoch, record.to_vec());
        Ok(())
    }

    fn read_after(&mut self, epoch: Epoch) -> Result<Vec<(Epoch, Vec<u8>)>, PortError> {
        Ok(self.lock().range(Epoch(epoch.0 + 1)..).map(|(epoch, record)| (*epoch, record.clone())).collect())
    }

    fn truncate_after(&mut self, epoch: Epoch) -> Result<(), PortError> {
        self.lock().split_off(&Epoch(epoch.0 + 1));
        Ok(())
    }

    fn forget_before(&mut self, epoch: Epoch) -> Result<(), PortError> {
        let mut log = self.lock();
        let kept = log.split_off(&Epoch(epoch.0 + 1));
        *log = kept;
        Ok(())
    }
}
