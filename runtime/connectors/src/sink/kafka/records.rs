//! Rows of tables as records of Kafka: what is the key, what the value, what the headers.
//!
//! | table | key | value | headers |
//! | --- | --- | --- | --- |
//! | events | the text at a path of the event | the event as it came | `tidemark-enrichment`, where lookup tables added something |
//! | a metric | the metric's key | the row as JSON | `metric`, `module_version`, `digest`, `epoch`, `row_id` |
//! | dead letters | the metric's key, if one is concerned | the record as it came | `reason`, `detail`, `epoch`, and as far as known `partition`, `offset`, `event_time`, `metric`, `digest`, `window_start`, `window_end` |
//!
//! Times are milliseconds since 1970, as numbers in decimal digits; rows in JSON have them as RFC 3339.

use super::event_key::EventKey;
use super::outbox::{OutboxWriter, Record};
use crate::kafka::ENRICHMENT_HEADER;
use crate::sink::json_rows;
use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMillisecondType, UInt64Type};
use arrow_array::{Array, BinaryArray, RecordBatch, StringArray};
use std::fmt::Write;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

/// Rows to records. Keeps buffers.
pub(super) struct Records {
    /// Finds the keys of events, where they have some.
    event_key: Option<EventKey>,
    lines: Vec<u8>,
    epoch: String,
}

impl Records {
    pub(super) fn new(event_key: Option<EventKey>) -> Self {
        Self { event_key, lines: Vec::new(), epoch: String::new() }
    }

    /// Adds the records of `rows` to the outbox. Returns the bytes of the largest.
    pub(super) fn add(
        &mut self,
        kind: &TableKind,
        rows: &RecordBatch,
        topic: &str,
        outbox: &mut OutboxWriter,
    ) -> Result<usize, PortError> {
        let mut largest = 0;
        let mut add = |record: &Record<'_>| {
            largest = largest.max(size(record));
            outbox.add(topic, record);
        };
        match kind {
            TableKind::Events => self.events(rows, &mut add)?,
            TableKind::Metric(name) => self.metric(name, rows, &mut add)?,
            TableKind::DeadLetters => self.dead_letters(rows, &mut add)?,
        }
        Ok(largest)
    }

    fn events(&mut self, rows: &RecordBatch, add: &mut impl FnMut(&Record<'_>)) -> Result<(), PortError> {
        let (raw, enrichments) = (text(rows, "raw")?, text(rows, "enrichment")?);
        let keys = self.event_key.as_mut().map(|event_key| event_key.keys(raw));
        for row in 0..rows.num_rows() {
            let key = keys.as_ref().and_then(|keys| keys.get(row));
            let added = enrichments.is_valid(row).then(|| (ENRICHMENT_HEADER, enrichments.value(row).as_bytes()));
            let headers = added.into_iter().collect();
            add(&Record { key: key.map(str::as_bytes), value: raw.value(row).as_bytes(), headers });
        }
        Ok(())
    }

    fn metric(&mut self, name: &str, rows: &RecordBatch, add: &mut impl FnMut(&Record<'_>)) -> Result<(), PortError> {
        self.lines.clear();
        json_rows::append(rows, &mut self.lines).map_err(|error| PortError::Stop(error.to_string()))?;
        let (keys, versions) = (text(rows, "key")?, text(rows, "version")?);
        let (digests, ids) = (text(rows, "digest")?, text(rows, "row_id")?);
        // A line break within a text is written as two other characters.
        for (row, line) in self.lines.split(|&byte| byte == b'\n').take(rows.num_rows()).enumerate() {
            self.epoch.clear();
            // Writing to memory cannot fail.
            let _ = write!(self.epoch, "{}", number(rows, "epoch", row)?.unwrap_or_default());
            let headers = vec![
                ("metric", name.as_bytes()),
                ("module_version", versions.value(row).as_bytes()),
                ("digest", digests.value(row).as_bytes()),
                ("epoch", self.epoch.as_bytes()),
                ("row_id", ids.value(row).as_bytes()),
            ];
            add(&Record { key: Some(keys.value(row).as_bytes()), value: line, headers });
        }
        Ok(())
    }

    fn dead_letters(&mut self, rows: &RecordBatch, add: &mut impl FnMut(&Record<'_>)) -> Result<(), PortError> {
        const TEXTS: [&str; 5] = ["reason", "detail", "partition", "metric", "digest"];
        const NUMBERS: [&str; 5] = ["offset", "event_time", "window_start", "window_end", "epoch"];
        let payloads = bytes(rows, "payload")?;
        let keys = text(rows, "key")?;
        let texts = TEXTS.iter().map(|name| Ok((*name, text(rows, name)?))).collect::<Result<Vec<_>, PortError>>()?;
        let mut buffers: [String; NUMBERS.len()] = Default::default();
        for row in 0..rows.num_rows() {
            for (name, buffer) in NUMBERS.iter().zip(&mut buffers) {
                buffer.clear();
                if let Some(number) = number(rows, name, row)? {
                    // Writing to memory cannot fail.
                    let _ = write!(buffer, "{number}");
                }
            }
            let texts = texts.iter().filter(|(_, column)| column.is_valid(row));
            let texts = texts.map(|(name, column)| (*name, column.value(row).as_bytes()));
            let numbers = NUMBERS.iter().zip(&buffers).filter(|(_, text)| !text.is_empty());
            let headers = texts.chain(numbers.map(|(name, text)| (*name, text.as_bytes()))).collect();
            let key = keys.is_valid(row).then(|| keys.value(row).as_bytes());
            add(&Record { key, value: payloads.value(row), headers });
        }
        Ok(())
    }
}

/// What a record takes of a message, about.
pub(super) fn size(record: &Record<'_>) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    record.key.map_or(0, <[u8]>::len) + record.value.len() + headers
}

/// The number or the time in a column, if there is one.
fn number(rows: &RecordBatch, name: &str, row: usize) -> Result<Option<i128>, PortError> {
    let column = column(rows, name)?;
    if column.is_null(row) {
        return Ok(None);
    }
    let number = column.as_primitive_opt::<UInt64Type>().map(|column| i128::from(column.value(row)));
    let time = || column.as_primitive_opt::<TimestampMillisecondType>().map(|column| i128::from(column.value(row)));
    number.or_else(time).map(Some).ok_or_else(|| foreign(name))
}

pub(super) fn text<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a StringArray, PortError> {
    column(rows, name)?.as_string_opt().ok_or_else(|| foreign(name))
}

fn bytes<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a BinaryArray, PortError> {
    column(rows, name)?.as_binary_opt().ok_or_else(|| foreign(name))
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a dyn Array, PortError> {
    rows.column_by_name(name).map(AsRef::as_ref).ok_or_else(|| foreign(name))
}

/// Tables are the engine's: a column that is not as it should be is a mistake of ours.
fn foreign(name: &str) -> PortError {
    PortError::Stop(format!(
        "internal error, please report it: a table without the column {name} came to the Kafka sink"
    ))
}
