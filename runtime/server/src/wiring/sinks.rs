//! The sinks of a job. Which of them the rows of a metric go to is its table's to say.

use crate::config::Config;
use arrow_array::RecordBatch;
use std::sync::Arc;
use tidemark_connectors::sink::console::ConsoleSink;
use tidemark_connectors::sink::on_thread::SinkOnThread;
use tidemark_connectors::sink::parquet::ParquetSink;
use tidemark_engine::fail_point::Hook;
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::Table;
use tidemark_engine::ports::{PortError, Positions, Sink};

/// Opens every sink that is turned on.
pub(super) fn open(config: &Config, hook: Hook) -> anyhow::Result<Vec<Box<dyn Sink>>> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if let Some(settings) = &config.sinks.parquet {
        let sink = ParquetSink::open(&config.data.output(), settings.clone(), hook)?;
        sinks.push(select(Box::new(SinkOnThread::start(Box::new(sink))?)));
    }
    if let Some(settings) = &config.sinks.console {
        sinks.push(select(Box::new(ConsoleSink::stdout(settings.clone()))));
    }
    Ok(sinks)
}

/// `sink` without the tables that name other sinks only.
fn select(sink: Box<dyn Sink>) -> Box<dyn Sink> {
    Box::new(Selected(sink))
}

/// A sink that some metrics' rows don't go to.
struct Selected(Box<dyn Sink>);

impl Sink for Selected {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
        let elsewhere = table.sinks.as_ref().is_some_and(|names| names.iter().all(|name| name != self.0.name()));
        if elsewhere { Ok(()) } else { self.0.write(table, rows) }
    }

    fn prepare(&mut self, epoch: Epoch) -> Result<Vec<u8>, PortError> {
        self.0.prepare(epoch)
    }

    fn finalise(&mut self, epoch: Epoch, handle: &[u8]) -> Result<(), PortError> {
        self.0.finalise(epoch, handle)
    }

    fn positions(&mut self, positions: &Positions) {
        self.0.positions(positions);
    }

    fn recover(&mut self, committed: Epoch, handle: Option<&[u8]>) -> Result<(), PortError> {
        self.0.recover(committed, handle)
    }

    fn needs_rows(&self) -> bool {
        self.0.needs_rows()
    }
}
