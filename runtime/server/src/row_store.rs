//! Which store answers the API's questions about rows: ClickHouse where rows go there, else the Parquet files, in their
//! folder or in their object store. The answers are the same.

use crate::config::Config;
use std::sync::Arc;
use tidemark_connectors::sink::clickhouse::ClickHouseReader;
use tidemark_engine::ports::PortError;
use tidemark_query::rows::{ClickHouseStore, EmbeddedStore, RemoteStore, RowStore};

/// The store of a job. No connection is opened yet.
///
/// # Errors
/// Where settings or a password of ClickHouse cannot be used.
pub fn open(config: &Config) -> Result<Arc<dyn RowStore>, PortError> {
    let (data, memory) = (&config.data.dir, config.http.limits.sql_memory_bytes);
    if let Some(settings) = &config.sinks.clickhouse {
        return Ok(Arc::new(ClickHouseStore::new(ClickHouseReader::new(settings)?, data, memory)));
    }
    Ok(files(config, memory))
}

/// The Parquet files alone, with `memory` bytes for queries: they have the archive, and speak DataFusion's SQL.
#[must_use]
pub fn files(config: &Config, memory: usize) -> Arc<dyn RowStore> {
    let data = &config.data.dir;
    match &config.sinks.store {
        Some(store) => Arc::new(RemoteStore::new(store.clone(), data, memory)),
        None => Arc::new(EmbeddedStore::new(data, memory)),
    }
}
