//! Tables: what the engine writes and sinks keep.

use crate::descriptor::{ColumnType, OutputColumn};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// What a table holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TableKind {
    /// The archive: cleansed events.
    Events,
    /// The rows of one metric.
    Metric(String),
    /// Dead letters.
    DeadLetters,
}

/// A table and its columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// What it holds.
    pub kind: TableKind,
    /// Its columns.
    pub schema: SchemaRef,
    /// Names of the sinks that its rows go to; `None`: all.
    pub sinks: Option<Vec<String>>,
    /// Whether a later row may take the place of an earlier one with its id: the metric's windows may fire again, or a version
    /// of it is made of the past, where another had its place.
    pub replaces: bool,
}

/// Columns that every metric row has, before those of the metric. Times are milliseconds in UTC.
///
/// `row_id` is the same however often an epoch is re-run: 16 bytes as hexadecimal digits, XXH3-128 of metric, key,
/// window, event time, the row's number within its group and, for rows that `update` emits, the newest row that it saw.
/// A window that fires again repeats its ids: the later row stands in place of the earlier one.
#[must_use]
pub fn common_fields() -> Vec<Field> {
    vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("window_start", timestamp(), true),
        Field::new("window_end", timestamp(), true),
        Field::new("event_time", timestamp(), false),
        Field::new("module", DataType::Utf8, false),
        Field::new("version", DataType::Utf8, false),
        Field::new("digest", DataType::Utf8, false),
        Field::new("config_digest", DataType::Utf8, false),
        Field::new("epoch", DataType::UInt64, false),
        Field::new("row_id", DataType::Utf8, false),
    ]
}

/// The type of every moment in tables.
#[must_use]
pub fn timestamp() -> DataType {
    DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, Some("UTC".into()))
}

/// The Arrow type of a column of a metric.
#[must_use]
pub const fn arrow_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Float => DataType::Float64,
        ColumnType::Text | ColumnType::Json => DataType::Utf8,
    }
}

impl Table {
    fn new(kind: TableKind, fields: Vec<Field>) -> Arc<Self> {
        Arc::new(Self { kind, schema: Arc::new(Schema::new(fields)), sinks: None, replaces: false })
    }

    /// The table of a metric with these output columns.
    #[must_use]
    pub fn metric(name: &str, output: &[OutputColumn]) -> Arc<Self> {
        let own = output.iter().map(|column| Field::new(&column.name, arrow_type(column.kind), column.nullable));
        let fields: Vec<Field> = common_fields().into_iter().chain(own).collect();
        Self::new(TableKind::Metric(name.to_owned()), fields)
    }

    /// The archive: `event_time`, `event_date` (ISO), `type`, `id` fingerprint, `partition` name and `offset`, and the
    /// event as it came in `raw`.
    #[must_use]
    pub fn events() -> Arc<Self> {
        let fields = vec![
            Field::new("event_time", timestamp(), false),
            Field::new("event_date", DataType::Utf8, false),
            Field::new("type", DataType::Utf8, false),
            Field::new("id", DataType::Utf8, true),
            Field::new("partition", DataType::Utf8, false),
            Field::new("offset", DataType::UInt64, false),
            Field::new("enrichment", DataType::Utf8, true),
            Field::new("epoch", DataType::UInt64, false),
            Field::new("raw", DataType::Utf8, false),
        ];
        Self::new(TableKind::Events, fields)
    }

    /// Dead letters; `payload` holds the record as it came, bytes that are not UTF-8 replaced in `payload_text` only.
    #[must_use]
    pub fn dead_letters() -> Arc<Self> {
        let fields = vec![
            Field::new("reason", DataType::Utf8, false),
            Field::new("detail", DataType::Utf8, false),
            Field::new("partition", DataType::Utf8, true),
            Field::new("offset", DataType::UInt64, true),
            Field::new("event_time", timestamp(), true),
            Field::new("metric", DataType::Utf8, true),
            Field::new("digest", DataType::Utf8, true),
            Field::new("key", DataType::Utf8, true),
            Field::new("window_start", timestamp(), true),
            Field::new("window_end", timestamp(), true),
            Field::new("state", DataType::Binary, true),
            Field::new("epoch", DataType::UInt64, false),
            Field::new("payload", DataType::Binary, false),
            Field::new("payload_text", DataType::Utf8, false),
        ];
        Self::new(TableKind::DeadLetters, fields)
    }
}
