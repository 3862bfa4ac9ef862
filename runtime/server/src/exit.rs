//! Exit codes, and what leads to them.

use crate::config::report::Report;
use std::fmt;
use std::process::ExitCode;

/// Everything went well.
pub const FINE: u8 = 0;
/// Something failed while it ran.
pub const FAILURE: u8 = 1;
/// The configuration, the command line or the query is wrong: nothing was started.
pub const USAGE: u8 = 2;

/// Why a command ends without success.
#[derive(Debug)]
pub enum Failure {
    /// A person has to change what was written.
    Usage(String),
    /// It failed at run time.
    Failed(anyhow::Error),
}

impl Failure {
    /// A failure at run time with these words.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::Failed(anyhow::anyhow!("{message}"))
    }

    /// Tells it on standard error.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        eprintln!("error: {self}");
        match self {
            Self::Usage(_) => ExitCode::from(USAGE),
            Self::Failed(_) => ExitCode::from(FAILURE),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => f.write_str(message),
            Self::Failed(error) => write!(f, "{error:#}"),
        }
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        Self::Usage(report.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}
