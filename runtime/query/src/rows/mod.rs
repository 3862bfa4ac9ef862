//! Where rows are read from: the port, and what can be asked of it.
//!
//! Every question has one answer, whichever store gives it: rows stand in the order of (event time, row id), and of rows
//! with one id only the last counts, since a window that fires again puts its later row in place of the earlier one. A
//! page ends with a position, from which the next one goes on; rows that came in the meantime are on later pages or on
//! none, never twice.
//!
//! A store answers on the caller's thread and takes as long as it takes, up to the deadline of [`Bounds`].

mod clickhouse;
mod collect;
mod embedded;
mod fetch;
mod footers;
mod letters;
mod page;
mod remote;
mod scan;

pub use clickhouse::ClickHouseStore;
pub use embedded::EmbeddedStore;
pub use letters::{DeadLetterQuery, LetterPage};
pub use remote::RemoteStore;

use crate::QueryError;
use crate::catalogue::MetricTables;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use std::time::{Duration, Instant};

/// Where rows are read from.
pub trait RowStore: Send + Sync {
    /// The metrics that have rows or are about to, with their columns.
    fn metrics(&self) -> Result<MetricTables, QueryError>;

    /// The columns of a metric's rows; `None` where there is no such metric.
    fn columns(&self, metric: &str) -> Result<Option<SchemaRef>, QueryError>;

    /// A page of a metric's rows.
    fn rows(&self, query: &RowQuery, bounds: Bounds) -> Result<RowPage, QueryError>;

    /// The newest row of each key, by key.
    fn latest(&self, query: &LatestQuery, bounds: Bounds) -> Result<LatestPage, QueryError>;

    /// A page of dead letters, the newest epoch's first.
    fn dead_letters(&self, query: &DeadLetterQuery, bounds: Bounds) -> Result<LetterPage, QueryError>;

    /// The answer to a query in SQL, which may only read.
    fn sql(&self, query: &str, rows: usize, bounds: Bounds) -> Result<SqlAnswer, QueryError>;
}

/// What an answer may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// When it is too late.
    pub deadline: Instant,
    /// Most bytes of the answer's rows in memory.
    pub bytes: usize,
}

impl Bounds {
    /// These, from now on.
    #[must_use]
    pub fn from_now(time: Duration, bytes: usize) -> Self {
        Self { deadline: Instant::now() + time, bytes }
    }

    pub(crate) fn check_time(&self) -> Result<(), QueryError> {
        if Instant::now() < self.deadline { Ok(()) } else { Err(QueryError::Limit("time", "ask for less".to_owned())) }
    }

    pub(crate) fn check_bytes(&self, bytes: usize) -> Result<(), QueryError> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let advice = format!("the answer has {bytes} bytes or more and may have {}: ask for fewer rows", self.bytes);
        Err(QueryError::Limit("size", advice))
    }
}

/// Which way rows are listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// The oldest first.
    Ascending,
    /// The newest first.
    #[default]
    Descending,
}

/// The place of a row among all of its metric.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// Event time in milliseconds since 1970.
    pub event_time: i64,
    /// The row's id.
    pub row_id: String,
}

/// Which rows of a metric are asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowQuery {
    /// The metric.
    pub metric: String,
    /// Rows of this key only.
    pub key: Option<String>,
    /// Rows from this event time on, in ms.
    pub from: Option<i64>,
    /// Rows before this event time, in ms.
    pub until: Option<i64>,
    /// Which come first.
    pub order: Order,
    /// Only what comes behind this position, in this order.
    pub after: Option<Position>,
    /// Most rows.
    pub limit: usize,
}

/// Rows in order.
#[derive(Clone, Debug)]
pub struct RowPage {
    /// The rows, with all columns of the metric.
    pub rows: RecordBatch,
    /// Where the next page goes on; `None`: there is none.
    pub next: Option<Position>,
}

/// Which newest rows of a metric are asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LatestQuery {
    /// The metric.
    pub metric: String,
    /// Of these keys; of all where it is empty.
    pub keys: Vec<String>,
    /// Rows from this event time on, in ms.
    pub from: Option<i64>,
    /// Rows before this event time, in ms.
    pub until: Option<i64>,
    /// Only keys behind this one.
    pub after: Option<String>,
    /// Most keys.
    pub limit: usize,
}

/// One row per key, by key.
#[derive(Clone, Debug)]
pub struct LatestPage {
    /// The rows, with all columns of the metric.
    pub rows: RecordBatch,
    /// The key behind which the next page goes on; `None`: there is none.
    pub next: Option<String>,
}

/// The answer to a query in SQL.
#[derive(Clone, Debug)]
pub struct SqlAnswer {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows.
    pub rows: Vec<RecordBatch>,
    /// Whether there were more rows than were asked for.
    pub truncated: bool,
}
