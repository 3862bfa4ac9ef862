//! What goes wrong while reading a source.

use tidemark_engine::ports::PortError;

/// Why an input cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The operating system, or a decompressor, says no.
    #[error("reading failed: {0}")]
    Io(#[from] std::io::Error),
    /// No record ends where an earlier run found one.
    #[error(
        "no record ends at byte {position}, where an earlier run found one: the input was changed or shortened; put the \
         original back, or start with an empty data folder"
    )]
    Changed {
        /// Where.
        position: u64,
    },
    /// A followed file is shorter than what was read of it.
    #[error(
        "shorter than the {read} bytes already read: it was truncated; followed files may only grow, so write to a new \
         file in a followed folder instead"
    )]
    Truncated {
        /// Bytes read so far.
        read: u64,
    },
    /// Another file stands where the followed one stood.
    #[error("replaced by another file while it was followed; follow a folder to have new files picked up")]
    Replaced,
    /// Compressed files end when they end.
    #[error("compressed files cannot be followed: set `follow = false`, or write plain NDJSON")]
    CompressedFollow,
    /// A position was committed for it, and it is gone.
    #[error("has a committed position but is gone: put it back, or start with an empty data folder")]
    Gone,
    /// A followed or read folder without files.
    #[error("no files here: put at least one NDJSON file (plain, .gz or .zst) into the folder")]
    Empty,
    /// A thread of the source ended on its own.
    #[error("a {0} thread ended unexpectedly: see the log for its message, and report it")]
    Thread(&'static str),
}

impl SourceError {
    /// The error of one input, as the engine sees it. Nothing here goes away by itself.
    pub(crate) fn stop(self, name: &str) -> PortError {
        PortError::Stop(format!("source `{name}`: {self}"))
    }
}
