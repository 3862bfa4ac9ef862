//! Queries in SQL through DataFusion: read-only, and within bounds where a service answers them.

use crate::QueryError;
use crate::rows::{Bounds, SqlAnswer};
use crate::tables::Tables;
use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use futures::StreamExt as _;
use std::sync::Arc;
use std::time::Instant;

/// A query over `tables`, planned.
pub(crate) async fn plan(
    tables: Tables,
    query: &str,
    partitions: Option<usize>,
    runtime: Arc<RuntimeEnv>,
) -> Result<DataFrame, QueryError> {
    let names = tables.names();
    let context = session(tables, partitions, runtime).map_err(|error| QueryError::Failed(error.to_string()))?;
    let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    context.sql_with_options(query, read_only).await.map_err(|error| refused(&error, &names))
}

/// Answers a query with at most `rows` rows, on the caller's thread and with memory of `pool`, nothing on disk.
pub(crate) fn answer(
    tables: impl Future<Output = Result<Tables, QueryError>>,
    query: &str,
    pool: Arc<dyn MemoryPool>,
    rows: usize,
    bounds: Bounds,
) -> Result<SqlAnswer, QueryError> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let environment = RuntimeEnvBuilder::new().with_memory_pool(pool).with_disk_manager_builder(disk).build_arc();
    let environment = environment.map_err(|error| failed(&error))?;
    blocking(async { read(tables.await?, query, environment, rows, &bounds).await }, bounds.deadline)
}

/// Waits for `work` on the caller's thread, until it is too late.
pub(crate) fn blocking<T>(
    work: impl Future<Output = Result<T, QueryError>>,
    deadline: Instant,
) -> Result<T, QueryError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async { tokio::time::timeout_at(deadline.into(), work).await });
    // What still runs when the time is over is left behind, not waited for.
    runtime.shutdown_background();
    done.unwrap_or_else(|_| Err(QueryError::Limit("time", "ask for less".to_owned())))
}

async fn read(
    tables: Tables,
    query: &str,
    environment: Arc<RuntimeEnv>,
    rows: usize,
    bounds: &Bounds,
) -> Result<SqlAnswer, QueryError> {
    let frame = plan(tables, query, Some(1), environment).await?;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let mut stream = frame.execute_stream().await.map_err(|error| failed(&error))?;
    let mut answer = SqlAnswer { schema, rows: Vec::new(), truncated: false };
    let (mut count, mut bytes) = (0, 0);
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|error| not_answered(&error))?;
        let room = rows - count;
        answer.truncated = batch.num_rows() > room;
        let batch = batch.slice(0, batch.num_rows().min(room));
        count += batch.num_rows();
        bytes += batch.get_array_memory_size();
        bounds.check_bytes(bytes)?;
        answer.rows.push(batch);
        if answer.truncated {
            break;
        }
    }
    Ok(answer)
}

fn session(
    tables: Tables,
    partitions: Option<usize>,
    runtime: Arc<RuntimeEnv>,
) -> Result<SessionContext, DataFusionError> {
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_default_catalog_and_schema("tidemark", "data")
        .with_create_default_catalog_and_schema(false);
    if let Some(partitions) = partitions {
        config = config.with_target_partitions(partitions);
    }
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

/// The same for a query from outside: what it computes can fail, as a division by zero does, and that is its own fault.
fn not_answered(error: &DataFusionError) -> QueryError {
    let is_computed = matches!(error.find_root(), DataFusionError::ArrowError(arrow, _) if matches!(
        **arrow,
        ArrowError::DivideByZero
            | ArrowError::ArithmeticOverflow(_)
            | ArrowError::ComputeError(_)
            | ArrowError::CastError(_)
            | ArrowError::InvalidArgumentError(_)
            | ArrowError::ParseError(_)
    ));
    if is_computed { QueryError::Refused(error.strip_backtrace()) } else { failed(error) }
}

/// A query that was planned and could not be answered.
pub(crate) fn failed(error: &DataFusionError) -> QueryError {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(message) => QueryError::Limit("memory", format!("read less: {message}")),
        _ => QueryError::Failed(error.strip_backtrace()),
    }
}
