//! The console sink: rows of chosen tables as NDJSON, printed when their epoch is final.
//!
//! The lines of an epoch travel in its handle, so that none is lost in a crash between the commit and the printing.
//! Nobody can take a printed line back, though: after a restart the last committed epoch is printed again. At least
//! once, then, not exactly once.

use crate::sink::json_rows;
use arrow_array::RecordBatch;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::{Table, TableKind};
use tidemark_engine::ports::{PortError, Sink};

/// What the console sink prints.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleSettings {
    /// Names of metrics; empty for all of them.
    pub metrics: BTreeSet<String>,
    /// Whether cleansed events are printed.
    pub events: bool,
    /// Whether dead letters are printed.
    pub dead_letters: bool,
    /// Most bytes of lines in one epoch: they are kept in memory and in the state's commit.
    pub epoch_bytes: usize,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self { metrics: BTreeSet::new(), events: false, dead_letters: false, epoch_bytes: 16 << 20 }
    }
}

impl ConsoleSettings {
    fn wants(&self, kind: &TableKind) -> bool {
        match kind {
            TableKind::Events => self.events,
            TableKind::Metric(name) => self.metrics.is_empty() || self.metrics.contains(name),
            TableKind::DeadLetters => self.dead_letters,
        }
    }
}

/// Prints rows to `W`.
pub struct ConsoleSink<W> {
    settings: ConsoleSettings,
    output: W,
    lines: Vec<u8>,
}

impl ConsoleSink<io::Stdout> {
    /// Prints to the standard output.
    #[must_use]
    pub fn stdout(settings: ConsoleSettings) -> Self {
        Self::new(settings, io::stdout())
    }
}

impl<W: Write> ConsoleSink<W> {
    /// Prints to `output`.
    pub fn new(settings: ConsoleSettings, output: W) -> Self {
        Self { settings, output, lines: Vec::new() }
    }

    fn print(&mut self, handle: &[u8]) -> Result<(), PortError> {
        let lines = zstd::decode_all(handle)
            .map_err(|error| PortError::Stop(format!("the console sink's handle in state cannot be read: {error}")))?;
        match self.output.write_all(&lines).and_then(|()| self.output.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(PortError::Stop(
                "whoever read the printed rows has gone away; start again with a reader".to_owned(),
            )),
            Err(error) => Err(PortError::Stop(format!("rows cannot be printed: {error}; check the standard output"))),
            Ok(()) => Ok(()),
        }
    }
}

impl<W: Write + Send> Sink for ConsoleSink<W> {
    fn name(&self) -> &str {
        "console"
    }

    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
        if !self.settings.wants(&table.kind) {
            return Ok(());
        }
        let before = self.lines.len();
        json_rows::append(rows, &mut self.lines).map_err(|error| PortError::Stop(error.to_string()))?;
        let (requested, limit) = (self.lines.len(), self.settings.epoch_bytes);
        if requested > limit {
            self.lines.truncate(before);
            return Err(PortError::Stop(format!(
                "the epoch's lines for the console would take {requested} bytes ({before} so far, limit {limit}): print \
                 fewer tables, or raise epoch_bytes"
            )));
        }
        Ok(())
    }

    fn prepare(&mut self, _epoch: Epoch) -> Result<Vec<u8>, PortError> {
        let handle = zstd::encode_all(self.lines.as_slice(), 1)
            .map_err(|error| PortError::Stop(format!("lines for the console cannot be compressed: {error}")))?;
        self.lines.clear();
        Ok(handle)
    }

    fn finalise(&mut self, _epoch: Epoch, handle: &[u8]) -> Result<(), PortError> {
        self.print(handle)
    }

    fn recover(&mut self, _committed: Epoch, handle: Option<&[u8]>) -> Result<(), PortError> {
        handle.map_or(Ok(()), |handle| self.print(handle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array};
    use arrow_schema::{DataType, Field, Schema};

    fn table(name: &str) -> Arc<Table> {
        let schema = Schema::new(vec![Field::new("value", DataType::Int64, false)]);
        Arc::new(Table { schema: Arc::new(schema), ..Table::clone(&Table::metric(name, &[])) })
    }

    fn rows(values: Vec<i64>) -> RecordBatch {
        RecordBatch::try_from_iter([("value", Arc::new(Int64Array::from(values)) as ArrayRef)]).unwrap()
    }

    #[test]
    fn lines_appear_at_finalise_and_again_after_a_crash() {
        let settings = ConsoleSettings { metrics: ["wanted".to_owned()].into(), ..ConsoleSettings::default() };
        let mut sink = ConsoleSink::new(settings.clone(), Vec::new());
        sink.recover(Epoch(0), None).unwrap();
        sink.write(&table("wanted"), &rows(vec![1, 2])).unwrap();
        sink.write(&table("other"), &rows(vec![9])).unwrap();
        let handle = sink.prepare(Epoch(1)).unwrap();
        assert_eq!(sink.output, b"");
        sink.write(&table("wanted"), &rows(vec![3])).unwrap();
        sink.finalise(Epoch(1), &handle).unwrap();
        assert_eq!(sink.output, b"{\"value\":1}\n{\"value\":2}\n");

        let mut restarted = ConsoleSink::new(settings, Vec::new());
        restarted.recover(Epoch(1), Some(&handle)).unwrap();
        assert_eq!(restarted.output, sink.output);
    }

    #[test]
    fn an_epoch_over_the_limit_is_refused_with_its_numbers() {
        let settings = ConsoleSettings { epoch_bytes: 20, ..ConsoleSettings::default() };
        let mut sink = ConsoleSink::new(settings, Vec::new());
        sink.write(&table("wanted"), &rows(vec![1])).unwrap();
        let error = sink.write(&table("wanted"), &rows(vec![2])).unwrap_err().to_string();
        assert!(error.contains("24 bytes (12 so far, limit 20)"), "{error}");
    }
}
