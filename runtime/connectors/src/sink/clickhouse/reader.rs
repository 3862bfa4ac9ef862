//! Reading rows back: one query at a time, read-only, within bounds, as Arrow batches.

use super::client::{Client, ServerError};
use super::layout::table_name;
use super::settings::ClickHouseSettings;
use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_schema::SchemaRef;
use std::time::{Duration, Instant};
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

/// Codes of what has no memory, no time, and too many rows or bytes left.
const MEMORY: u32 = 241;
const TIME: [u32; 2] = [159, 160];
const SIZE: [u32; 2] = [158, 396];

/// Who reads a database that the sink writes.
pub struct ClickHouseReader {
    client: Client,
    /// Whether there are views over hot and cold rows.
    has_cold: bool,
}

/// What a query may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadLimits {
    /// When it is too late.
    pub deadline: Instant,
    /// Most bytes of the answer.
    pub answer_bytes: usize,
    /// Memory on the server.
    pub memory_bytes: usize,
    /// Most rows; what is beyond is left out.
    pub rows: usize,
}

/// An answer: its columns and rows.
pub type Answer = (SchemaRef, Vec<RecordBatch>);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A table or the database is not there.
    #[error("{0}")]
    Missing(String),
    /// The query is over its limit: of what.
    #[error("the limit of {0} is reached")]
    Limit(&'static str),
    /// The server refuses the query.
    #[error("{0}")]
    Refused(String),
    /// The server cannot be reached, or answers nonsense.
    #[error("{0}")]
    Failed(String),
}

impl ClickHouseReader {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// As [`super::ClickHouseSink::open`], for settings and password.
    pub fn new(settings: &ClickHouseSettings) -> Result<Self, PortError> {
        let mut client = Client::new(settings)?;
        client.use_database(&settings.database);
        Ok(Self { client, has_cold: settings.cold.is_some() })
    }

    /// What has all rows of a table, those that are cold by now included; `None` where there can be none on the server.
    #[must_use]
    pub fn rows_of(&self, kind: &TableKind) -> Option<String> {
        let name = table_name(kind).ok()?;
        Some(if self.has_cold { format!("{name}__all") } else { name })
    }

    /// Answers a query of somebody else's. Rows that were replaced are left out, and nothing can be changed, its limits
    /// included; nor can views over cold rows be read, which ask for files.
    pub fn query(&self, query: &str, limits: ReadLimits) -> Result<Answer, ReadError> {
        self.ask(query, limits, "1")
    }

    /// The same for a query of our own, which changes no settings: it may read views over cold rows.
    pub fn select(&self, query: &str, limits: ReadLimits) -> Result<Answer, ReadError> {
        self.ask(query, limits, "2")
    }

    fn ask(&self, query: &str, limits: ReadLimits, readonly: &str) -> Result<Answer, ReadError> {
        let left = limits.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ReadError::Limit("time"));
        }
        let seconds = left.as_secs_f64().max(0.001).to_string();
        let settings = [
            // The last: behind it a query cannot set anything, its own limits included.
            ("final", "1".to_owned()),
            ("do_not_merge_across_partitions_select_final", "1".to_owned()),
            ("max_execution_time", seconds),
            ("max_memory_usage", limits.memory_bytes.to_string()),
            ("max_result_bytes", limits.answer_bytes.to_string()),
            ("limit", limits.rows.to_string()),
            ("output_format_arrow_string_as_string", "0".to_owned()),
            ("output_format_arrow_low_cardinality_as_dictionary", "0".to_owned()),
            ("output_format_arrow_compression_method", "none".to_owned()),
            ("readonly", readonly.to_owned()),
        ];
        // The server ends a query by itself; one that does not answer at all is given up a little later.
        let patience = left + Duration::from_secs(1);
        let answer = self.client.arrow(query, &settings, patience, limits.answer_bytes).map_err(|error| of(&error))?;
        let told = |error: arrow_schema::ArrowError| ReadError::Failed(format!("its answer cannot be read: {error}"));
        if answer.is_empty() {
            return Err(ReadError::Failed("an empty answer".to_owned()));
        }
        let reader = StreamReader::try_new(answer.as_slice(), None).map_err(told)?;
        let schema = reader.schema();
        Ok((schema, reader.collect::<Result<_, _>>().map_err(told)?))
    }
}

fn of(error: &ServerError) -> ReadError {
    match error.code {
        Some(MEMORY) => ReadError::Limit("memory"),
        Some(code) if TIME.contains(&code) => ReadError::Limit("time"),
        Some(code) if SIZE.contains(&code) => ReadError::Limit("size"),
        _ if error.is_missing() => ReadError::Missing(error.message.clone()),
        Some(_) => ReadError::Refused(error.message.clone()),
        None => ReadError::Failed(error.message.clone()),
    }
}
