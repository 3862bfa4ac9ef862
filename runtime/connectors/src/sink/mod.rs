//! Sinks: where rows go, exactly once by epoch where the other side can do it.

pub mod console;
pub mod json_rows;
pub mod kafka;
pub mod parquet;
