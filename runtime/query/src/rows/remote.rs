//! The store over the Parquet files in an object store, asked in SQL through DataFusion.
//!
//! Nothing is kept of a file between two questions: each lists the store and reads what it needs. ClickHouse is the store
//! for who asks often.

use super::letters::{self, DeadLetterQuery, Dialect, LetterPage};
use super::page::{cut, position};
use super::{Bounds, LatestPage, LatestQuery, Order, RowPage, RowQuery, RowStore, SqlAnswer};
use crate::catalogue::MetricTables;
use crate::tables::{Tables, view_name};
use crate::{Place, QueryError, sql};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::array::cast::AsArray as _;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemark_connectors::object_storage::ObjectStoreSettings;

/// Bounds of a look at what tables there are.
const LOOK: (Duration, usize) = (Duration::from_secs(30), 64 << 20);

/// The rows that a job's Parquet sink keeps in an object store.
pub struct RemoteStore {
    place: Place,
    data: PathBuf,
    sql_memory: Arc<dyn MemoryPool>,
}

impl RemoteStore {
    /// Reads what is below the URL of `store`; `data` is the job's data folder, which knows of metrics without rows. All
    /// queries at a time share `sql_memory` bytes.
    #[must_use]
    pub fn new(store: ObjectStoreSettings, data: &Path, sql_memory: usize) -> Self {
        let place = Place::Store { store, data: Some(data.to_owned()) };
        Self { place, data: data.to_owned(), sql_memory: Arc::new(GreedyMemoryPool::new(sql_memory)) }
    }

    fn ask(&self, query: &str, rows: usize, bounds: Bounds) -> Result<SqlAnswer, QueryError> {
        sql::answer(Tables::open(&self.place), query, self.sql_memory.clone(), rows, bounds)
    }

    /// The answer as one batch of at most `limit` rows, and whether there are more.
    fn page(&self, query: &str, limit: usize, bounds: Bounds) -> Result<(RecordBatch, bool), QueryError> {
        let SqlAnswer { schema, rows, .. } = self.ask(query, limit + 1, bounds)?;
        let failed = |error: ArrowError| QueryError::Failed(error.to_string());
        Ok(cut(concat_batches(&schema, &rows).map_err(failed)?, limit))
    }
}

impl RowStore for RemoteStore {
    fn metrics(&self) -> Result<MetricTables, QueryError> {
        let failed = |error: std::io::Error| QueryError::Failed(format!("the data folder cannot be read: {error}"));
        let mut tables = MetricTables::read(&self.data).map_err(failed)?;
        for name in sql::blocking(Tables::open(&self.place), deadline())?.metric_names() {
            tables.metrics.entry(name).or_default();
        }
        Ok(tables)
    }

    fn columns(&self, metric: &str) -> Result<Option<SchemaRef>, QueryError> {
        if !self.metrics()?.metrics.contains_key(metric) {
            return Ok(None);
        }
        let nothing = format!("SELECT * FROM {} LIMIT 0", table(metric));
        Ok(Some(self.ask(&nothing, 1, Bounds::from_now(LOOK.0, LOOK.1))?.schema))
    }

    fn rows(&self, query: &RowQuery, bounds: Bounds) -> Result<RowPage, QueryError> {
        let mut conditions = times(query.from, query.until);
        conditions.extend(query.key.iter().map(|key| format!("\"key\" = {}", literal(key))));
        let (direction, behind) = match query.order {
            Order::Ascending => ("ASC", ">"),
            Order::Descending => ("DESC", "<"),
        };
        conditions.extend(query.after.iter().map(|after| {
            let (time, id) = (moment(after.event_time), literal(&after.row_id));
            format!("(\"event_time\" {behind} {time} OR \"event_time\" = {time} AND \"row_id\" {behind} {id})")
        }));
        let last = last_of(&query.metric, &conditions, "\"row_id\"", "");
        let text =
            format!("{last} ORDER BY \"event_time\" {direction}, \"row_id\" {direction} LIMIT {}", query.limit + 1);
        let (rows, more) = self.page(&text, query.limit, bounds)?;
        let next = rows.num_rows().checked_sub(1).filter(|_| more).and_then(|last| position(&rows, last));
        Ok(RowPage { rows, next })
    }

    fn latest(&self, query: &LatestQuery, bounds: Bounds) -> Result<LatestPage, QueryError> {
        let mut conditions = times(query.from, query.until);
        if !query.keys.is_empty() {
            let keys: Vec<String> = query.keys.iter().map(|key| literal(key)).collect();
            conditions.push(format!("\"key\" IN ({})", keys.join(", ")));
        }
        conditions.extend(query.after.iter().map(|after| format!("\"key\" > {}", literal(after))));
        let newest = "\"event_time\" DESC, \"row_id\" DESC, ";
        let last = last_of(&query.metric, &conditions, "\"key\"", newest);
        let (rows, more) =
            self.page(&format!("{last} ORDER BY \"key\" LIMIT {}", query.limit + 1), query.limit, bounds)?;
        let key = |last: usize| Some(rows.column_by_name("key")?.as_string_opt::<i32>()?.value(last).to_owned());
        let next = rows.num_rows().checked_sub(1).filter(|_| more).and_then(key);
        Ok(LatestPage { rows, next })
    }

    fn dead_letters(&self, query: &DeadLetterQuery, bounds: Bounds) -> Result<LetterPage, QueryError> {
        let answer = self.ask(&letters::select(query, Dialect::DataFusion), query.limit + 1, bounds)?;
        letters::page(answer, query.limit)
    }

    fn sql(&self, query: &str, rows: usize, bounds: Bounds) -> Result<SqlAnswer, QueryError> {
        self.ask(query, rows, bounds)
    }
}

/// The last row of each `group`, in the order `before` and that of writing: a window that fires again puts its later row
/// in place of the earlier one.
fn last_of(metric: &str, conditions: &[String], group: &str, before: &str) -> String {
    // Within an epoch rows stand in the files in the order in which they were written, and files are read one by one.
    let written = format!(
        "SELECT *, row_number() OVER () AS \"#place\" FROM {} WHERE {}",
        table(metric),
        conditions.join(" AND ")
    );
    let ranked = format!(
        "SELECT *, row_number() OVER (PARTITION BY {group} ORDER BY {before}\"epoch\" DESC, \"#place\" DESC) AS \"#last\" \
         FROM ({written})"
    );
    format!("SELECT * EXCEPT (\"#place\", \"#last\") FROM ({ranked}) WHERE \"#last\" = 1")
}

fn table(metric: &str) -> String {
    format!("\"{}\"", view_name(metric).replace('"', "\"\""))
}

/// Conditions of a range of event times, one of which always holds.
fn times(from: Option<i64>, until: Option<i64>) -> Vec<String> {
    let mut conditions = vec!["true".to_owned()];
    conditions.extend(from.map(|from| format!("\"event_time\" >= {}", moment(from))));
    conditions.extend(until.map(|until| format!("\"event_time\" < {}", moment(until))));
    conditions
}

fn moment(ms: i64) -> String {
    format!("arrow_cast({ms}, 'Timestamp(Millisecond, Some(\"UTC\"))')")
}

fn literal(text: &str) -> String {
    Dialect::DataFusion.literal(text)
}

fn deadline() -> Instant {
    Instant::now() + LOOK.0
}
