//! Why no component was made, for its author.

use crate::process::ProcessError;
use std::io;
use std::path::{Path, PathBuf};

/// Why no component was made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A tool is not on this machine.
    #[error("{what} is missing: {remedy}")]
    Missing {
        /// What it is, with what it is for.
        what: String,
        /// How to get it.
        remedy: String,
    },
    /// A tool ran and failed. What it says of the source it has printed itself.
    #[error(transparent)]
    Tool(#[from] ProcessError),
    /// The folder is not a project, or not one metric.
    #[error("{0}")]
    Project(String),
    /// What the compiler made cannot be a metric.
    #[error("{0}")]
    Component(String),
    /// A file can't be read or written.
    #[error("{file}: {error}", file = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl BuildError {
    /// A tool that is not here.
    pub(crate) fn missing(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Missing { what: what.into(), remedy: remedy.into() }
    }

    /// A file that can't be used.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::File { path: path.to_owned(), error }
    }
}
