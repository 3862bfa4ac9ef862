//! Enrichment: fields that lookup tables add to events, as of event time.
//!
//! Tables are part of the state machine: a snapshot that arrives in the stream is kept in state, so that a re-run
//! looks the same values up.

use std::sync::Arc;

/// One lookup table, as configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableSpec {
    /// Its name: fields are read as `enrich.<name>.<field>`.
    pub name: String,
    /// Event paths whose texts form the key, in order.
    pub event_keys: Vec<String>,
    /// Whether keys are compared in lower case.
    pub lower_case: bool,
    /// Fields that it adds, all texts.
    pub fields: Vec<String>,
    /// A snapshot may be at most this much older than the event; `None`: any age.
    pub max_age_ms: Option<i64>,
    /// A snapshot may be at most this much newer than the event.
    pub max_ahead_ms: i64,
}

/// The whole content of a lookup table at one moment.
#[derive(Clone, Debug)]
pub struct TableSnapshot {
    /// Index into the job's tables.
    pub table: usize,
    /// Event time from which it holds; `i64::MIN` for a file without times.
    pub event_time: i64,
    /// Rows: key texts joined by U+001F, and one value per field of the table. Sorted by key, keys unique: a key that
    /// occurs more than once with different values is ambiguous and left out by decoding, and counted.
    pub rows: Arc<Vec<(String, Vec<Option<String>>)>>,
    /// Keys left out as ambiguous.
    pub ambiguous: usize,
}
