//! What an answer in rows becomes: a page, and where the next one goes on.

use super::Position;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::array::cast::AsArray as _;
use datafusion::arrow::array::types::TimestampMillisecondType;

/// The first `limit` rows, and whether there are more.
pub(super) fn cut(rows: RecordBatch, limit: usize) -> (RecordBatch, bool) {
    let more = rows.num_rows() > limit;
    (rows.slice(0, rows.num_rows().min(limit)), more)
}

/// The place of a row among all of its metric.
pub(super) fn position(rows: &RecordBatch, row: usize) -> Option<Position> {
    let event_time = rows.column_by_name("event_time")?.as_primitive_opt::<TimestampMillisecondType>()?.value(row);
    let row_id = rows.column_by_name("row_id")?.as_string_opt::<i32>()?.value(row).to_owned();
    Some(Position { event_time, row_id })
}
