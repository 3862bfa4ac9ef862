//! The store over ClickHouse: what the sink writes there, asked in SQL.
//!
//! Columns are those that `tables.json` of the data folder names, so that an answer has the same ones, with the same types
//! and in the same order, as the embedded store's.

use super::fetch::conform;
use super::letters::{self, DeadLetterQuery, Dialect, LetterPage};
use super::page::{cut, position};
use super::{Bounds, LatestPage, LatestQuery, Order, RowPage, RowQuery, RowStore, SqlAnswer};
use crate::QueryError;
use crate::catalogue::MetricTables;
use crate::schema;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::array::cast::AsArray as _;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use std::path::{Path, PathBuf};
use tidemark_connectors::sink::clickhouse::{ClickHouseReader, ReadError, ReadLimits};
use tidemark_engine::output::{Table, TableKind};

/// The rows in one ClickHouse database.
pub struct ClickHouseStore {
    reader: ClickHouseReader,
    data: PathBuf,
    memory_bytes: usize,
}

impl ClickHouseStore {
    /// Asks `reader`; metrics and columns are those of the data folder `data`. Each query may use `memory_bytes` of the
    /// server.
    #[must_use]
    pub fn new(reader: ClickHouseReader, data: &Path, memory_bytes: usize) -> Self {
        Self { reader, data: data.to_owned(), memory_bytes }
    }

    /// The answer with the columns of `schema`; no rows where the table is not there yet.
    fn select(&self, query: &str, rows: usize, schema: &SchemaRef, bounds: Bounds) -> Result<RecordBatch, QueryError> {
        let limits = self.limits(rows, bounds);
        let batches = match self.reader.select(query, limits) {
            Ok((_, batches)) => batches,
            Err(ReadError::Missing(_)) => Vec::new(),
            Err(error) => return Err(of(error)),
        };
        let failed = |error: datafusion::arrow::error::ArrowError| QueryError::Failed(error.to_string());
        let batches: Result<Vec<_>, _> = batches.iter().map(|batch| conform(batch, schema)).collect();
        let rows = concat_batches(schema, &batches.map_err(failed)?).map_err(failed)?;
        bounds.check_bytes(rows.get_array_memory_size())?;
        Ok(rows)
    }

    fn limits(&self, rows: usize, bounds: Bounds) -> ReadLimits {
        let (deadline, answer_bytes) = (bounds.deadline, bounds.bytes);
        ReadLimits { deadline, answer_bytes, memory_bytes: self.memory_bytes, rows }
    }

    /// `SELECT … FROM …` of a metric's columns; `None` where it can have no table on the server.
    fn select_from(&self, metric: &str) -> Result<Option<(String, SchemaRef)>, QueryError> {
        let (Some(schema), Some(table)) =
            (self.columns(metric)?, self.reader.rows_of(&TableKind::Metric(metric.to_owned())))
        else {
            return Ok(None);
        };
        let columns: Vec<String> = schema.fields().iter().map(|field| identifier(field.name())).collect();
        Ok(Some((format!("SELECT {} FROM {}", columns.join(", "), identifier(&table)), schema)))
    }
}

impl RowStore for ClickHouseStore {
    fn metrics(&self) -> Result<MetricTables, QueryError> {
        Ok(MetricTables::read(&self.data)?)
    }

    fn columns(&self, metric: &str) -> Result<Option<SchemaRef>, QueryError> {
        let tables = self.metrics()?;
        let columns = tables.metrics.get(metric);
        Ok(columns.map(|columns| schema::union_of(&Table::metric(metric, columns).schema, std::iter::empty())))
    }

    fn rows(&self, query: &RowQuery, bounds: Bounds) -> Result<RowPage, QueryError> {
        let Some((select, schema)) = self.select_from(&query.metric)? else { return Err(no_table(&query.metric)) };
        let (direction, behind) = match query.order {
            Order::Ascending => ("ASC", ">"),
            Order::Descending => ("DESC", "<"),
        };
        let mut conditions = times(query.from, query.until);
        conditions.extend(query.key.iter().map(|key| format!("key = {}", literal(key))));
        conditions.extend(query.after.iter().map(|after| {
            format!("(event_time, row_id) {behind} ({}, {})", moment(after.event_time), literal(&after.row_id))
        }));
        let text =
            format!("{select} WHERE {} ORDER BY event_time {direction}, row_id {direction}", conditions.join(" AND "));
        let rows = self.select(&text, query.limit + 1, &schema, bounds)?;
        let (rows, more) = cut(rows, query.limit);
        let next = rows.num_rows().checked_sub(1).filter(|_| more).and_then(|last| position(&rows, last));
        Ok(RowPage { rows, next })
    }

    fn latest(&self, query: &LatestQuery, bounds: Bounds) -> Result<LatestPage, QueryError> {
        let Some((select, schema)) = self.select_from(&query.metric)? else { return Err(no_table(&query.metric)) };
        let mut conditions = times(query.from, query.until);
        if !query.keys.is_empty() {
            let keys: Vec<String> = query.keys.iter().map(|key| literal(key)).collect();
            conditions.push(format!("key IN ({})", keys.join(", ")));
        }
        conditions.extend(query.after.iter().map(|after| format!("key > {}", literal(after))));
        let text = format!(
            "{select} WHERE {} ORDER BY key, event_time DESC, row_id DESC LIMIT 1 BY key",
            conditions.join(" AND ")
        );
        let rows = self.select(&text, query.limit + 1, &schema, bounds)?;
        let (rows, more) = cut(rows, query.limit);
        let key = |last: usize| Some(rows.column_by_name("key")?.as_string_opt::<i32>()?.value(last).to_owned());
        let next = rows.num_rows().checked_sub(1).filter(|_| more).and_then(key);
        Ok(LatestPage { rows, next })
    }

    fn dead_letters(&self, query: &DeadLetterQuery, bounds: Bounds) -> Result<LetterPage, QueryError> {
        let asked = letters::select(query, Dialect::ClickHouse);
        let answer = match self.reader.query(&asked, self.limits(query.limit + 1, bounds)) {
            Ok((schema, rows)) => SqlAnswer { schema, rows, truncated: false },
            // Nothing has failed yet.
            Err(ReadError::Missing(_)) => return Ok(letters::none()),
            Err(error) => return Err(of(error)),
        };
        letters::page(answer, query.limit)
    }

    fn sql(&self, query: &str, rows: usize, bounds: Bounds) -> Result<SqlAnswer, QueryError> {
        let (schema, batches) = self.reader.query(query, self.limits(rows + 1, bounds)).map_err(of)?;
        let failed = |error: datafusion::arrow::error::ArrowError| QueryError::Failed(error.to_string());
        let (batch, truncated) = cut(concat_batches(&schema, &batches).map_err(failed)?, rows);
        Ok(SqlAnswer { schema, rows: vec![batch], truncated })
    }
}

/// Conditions of a range of event times, one of which always holds.
fn times(from: Option<i64>, until: Option<i64>) -> Vec<String> {
    let mut conditions = vec!["1".to_owned()];
    conditions.extend(from.map(|from| format!("event_time >= {}", moment(from))));
    conditions.extend(until.map(|until| format!("event_time < {}", moment(until))));
    conditions
}

fn moment(ms: i64) -> String {
    format!("fromUnixTimestamp64Milli(toInt64({ms}), 'UTC')")
}

fn literal(text: &str) -> String {
    Dialect::ClickHouse.literal(text)
}

fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

fn no_table(metric: &str) -> QueryError {
    QueryError::Refused(format!("the metric {metric} has no table in ClickHouse"))
}

fn of(error: ReadError) -> QueryError {
    match error {
        ReadError::Limit(of) => QueryError::Limit(of, "ask for less".to_owned()),
        ReadError::Refused(message) => QueryError::Refused(message),
        ReadError::Missing(message) => QueryError::Refused(message),
        ReadError::Failed(message) => QueryError::Failed(format!("ClickHouse: {message}")),
    }
}
