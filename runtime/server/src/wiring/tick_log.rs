//! The tick log as the engine drives it.

use crate::config::Config;
use tidemark_connectors::checkpoint::{StoreTickLog, TickLog as Segments};
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::{PortError, TickLog};

/// The log, beside the checkpoints.
pub(super) enum JobTickLog {
    /// Below the data folder.
    Local(LocalTickLog),
    /// In an object store.
    Store(StoreTickLog),
}

/// Opens the log, made if it is missing.
pub(super) fn open(config: &Config) -> Result<JobTickLog, PortError> {
    Ok(match &config.checkpoint.store {
        // Where several nodes may believe to own it, the log decides between them.
        None if config.piece.is_some() => JobTickLog::Store(StoreTickLog::open_shared_folder(config.kept_apart())?),
        Some(store) if config.piece.is_some() => JobTickLog::Store(StoreTickLog::open_shared(store)?),
        None => JobTickLog::Local(LocalTickLog(Segments::open(&config.ticks())?)),
        Some(store) => JobTickLog::Store(StoreTickLog::open(store)?),
    })
}

impl JobTickLog {
    /// The last epoch that was decided, if any is known.
    pub(super) fn last_epoch(&self) -> Option<Epoch> {
        match self {
            Self::Local(log) => log.0.last_epoch(),
            Self::Store(log) => log.last_epoch(),
        }
    }

    /// Whether no record is missing between `epoch` and the last one.
    pub(super) fn has_all_after(&self, epoch: Epoch) -> bool {
        match self {
            // Segments have no gaps; what is missing before them shows when they are read.
            Self::Local(_) => true,
            Self::Store(log) => log.has_all_after(epoch),
        }
    }

    /// The first epoch that it still has.
    pub(super) fn first_epoch(&self) -> Result<Option<Epoch>, PortError> {
        match self {
            Self::Local(log) => Ok(log.0.first_epoch()?),
            Self::Store(log) => Ok(log.first_epoch()),
        }
    }

    /// What the engine drives.
    pub(super) fn into_port(self) -> Box<dyn TickLog> {
        match self {
            Self::Local(log) => Box::new(log),
            Self::Store(log) => Box::new(log),
        }
    }
}

/// The log in its folder.
pub(super) struct LocalTickLog(Segments);

impl TickLog for LocalTickLog {
    fn append(&mut self, epoch: Epoch, record: &[u8]) -> Result<(), PortError> {
        self.0.append(epoch, record)?;
        Ok(self.0.sync()?)
    }

    fn read_after(&mut self, epoch: Epoch) -> Result<Vec<(Epoch, Vec<u8>)>, PortError> {
        let mut records = Vec::new();
        for record in self.0.read_from(Epoch(epoch.0 + 1))? {
            let (found, content) = record?;
            let expected = Epoch(epoch.0 + 1 + records.len() as u64);
            if found != expected {
                return Err(PortError::Stop(format!(
                    "the tick log has no record of epoch {expected}, the next is of {found}: put its files back from a \
                     copy, or start with an empty data folder"
                )));
            }
            records.push((found, content));
        }
        Ok(records)
    }

    fn truncate_after(&mut self, epoch: Epoch) -> Result<(), PortError> {
        Ok(self.0.cut_after(epoch)?)
    }

    fn forget_before(&mut self, epoch: Epoch) -> Result<(), PortError> {
        // The records behind the oldest checkpoint are needed, its own is not; whole segments go either way.
        Ok(self.0.remove_before(epoch)?)
    }
}
