//! Rows of a trial as an author reads them: the key, the window, the event time and the metric's own columns; dead letters
//! among them. What differs from build to build (digests, ids, epochs) is left out.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType, UInt64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tidemark_engine::dead_letter::Reason;
use tidemark_engine::descriptor::{ColumnType, Descriptor};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::{Table, TableKind};
use tidemark_engine::ports::{PortError, Sink};

/// Columns that every metric has and that are shown.
const SHOWN: [&str; 4] = ["key", "window_start", "window_end", "event_time"];

/// Rows that the sink has taken.
#[derive(Clone, Default)]
pub(super) struct Collected(Arc<Mutex<Vec<Value>>>);

impl Collected {
    /// All of them.
    pub(super) fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Keeps rows in memory. A trial is never recovered, so there is nothing to prepare.
pub(super) struct RowSink {
    own: BTreeSet<String>,
    json: BTreeSet<String>,
    collected: Collected,
}

impl RowSink {
    pub(super) fn new(descriptor: &Descriptor) -> (Self, Collected) {
        let collected = Collected::default();
        let names = |of: fn(ColumnType) -> bool| {
            descriptor.output.iter().filter(|column| of(column.kind)).map(|column| column.name.clone()).collect()
        };
        let (own, json) = (names(|_| true), names(|kind| kind == ColumnType::Json));
        (Self { own, json, collected: collected.clone() }, collected)
    }

    fn metric_row(&self, rows: &RecordBatch, row: usize) -> Value {
        let schema = rows.schema();
        let columns = schema.fields().iter().zip(rows.columns());
        let columns =
            columns.filter(|(field, _)| SHOWN.contains(&field.name().as_str()) || self.own.contains(field.name()));
        let values = columns.map(|(field, column)| {
            let value = value(column, row);
            let parsed = match &value {
                Value::String(text) if self.json.contains(field.name()) => serde_json::from_str(text).ok(),
                _ => None,
            };
            (field.name().clone(), parsed.unwrap_or(value))
        });
        Value::Object(values.collect())
    }
}

/// A dead letter; its place is that of the record in the file.
fn dead_letter(rows: &RecordBatch, row: usize) -> Value {
    let of = |name: &str| rows.column_by_name(name).map_or(Value::Null, |column| value(column, row));
    let mut letter = Map::from_iter([("dead_letter".to_owned(), of("reason"))]);
    let shown = [("line", "offset"), ("key", "key"), ("window_start", "window_start"), ("window_end", "window_end")];
    for (name, column) in shown.into_iter().chain([("detail", "detail")]) {
        let value = of(column);
        // The detail of a failure that the module did not put into words differs from build to build.
        let is_shown = name != "detail" || of("reason") == Reason::GuestFailure.name();
        if !value.is_null() && is_shown {
            letter.insert(name.to_owned(), value);
        }
    }
    Value::Object(letter)
}

fn value(column: &dyn Array, row: usize) -> Value {
    match column.data_type() {
        _ if column.is_null(row) => Value::Null,
        DataType::Boolean => json!(column.as_boolean().value(row)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => json!(column.as_primitive::<UInt64Type>().value(row)),
        DataType::Timestamp(..) => json!(column.as_primitive::<TimestampMillisecondType>().value(row)),
        DataType::Float64 => {
            let value = column.as_primitive::<Float64Type>().value(row);
            // JSON has no word for these; a test must tell them from null.
            if value.is_finite() { json!(value) } else { json!(value.to_string()) }
        }
        DataType::Binary => json!(String::from_utf8_lossy(column.as_binary::<i32>().value(row))),
        _ => json!(column.as_string::<i32>().value(row)),
    }
}

impl Sink for RowSink {
    fn name(&self) -> &str {
        "trial"
    }

    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
        let mut collected = self.collected.0.lock().unwrap_or_else(PoisonError::into_inner);
        match table.kind {
            TableKind::Metric(_) => collected.extend((0..rows.num_rows()).map(|row| self.metric_row(rows, row))),
            TableKind::DeadLetters => collected.extend((0..rows.num_rows()).map(|row| dead_letter(rows, row))),
            TableKind::Events => {}
        }
        Ok(())
    }

    fn prepare(&mut self, _: Epoch) -> Result<Vec<u8>, PortError> {
        Ok(Vec::new())
    }

    fn finalise(&mut self, _: Epoch, _: &[u8]) -> Result<(), PortError> {
        Ok(())
    }

    fn recover(&mut self, _: Epoch, _: Option<&[u8]>) -> Result<(), PortError> {
        Ok(())
    }
}
