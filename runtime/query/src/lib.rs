//! The rows of a data folder or of a place in an object store: SQL over its tables, read-only, through DataFusion; and [`rows`], what a service asks of
//! them, page by page and within bounds.
//!
//! The tables are `events`, `metrics` and `dead_letters`, and one view per metric whose name has underscores for
//! hyphens. A query sees one moment: the files that are visible when the table is first named.

pub mod catalogue;
pub mod encode;
mod place;
pub mod print;
mod row_json;
pub mod rows;
mod schema;
mod sql;
mod tables;
mod value;

pub use place::Place;

use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use futures::StreamExt as _;
use print::{Format, Printer};
use sql::failed;
use std::io::Write;
use std::path::PathBuf;
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
    /// It asks for more than it may have: of what, and what to do.
    #[error("the limit of {0} is reached: {1}")]
    Limit(&'static str, String),
    /// It could not be carried out.
    #[error("the query failed: {0}")]
    Failed(String),
    /// The answer could not be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] std::io::Error),
}

/// Answers `query` over the tables of `place` in `format`.
pub async fn query(place: &Place, query: &str, format: Format, out: &mut dyn Write) -> Result<(), QueryError> {
    let tables = Tables::open(place).await?;
    let environment = RuntimeEnvBuilder::new().with_memory_limit(MEMORY_BYTES, 1.0).build_arc();
    let frame = sql::plan(tables, query, None, environment.map_err(|error| failed(&error))?).await?;
    let mut printer = Printer::new(format, frame.schema().as_arrow(), out)?;
    let mut batches = frame.execute_stream().await.map_err(|error| failed(&error))?;
    while let Some(batch) = batches.next().await {
        printer.print(&batch.map_err(|error| failed(&error))?)?;
    }
    printer.finish()?;
    Ok(())
}

/// Answers from a blocking context, with a runtime of its own.
pub fn query_blocking(place: &Place, sql: &str, format: Format, out: &mut dyn Write) -> Result<(), QueryError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(query(place, sql, format, out))
}
