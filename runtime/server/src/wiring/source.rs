//! The source of a job.

use crate::config::Config;
use crate::config::source::{FileSettings, SourceKind};
use anyhow::Context as _;
use tidemark_connectors::source::{self as connectors, RecordSource};
use tidemark_engine::ports::Source;

/// The configured source, not started yet.
pub(super) fn open(config: &Config) -> anyhow::Result<Box<dyn Source>> {
    let from = match &config.source.kind {
        SourceKind::File(FileSettings { path, follow }) => {
            let path = path.clone().context("the source has no path: run with --input PATH")?;
            connectors::SourceKind::File(connectors::FileSettings { path, follow: *follow })
        }
        SourceKind::Stdin => connectors::SourceKind::Stdin,
        SourceKind::Generate(settings) => connectors::SourceKind::Generate((**settings).clone()),
    };
    let settings = connectors::SourceSettings { from, read: config.source.read.clone() };
    Ok(Box::new(RecordSource::new(settings, config.cleanse.clone())))
}
