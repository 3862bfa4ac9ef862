//! Sinks: where rows go, exactly once by epoch where the other side can do it.

pub mod clickhouse;
pub mod console;
pub mod json_rows;
pub mod on_thread;
pub mod kafka;
pub mod parquet;
pub mod secret;

mod batch_memory;
