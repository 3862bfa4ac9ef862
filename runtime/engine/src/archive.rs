//! Rows of the tables that are not metrics: the archive of cleansed events, and dead letters.

use crate::batch::EventBatch;
use crate::dead_letter::DeadLetter;
use crate::ids::Epoch;
use crate::output::Table;
use crate::plan::ExtractionPlan;
use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array};
use arrow_schema::ArrowError;
use chrono::DateTime;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// The archive's rows for one block.
pub(crate) fn event_rows(
    table: &Table,
    plan: &ExtractionPlan,
    batch: &EventBatch,
    partition: &str,
    epoch: Epoch,
) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<usize> = (0..batch.rows()).filter(|row| !batch.is_dropped(*row)).collect();
    let count = rows.len();
    let (mut ids, mut dates) = (StringBuilder::new(), StringBuilder::new());
    let (mut types, mut raw) = (StringBuilder::new(), StringBuilder::with_capacity(count, batch.raw.buffer.len()));
    let mut text = String::new();
    let mut date = (i64::MIN, String::new());
    for &row in &rows {
        let id = batch.ids[row];
        if id == 0 {
            ids.append_null();
        } else {
            text.clear();
            let _ = write!(text, "{id:032x}");
            ids.append_value(&text);
        }
        let day = batch.event_times[row].div_euclid(MS_PER_DAY);
        if day != date.0 {
            date = (day, iso_date(day));
        }
        dates.append_value(&date.1);
        types.append_value(&batch.types[batch.type_ids[row] as usize]);
        // Decoding has checked that records are UTF-8.
        raw.append_value(String::from_utf8_lossy(batch.raw.get(row)));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(
            TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| batch.event_times[*row]))
                .with_timezone("UTC"),
        ),
        Arc::new(dates.finish()),
        Arc::new(types.finish()),
        Arc::new(ids.finish()),
        Arc::new(StringArray::from(vec![partition; count])),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| batch.offsets[*row].0))),
        Arc::new(enrichments(plan, batch, &rows)),
        Arc::new(UInt64Array::from(vec![epoch.0; count])),
        Arc::new(raw.finish()),
    ];
    RecordBatch::try_new(table.schema.clone(), columns)
}

/// What lookup tables added to each row, as JSON; null where they added nothing. What rows brought with them stays whole,
/// whether or not a metric reads it: one that begins with the past may.
fn enrichments(plan: &ExtractionPlan, batch: &EventBatch, rows: &[usize]) -> StringArray {
    if !batch.enrichments.is_empty() {
        let brought: BTreeMap<usize, &[u8]> =
            batch.enrichments.iter().map(|(row, json)| (*row as usize, &json[..])).collect();
        return rows.iter().map(|row| brought.get(row).map(|json| String::from_utf8_lossy(json))).collect();
    }
    let columns: Vec<(&str, &StringArray)> = plan
        .slots()
        .iter()
        .zip(&batch.columns)
        .filter_map(|(slot, column)| Some((slot.path.strip_prefix("enrich.")?, column.as_string_opt()?)))
        .collect();
    if columns.is_empty() {
        return StringArray::new_null(rows.len());
    }
    let added = |row: &usize| {
        let values = columns.iter().filter(|(_, column)| column.is_valid(*row));
        let object: Map<String, Value> =
            values.map(|(path, column)| ((*path).to_owned(), Value::from(column.value(*row)))).collect();
        (!object.is_empty()).then(|| Value::Object(object).to_string())
    };
    rows.iter().map(added).collect()
}

/// Rows of the table of dead letters. `names` are the source's partitions by place.
pub(crate) fn dead_rows(
    table: &Table,
    dead: &[DeadLetter],
    names: &[&str],
    epoch: Epoch,
) -> Result<RecordBatch, ArrowError> {
    let texts = |text: &dyn Fn(&DeadLetter) -> Option<String>| -> ArrayRef {
        Arc::new(dead.iter().map(text).collect::<StringArray>())
    };
    let moments = |time: &dyn Fn(&DeadLetter) -> Option<i64>| -> ArrayRef {
        Arc::new(dead.iter().map(time).collect::<TimestampMillisecondArray>().with_timezone("UTC"))
    };
    let bound = |bound: i64| (bound != i64::MIN && bound != i64::MAX).then_some(bound);
    let window = |letter: &DeadLetter| letter.metric.as_ref().and_then(|metric| metric.window);
    let (mut states, mut payloads) = (BinaryBuilder::new(), BinaryBuilder::new());
    for letter in dead {
        states.append_option(letter.metric.as_ref().map(|metric| metric.state.as_slice()));
        payloads.append_value(&letter.payload);
    }
    let place = |letter: &DeadLetter| letter.position.and_then(|(place, _)| names.get(place.0 as usize));
    let columns: Vec<ArrayRef> = vec![
        texts(&|letter| Some(letter.reason.name().to_owned())),
        texts(&|letter| Some(letter.detail.clone())),
        texts(&|letter| place(letter).map(|name| (*name).to_owned())),
        Arc::new(dead.iter().map(|letter| letter.position.map(|(_, at)| at.0)).collect::<UInt64Array>()),
        moments(&|letter| letter.event_time),
        texts(&|letter| letter.metric.as_ref().map(|metric| metric.metric.clone())),
        texts(&|letter| letter.metric.as_ref().map(|metric| metric.digest.to_string())),
        texts(&|letter| letter.metric.as_ref().map(|metric| metric.key.clone())),
        moments(&|letter| window(letter).and_then(|window| bound(window.0))),
        moments(&|letter| window(letter).and_then(|window| bound(window.1))),
        Arc::new(states.finish()),
        Arc::new(UInt64Array::from(vec![epoch.0; dead.len()])),
        Arc::new(payloads.finish()),
        texts(&|letter| Some(String::from_utf8_lossy(&letter.payload).into_owned())),
    ];
    RecordBatch::try_new(table.schema.clone(), columns)
}

const MS_PER_DAY: i64 = 86_400_000;

/// `YYYY-MM-DD` of a day since 1970-01-01.
fn iso_date(day: i64) -> String {
    let date = DateTime::from_timestamp_millis(day.saturating_mul(MS_PER_DAY));
    date.map_or_else(|| "unknown".to_owned(), |date| date.format("%Y-%m-%d").to_string())
}
