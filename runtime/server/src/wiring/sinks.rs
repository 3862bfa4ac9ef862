//! The sinks of a job, each with the metrics whose rows go there.

use crate::catalogue::Deployed;
use crate::config::Config;
use arrow_array::RecordBatch;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidemark_connectors::sink::clickhouse::{ClickHouseSettings, ClickHouseSink};
use tidemark_connectors::sink::console::ConsoleSink;
use tidemark_connectors::sink::on_thread::SinkOnThread;
use tidemark_connectors::sink::parquet::ParquetSink;
use tidemark_engine::fail_point::Hook;
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::{Table, TableKind};
use tidemark_engine::ports::{PortError, Positions, Sink};

/// Opens every sink that is turned on.
pub(super) fn open(config: &Config, metrics: &[Deployed], hook: Hook) -> anyhow::Result<Vec<Box<dyn Sink>>> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    // First, since one waits for the other: who asks the hot store wants to know soon.
    if let Some(settings) = &config.sinks.clickhouse {
        let sink = open_clickhouse(config, settings.clone(), metrics, hook.clone())?;
        sinks.push(select(Box::new(SinkOnThread::start(Box::new(sink))?), metrics));
    }
    if let Some(settings) = &config.sinks.parquet {
        let settings = settings.clone();
        let sink = match &config.sinks.store {
            None => ParquetSink::open(&config.data.output(), settings, hook)?,
            Some(store) => ParquetSink::open_store(store, &config.data.staging(), settings, hook)?,
        };
        sinks.push(select(Box::new(SinkOnThread::start(Box::new(sink))?), metrics));
    }
    if let Some(settings) = &config.sinks.console {
        sinks.push(select(Box::new(ConsoleSink::stdout(settings.clone())), metrics));
    }
    Ok(sinks)
}

/// The hot store, with a table for whatever may have rows there.
fn open_clickhouse(
    config: &Config,
    mut settings: ClickHouseSettings,
    metrics: &[Deployed],
    hook: Hook,
) -> Result<ClickHouseSink, PortError> {
    let here: Vec<&Deployed> = metrics.iter().filter(|metric| metric.goes_to("clickhouse")).collect();
    let refires = here.iter().filter(|metric| metric.spec.allowed_lateness_ms > 0);
    settings.refiring = refires.map(|metric| metric.spec.name.clone()).collect();
    let mut tables: Vec<Arc<Table>> =
        here.iter().map(|metric| Table::metric(&metric.spec.name, &metric.spec.output)).collect();
    tables.push(Table::dead_letters());
    if config.archive.enabled {
        tables.push(Table::events());
    }
    ClickHouseSink::open(settings, &config.job.name, &config.data.outbox(), &tables, hook)
}

/// `sink` without the metrics that name other sinks only.
fn select(sink: Box<dyn Sink>, metrics: &[Deployed]) -> Box<dyn Sink> {
    let elsewhere = metrics.iter().filter(|metric| !metric.goes_to(sink.name()));
    let left_out: BTreeSet<String> = elsewhere.map(|metric| metric.spec.name.clone()).collect();
    if left_out.is_empty() { sink } else { Box::new(Selected { sink, left_out }) }
}

/// A sink that some metrics' rows don't go to.
struct Selected {
    sink: Box<dyn Sink>,
    left_out: BTreeSet<String>,
}

impl Sink for Selected {
    fn name(&self) -> &str {
        self.sink.name()
    }

    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
        match &table.kind {
            TableKind::Metric(name) if self.left_out.contains(name) => Ok(()),
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

    fn recover(&mut self, committed: Epoch, handle: Option<&[u8]>) -> Result<(), PortError> {
        self.sink.recover(committed, handle)
    }

    fn needs_rows(&self) -> bool {
        self.sink.needs_rows()
    }
}
