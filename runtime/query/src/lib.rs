//! SQL over the tables of a data folder, read-only, through DataFusion.
//!
//! The tables are `events`, `metrics` and `dead_letters`, and one view per metric whose name has underscores for
//! hyphens. A query sees one moment: the files that are visible when the table is first named.

pub mod catalogue;
pub mod print;
mod row_json;
mod schema;
mod tables;
mod value;

use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt as _;
use print::{Format, Printer};
use std::io::Write;
use std::path::{Path, PathBuf};
use tables::Tables;

/// Memory that a query may use before it spills to temporary files, in bytes.
const MEMORY_BYTES: usize = 1 << 30;

/// Why a query gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There is nothing to query.
    #[error("{0} does not exist: run `tidemark run CONFIG` first, or name the folder with --data")]
    NoData(PathBuf),
    /// The query is wrong, or would change something: the person who wrote it has to change it.
    #[error("{0}")]
    Refused(String),
    /// It could not be carried out.
    #[error("the query failed: {0}")]
    Failed(String),
    /// The answer could not be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] std::io::Error),
}

/// Answers `query` over the tables below `data` in `format`.
pub async fn query(data: &Path, query: &str, format: Format, out: &mut dyn Write) -> Result<(), QueryError> {
    if !data.is_dir() {
        return Err(QueryError::NoData(data.to_owned()));
    }
    let tables = Tables::open(data).map_err(|error| QueryError::Failed(error.to_string()))?;
    let names = tables.names();
    let context = session(tables).map_err(|error| QueryError::Failed(error.to_string()))?;
    let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let frame = context.sql_with_options(query, read_only).await.map_err(|error| refused(&error, &names))?;
    let mut printer = Printer::new(format, frame.schema().as_arrow(), out)?;
    let mut batches = frame.execute_stream().await.map_err(|error| failed(&error))?;
    while let Some(batch) = batches.next().await {
        printer.print(&batch.map_err(|error| failed(&error))?)?;
    }
    printer.finish()?;
    Ok(())
}

fn session(tables: Tables) -> Result<SessionContext, DataFusionError> {
    let config = SessionConfig::new()
        .with_information_schema(true)
        .with_default_catalog_and_schema("tidemark", "data")
        .with_create_default_catalog_and_schema(false);
    let runtime = RuntimeEnvBuilder::new().with_memory_limit(MEMORY_BYTES, 1.0).build_arc()?;
    let context = SessionContext::new_with_config_rt(config, runtime);
    tables.register(&context)?;
    Ok(context)
}

/// A query that cannot be planned: DataFusion's words without its backtrace, and what tables there are where one of
/// them is not.
fn refused(error: &DataFusionError, names: &[String]) -> QueryError {
    let message = error.strip_backtrace();
    if message.contains("not supported:") {
        let words = "only queries are allowed here, nothing is created, changed or written";
        return QueryError::Refused(format!("{words} ({message})"));
    }
    if message.contains("table '") && message.contains("not found") {
        return QueryError::Refused(format!("{message}; there are {}", names.join(", ")));
    }
    QueryError::Refused(message)
}

fn failed(error: &DataFusionError) -> QueryError {
    QueryError::Failed(error.strip_backtrace())
}

/// Answers from a blocking context, with a runtime of its own.
pub fn query_blocking(data: &Path, sql: &str, format: Format, out: &mut dyn Write) -> Result<(), QueryError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(query(data, sql, format, out))
}
