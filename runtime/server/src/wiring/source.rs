//! The source of a job.

use crate::config::Config;
use crate::config::source::{FileSettings, SourceKind};
use anyhow::Context as _;
use std::sync::Arc;
use tidemark_connectors::cleanse::CleanseSettings;
use tidemark_connectors::source::again::{AgainLog, AgainSource};
use tidemark_connectors::source::kafka::{KafkaSource, KafkaSourceSettings, KafkaTelemetry};
use tidemark_connectors::source::{self as connectors, RecordSource};
use tidemark_engine::ports::Source;
use tidemark_engine::{Patience, retry};

/// A source that has not started yet.
pub(super) struct Opened {
    pub(super) source: Box<dyn Source>,
    /// How far it is, if it reads Kafka.
    pub(super) kafka: Option<Arc<KafkaTelemetry>>,
}

/// The configured source.
pub(super) fn open(config: &Config) -> anyhow::Result<Opened> {
    let from = match &config.source.kind {
        SourceKind::File(FileSettings { path, follow }) => {
            let path = path.clone().context("the source has no path: run with --input PATH")?;
            connectors::SourceKind::File(connectors::FileSettings { path, follow: *follow })
        }
        SourceKind::Stdin => connectors::SourceKind::Stdin,
        SourceKind::Generate(settings) => connectors::SourceKind::Generate((**settings).clone()),
        SourceKind::Kafka(settings) => return open_kafka(config, settings),
    };
    let settings = connectors::SourceSettings { from, read: config.source.read.clone() };
    Ok(Opened { source: Box::new(RecordSource::new(settings, config.cleanse.clone())), kafka: None })
}

fn open_kafka(config: &Config, settings: &KafkaSourceSettings) -> anyhow::Result<Opened> {
    let cleansed = !config.job.cleanse;
    let settings = KafkaSourceSettings { cleansed, ..settings.clone() };
    let cleanse = match cleansed {
        // Cleansed events bring with them what the tables added.
        true => CleanseSettings { table: Vec::new(), ..config.cleanse.clone() },
        false => config.cleanse.clone(),
    };
    let source = retry(Patience::new(config.job.patience), || {
        KafkaSource::connect(settings.clone(), config.source.read.clone(), cleanse.clone())
    })?;
    let kafka = Some(source.telemetry());
    Ok(Opened { source: Box::new(source), kafka })
}

/// `source` with what is submitted again beside it, and the log that takes it: for a service, and wherever something was
/// submitted before. A source that ends by itself takes no more.
pub(crate) fn with_again(
    config: &Config,
    source: Box<dyn Source>,
) -> anyhow::Result<(Box<dyn Source>, Option<AgainLog>)> {
    let folder = config.data.again();
    let takes_more = config.http.listen.is_some() && !source.bounded();
    if !takes_more && !folder.is_dir() {
        return Ok((source, None));
    }
    let log = AgainLog::open(&folder, config.http.limits.resubmitted_bytes as u64)?;
    let source = AgainSource::new(source, &folder, &config.source.read, config.cleanse.clone());
    Ok((Box::new(source), Some(log).filter(|_| takes_more)))
}
