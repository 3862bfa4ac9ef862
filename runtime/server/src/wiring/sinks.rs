//! The sinks of a job. Which of them the rows of a metric go to is its table's to say.

use crate::config::Config;
use crate::config::source::SourceKind;
use arrow_array::RecordBatch;
use std::sync::Arc;
use tidemark_connectors::sink::clickhouse::{ClickHouseSettings, ClickHouseSink};
use tidemark_connectors::sink::console::ConsoleSink;
use tidemark_connectors::sink::kafka::{KafkaSink, KafkaSinkNames, KafkaSinkSettings, KafkaSinkTelemetry};
use tidemark_connectors::sink::on_thread::SinkOnThread;
use tidemark_connectors::sink::parquet::ParquetSink;
use tidemark_engine::fail_point::Hook;
use tidemark_engine::ids::Epoch;
use tidemark_engine::metric::MetricSpec;
use tidemark_engine::output::{Table, TableKind};
use tidemark_engine::ports::{PortError, Positions, Sink};
use tidemark_engine::{Patience, retry};

/// Names of sinks.
const CLICKHOUSE: &str = "clickhouse";
const KAFKA: &str = "kafka";
pub(crate) const EXCHANGE: &str = "exchange";

/// The sinks of a job.
pub(super) struct Opened {
    pub(super) sinks: Vec<Box<dyn Sink>>,
    /// How far publishing is, if there is a sink for Kafka.
    pub(super) kafka: Option<Arc<KafkaSinkTelemetry>>,
}

/// Opens every sink that is turned on. `metrics` are those that the job starts with.
pub(super) fn open(config: &Config, metrics: &[MetricSpec], hook: Hook) -> anyhow::Result<Opened> {
    let mut opened = Opened { sinks: Vec::new(), kafka: None };
    let events = config.archive.enabled;
    // First, since one waits for the other: who asks the hot store wants to know soon.
    if let Some(settings) = &config.sinks.clickhouse {
        let sink = open_clickhouse(config, settings.clone(), metrics, hook.clone())?;
        opened.sinks.push(select(Box::new(SinkOnThread::start(Box::new(sink))?), events));
    }
    if let Some(settings) = &config.sinks.parquet {
        let settings = settings.clone();
        let sink = match &config.sinks.store {
            None => ParquetSink::open(&config.data.output(), settings, hook.clone())?,
            Some(store) => ParquetSink::open_store(store, &config.data.staging(), settings, hook.clone())?,
        };
        opened.sinks.push(select(Box::new(SinkOnThread::start(Box::new(sink))?), events));
    }
    if let Some(settings) = &config.sinks.console {
        opened.sinks.push(select(Box::new(ConsoleSink::stdout(settings.clone())), true));
    }
    if let Some(settings) = &config.sinks.kafka {
        let sink = open_kafka(config, settings, metrics, &hook)?;
        opened.kafka = Some(sink.telemetry());
        opened.sinks.push(select(Box::new(SinkOnThread::start(Box::new(sink))?), true));
    }
    if let Some(settings) = config.piece.as_ref().and_then(|piece| piece.exchange.as_ref()) {
        let names = KafkaSinkNames { job: config.job.name.clone(), sink: EXCHANGE.to_owned(), source_group: None };
        let sink = retry(Patience::new(config.job.patience), || {
            KafkaSink::open(settings.clone(), &names, &config.cleanse, &config.data.exchange_outbox(), hook.clone())
        })?;
        // Other nodes need the rows, whatever sinks a metric names.
        opened.sinks.push(Box::new(SinkOnThread::start(Box::new(sink))?));
    }
    Ok(opened)
}

fn open_kafka(
    config: &Config,
    settings: &KafkaSinkSettings,
    metrics: &[MetricSpec],
    hook: &Hook,
) -> anyhow::Result<KafkaSink> {
    let mut settings = settings.clone();
    if let Some(wanted) = settings.metrics.as_mut() {
        wanted.expected =
            metrics.iter().filter(|metric| goes_to(metric, KAFKA)).map(|metric| metric.name.clone()).collect();
    }
    let source_group = match &config.source.kind {
        SourceKind::Kafka(source) if source.brokers.iter().any(|broker| settings.brokers.contains(broker)) => {
            source.group.clone()
        }
        // A transaction cannot reach another cluster.
        _ => None,
    };
    let names = KafkaSinkNames { job: config.job.name.clone(), sink: KAFKA.to_owned(), source_group };
    let sink = retry(Patience::new(config.job.patience), || {
        KafkaSink::open(settings.clone(), &names, &config.cleanse, &config.data.kafka_outbox(), hook.clone())
    });
    Ok(sink?)
}

/// The hot store, with a table for whatever may have rows there.
fn open_clickhouse(
    config: &Config,
    settings: ClickHouseSettings,
    metrics: &[MetricSpec],
    hook: Hook,
) -> Result<ClickHouseSink, PortError> {
    let here = metrics.iter().filter(|metric| goes_to(metric, CLICKHOUSE));
    let table = |metric: &MetricSpec| {
        let table = Table::clone(&Table::metric(&metric.name, &metric.output));
        Arc::new(Table { replaces: metric.allowed_lateness_ms > 0, ..table })
    };
    let mut tables: Vec<Arc<Table>> = here.map(table).collect();
    tables.push(Table::dead_letters());
    if config.archive.enabled {
        tables.push(Table::events());
    }
    ClickHouseSink::open(settings, &config.job.name, &config.data.clickhouse_outbox(), &tables, hook)
}

/// Whether the rows of a metric go to a sink.
fn goes_to(metric: &MetricSpec, sink: &str) -> bool {
    metric.deployment.sinks.as_ref().is_none_or(|names| names.iter().any(|name| name == sink))
}

/// `sink` without the tables that name other sinks only, and without cleansed events if they do not go there.
fn select(sink: Box<dyn Sink>, events: bool) -> Box<dyn Sink> {
    Box::new(Selected { sink, events })
}

/// A sink that some rows don't go to.
struct Selected {
    sink: Box<dyn Sink>,
    events: bool,
}

impl Sink for Selected {
    fn name(&self) -> &str {
        self.sink.name()
    }

    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
        let elsewhere = table.sinks.as_ref().is_some_and(|names| names.iter().all(|name| name != self.sink.name()));
        match table.kind {
            _ if elsewhere => Ok(()),
            TableKind::Events if !self.events => Ok(()),
            _ => self.sink.write(table, rows),
        }
    }

    fn prepare(&mut self, epoch: Epoch) -> Result<Vec<u8>, PortError> {
        self.sink.prepare(epoch)
    }

    fn finalise(&mut self, epoch: Epoch, handle: &[u8]) -> Result<(), PortError> {
        self.sink.finalise(epoch, handle)
    }

    fn positions(&mut self, positions: &Positions) {
        self.sink.positions(positions);
    }

    fn watermark(&mut self, watermark_ms: i64) {
        self.sink.watermark(watermark_ms);
    }

    fn idle(&mut self, idle: bool) {
        self.sink.idle(idle);
    }

    fn recover(&mut self, committed: Epoch, handle: Option<&[u8]>) -> Result<(), PortError> {
        self.sink.recover(committed, handle)
    }

    fn needs_rows(&self) -> bool {
        self.sink.needs_rows()
    }
}
