//! What can be wrong with stored checkpoints, for a person to act on.

use super::restore::Damage;
use std::io;
use std::path::PathBuf;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

/// A failure of the checkpoint store.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused.
    #[error(transparent)]
    Refused(#[from] PortError),
    /// There are checkpoints, and none can be used.
    #[error(
        "none of the {} checkpoints in {} can be restored: {}; put the missing or damaged files back from a copy of it, or, to \
         process everything again from the source, move it away",
        damaged.len(), place, listed(damaged)
    )]
    AllDamaged {
        /// The store's folder or URL.
        place: String,
        /// Each checkpoint and what is wrong with it, newest first.
        damaged: Vec<Damage>,
    },
    /// The checkpoint asked for cannot be used.
    #[error("{0}; restore another checkpoint")]
    Damaged(Damage),
    /// There is no checkpoint of that epoch.
    #[error("there is no checkpoint of epoch {0}: list the checkpoints to see which there are")]
    Missing(Epoch),
    /// The folder to restore into has something in it already.
    #[error("{} is not empty: a checkpoint is restored into a new folder; move it away first", .0.display())]
    Occupied(PathBuf),
}

impl CheckpointError {
    pub(super) fn refused(action: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::Refused(crate::durable::port_error(action, path, error))
    }
}

impl From<CheckpointError> for PortError {
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::Refused(error) => error,
            other => Self::Stop(other.to_string()),
        }
    }
}

fn listed(damaged: &[Damage]) -> String {
    damaged.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
