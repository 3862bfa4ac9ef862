//! Dead letters: what can be asked of them, and as which SQL it is asked.
//!
//! A letter's id is made of what tells it from all others, the epoch first, so that ids stand in the order in which
//! letters came. Both dialects write the same ids.

use super::SqlAnswer;
use super::fetch::conform;
use crate::QueryError;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::array::cast::AsArray as _;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;
use tidemark_engine::output::Table;

/// Columns of a letter that a list shows: not the payload as bytes, which is there as a text.
const SHOWN: [&str; 13] = [
    "reason",
    "detail",
    "partition",
    "offset",
    "event_time",
    "metric",
    "digest",
    "key",
    "window_start",
    "window_end",
    "state",
    "epoch",
    "payload_text",
];

/// Which dead letters are asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeadLetterQuery {
    /// Those with these ids only, where there are any.
    pub ids: Vec<String>,
    /// With this reason.
    pub reason: Option<String>,
    /// Of this metric.
    pub metric: Option<String>,
    /// Of this key.
    pub key: Option<String>,
    /// With an event time from here on, in ms.
    pub from: Option<i64>,
    /// With an event time before, in ms.
    pub until: Option<i64>,
    /// Only those behind this id.
    pub after: Option<String>,
    /// Most letters.
    pub limit: usize,
    /// Whether to show the payload as it came instead of as a text.
    pub with_payload: bool,
}

/// Dead letters, the newest epoch's first.
#[derive(Clone, Debug)]
pub struct LetterPage {
    /// The letters, their `id` first.
    pub rows: RecordBatch,
    /// The id behind which the next page goes on; `None`: there is none.
    pub next: Option<String>,
}

/// What differs between the engines that answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    DataFusion,
    ClickHouse,
}

impl Dialect {
    /// A text in quotes.
    pub(crate) fn literal(self, text: &str) -> String {
        match self {
            Self::DataFusion => format!("'{}'", text.replace('\'', "''")),
            Self::ClickHouse => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        }
    }

    fn number_text(self, column: &str) -> String {
        match self {
            Self::DataFusion => format!("lpad(coalesce(cast(\"{column}\" AS varchar), ''), 20, '0')"),
            Self::ClickHouse => format!("leftPad(coalesce(toString(\"{column}\"), ''), 20, '0')"),
        }
    }

    fn milliseconds(self, column: &str) -> String {
        match self {
            Self::DataFusion => format!("cast(\"{column}\" AS bigint)"),
            Self::ClickHouse => format!("toUnixTimestamp64Milli(\"{column}\")"),
        }
    }

    fn id(self) -> String {
        let text = |column: &str| format!("coalesce(\"{column}\", '')");
        let start = match self {
            Self::DataFusion => format!("coalesce(cast({} AS varchar), '')", self.milliseconds("window_start")),
            Self::ClickHouse => format!("coalesce(toString({}), '')", self.milliseconds("window_start")),
        };
        let parts = [
            self.number_text("epoch"),
            text("partition"),
            self.number_text("offset"),
            text("reason"),
            text("metric"),
            start,
            text("key"),
        ];
        format!("concat({})", parts.join(", '|', "))
    }
}

/// The letters as a query; one more than asked for, to know whether there are more.
pub(crate) fn select(query: &DeadLetterQuery, dialect: Dialect) -> String {
    let literal = |text: &str| dialect.literal(text);
    let mut conditions = vec!["1 = 1".to_owned()];
    if !query.ids.is_empty() {
        let ids: Vec<String> = query.ids.iter().map(|id| literal(id)).collect();
        conditions.push(format!("id IN ({})", ids.join(", ")));
        // The epoch stands first in an id, and files know which epochs they hold.
        let epochs: Vec<u64> = query.ids.iter().filter_map(|id| id.split('|').next()?.parse().ok()).collect();
        if let (Some(first), Some(last)) = (epochs.iter().min(), epochs.iter().max()) {
            conditions.push(format!("\"epoch\" BETWEEN {first} AND {last}"));
        }
    }
    let texts = [("reason", &query.reason), ("metric", &query.metric), ("key", &query.key)];
    for (column, value) in texts {
        conditions.extend(value.iter().map(|value| format!("\"{column}\" = {}", literal(value))));
    }
    let time = dialect.milliseconds("event_time");
    conditions.extend(query.from.iter().map(|from| format!("{time} >= {from}")));
    conditions.extend(query.until.iter().map(|until| format!("{time} < {until}")));
    conditions.extend(query.after.iter().map(|after| format!("id < {}", literal(after))));
    let shown = SHOWN.iter().filter(|name| !(query.with_payload && **name == "payload_text"));
    let columns: Vec<String> = shown.map(|name| format!("\"{name}\"")).collect();
    let payload = if query.with_payload { ", \"payload\"" } else { "" };
    format!(
        "SELECT id, {}{payload} FROM (SELECT *, {} AS id FROM dead_letters) AS letters WHERE {} ORDER BY id DESC LIMIT {}",
        columns.join(", "),
        dialect.id(),
        conditions.join(" AND "),
        query.limit + 1
    )
}

/// The answer to [`select`] as a page.
pub(crate) fn page(answer: SqlAnswer, limit: usize) -> Result<LetterPage, QueryError> {
    let failed = |error: datafusion::arrow::error::ArrowError| QueryError::Failed(error.to_string());
    let schema = letter_schema(&answer.schema);
    let batches: Vec<RecordBatch> =
        answer.rows.iter().map(|batch| conform(batch, &schema)).collect::<Result<_, _>>().map_err(failed)?;
    let rows = concat_batches(&schema, &batches).map_err(failed)?;
    let more = rows.num_rows() > limit;
    let rows = rows.slice(0, rows.num_rows().min(limit));
    let last = rows.num_rows().checked_sub(1).filter(|_| more);
    let next = last.map(|last| rows.column(0).as_string::<i32>().value(last).to_owned());
    Ok(LetterPage { rows, next })
}

/// No letters.
pub(crate) fn none() -> LetterPage {
    let fields = std::iter::once("id").chain(SHOWN).map(|name| Field::new(name, DataType::Utf8, true));
    let schema = letter_schema(&Schema::new(fields.collect::<Vec<_>>()));
    LetterPage { rows: RecordBatch::new_empty(schema), next: None }
}

/// The columns that were asked for, with the types that the table has, whatever the engine made of them.
fn letter_schema(found: &Schema) -> SchemaRef {
    let table = Table::dead_letters();
    let fields = found.fields().iter().map(|field| match table.schema.field_with_name(field.name()) {
        Ok(known) => known.clone(),
        Err(_) => Field::new(field.name(), DataType::Utf8, false),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
