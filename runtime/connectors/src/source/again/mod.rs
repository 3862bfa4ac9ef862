//! Records that are submitted again: a log of them below the data folder, and a source that reads it beside another.
//!
//! What a person submits again becomes input like any other, in partitions of its own: one for records that go through the
//! job from the start, one for each metric whose rows are to reach that metric alone. So everything that holds for input
//! holds for them: positions are committed with the state, ticks that took them are in the tick log, a recovery reads
//! them once more from the same place, and rows do not depend on when somebody pressed a button, only on the tick in
//! which the log was read. Their partitions never move the watermark, forwards or back.
//!
//! ```text
//! again/.submitted                      what was asked for, and what was appended for it: a redo log
//! again/events.ndjson                   records for everybody
//! again/metric=jitter-coefficient.ndjson    records for one metric
//! ```

mod log;
mod source;
#[cfg(test)]
mod tests;

pub use log::{AgainError, AgainLog, Submission, Submitted};
pub use source::AgainSource;

/// What the names of these partitions begin with. File names and topics have no slash in them.
pub const PREFIX: &str = "again/";

/// The file of records for everybody.
const EVERYBODY: &str = "events.ndjson";

/// The file of records for `metric`, or for everybody. Names of metrics are harmless as file names.
fn file_of(metric: Option<&str>) -> String {
    metric.map_or_else(|| EVERYBODY.to_owned(), |metric| format!("metric={metric}.ndjson"))
}

/// The metric that the file `name` is for.
fn metric_of(name: &str) -> Option<&str> {
    name.strip_prefix("metric=")?.strip_suffix(".ndjson")
}
