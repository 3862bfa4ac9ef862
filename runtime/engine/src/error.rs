//! What can stop the engine.

use crate::guest::GuestError;
use crate::ports::PortError;
use arrow_schema::ArrowError;

/// A failure that ends the run. Everything committed is safe; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A port failed for good.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A module can't be used at all.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The job as configured can't run, or not with the state that is there.
    #[error("{0}")]
    Job(String),
    /// An array that doesn't fit its table: a mistake of ours, never of the input.
    #[error("internal error, please report it: {0}")]
    Internal(#[from] ArrowError),
}
