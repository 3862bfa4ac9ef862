//! Rows of a table as NDJSON: one object per line, columns in the table's order.
//!
//! Moments are RFC 3339 in UTC with milliseconds (a number of milliseconds where the year has not four digits), bytes
//! are hexadecimal digits, and a float that is not finite is null, since JSON has no word for it.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType, UInt64Type};
use arrow_array::{
    Array, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
    UInt64Array,
};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, Datelike, SecondsFormat};
use std::io::Write;

/// A column that no table has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("column {column} has type {data_type}, which has no JSON form here")]
pub struct UnsupportedColumn {
    /// Its name.
    pub column: String,
    /// Its type.
    pub data_type: DataType,
}

/// Appends `rows` to `output`, one line each. On an error nothing is appended.
///
/// ```
/// # use std::sync::Arc;
/// # use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
/// let key: ArrayRef = Arc::new(StringArray::from(vec!["stream-1", "stream-2"]));
/// let jitter: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.25), None]));
/// let rows = RecordBatch::try_from_iter_with_nullable([("key", key, false), ("jitter", jitter, true)])?;
/// let mut output = Vec::new();
/// tidemark_connectors::sink::json_rows::append(&rows, &mut output)?;
/// assert_eq!(output, b"{\"key\":\"stream-1\",\"jitter\":0.25}\n{\"key\":\"stream-2\",\"jitter\":null}\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn append(rows: &RecordBatch, output: &mut Vec<u8>) -> Result<(), UnsupportedColumn> {
    let schema = rows.schema_ref();
    let mut columns = Vec::with_capacity(rows.num_columns());
    for (field, array) in schema.fields().iter().zip(rows.columns()) {
        let mut name = Vec::new();
        append_text(field.name(), &mut name);
        let column = Column::of(array)
            .ok_or_else(|| UnsupportedColumn { column: field.name().clone(), data_type: field.data_type().clone() })?;
        columns.push((name, array, column));
    }
    for row in 0..rows.num_rows() {
        for (place, (name, array, column)) in columns.iter().enumerate() {
            output.push(if place == 0 { b'{' } else { b',' });
            output.extend_from_slice(name);
            output.push(b':');
            if array.is_null(row) { output.extend_from_slice(b"null") } else { column.append(row, output) }
        }
        output.extend_from_slice(if columns.is_empty() { b"{}\n" } else { b"}\n" });
    }
    Ok(())
}

enum Column<'a> {
    Boolean(&'a BooleanArray),
    Integer(&'a Int64Array),
    Unsigned(&'a UInt64Array),
    Float(&'a Float64Array),
    Text(&'a StringArray),
    Moment(&'a TimestampMillisecondArray),
    Bytes(&'a BinaryArray),
}

impl<'a> Column<'a> {
    fn of(array: &'a dyn Array) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int64 => Self::Integer(array.as_primitive::<Int64Type>()),
            DataType::UInt64 => Self::Unsigned(array.as_primitive::<UInt64Type>()),
            DataType::Float64 => Self::Float(array.as_primitive::<Float64Type>()),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Self::Moment(array.as_primitive::<TimestampMillisecondType>())
            }
            DataType::Binary => Self::Bytes(array.as_binary()),
            _ => return None,
        })
    }

    fn append(&self, row: usize, output: &mut Vec<u8>) {
        match self {
            Self::Boolean(column) => append_display(column.value(row), output),
            Self::Integer(column) => append_display(column.value(row), output),
            Self::Unsigned(column) => append_display(column.value(row), output),
            Self::Float(column) => append_json(&column.value(row), output),
            Self::Text(column) => append_text(column.value(row), output),
            Self::Moment(column) => append_moment(column.value(row), output),
            Self::Bytes(column) => {
                output.push(b'"');
                for byte in column.value(row) {
                    append_display(format_args!("{byte:02x}"), output);
                }
                output.push(b'"');
            }
        }
    }
}

fn append_display(value: impl std::fmt::Display, output: &mut Vec<u8>) {
    write!(output, "{value}").expect("writing to memory cannot fail");
}

fn append_json(value: &impl serde::Serialize, output: &mut Vec<u8>) {
    serde_json::to_writer(output, value).expect("texts and numbers have a JSON form");
}

fn append_text(text: &str, output: &mut Vec<u8>) {
    append_json(&text, output);
}

fn append_moment(ms: i64, output: &mut Vec<u8>) {
    let moment = DateTime::from_timestamp_millis(ms).filter(|moment| (0..=9999).contains(&moment.year()));
    match moment {
        Some(moment) => append_text(&moment.to_rfc3339_opts(SecondsFormat::Millis, true), output),
        None => append_display(ms, output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::ArrayRef;
    use std::sync::Arc;

    #[test]
    fn every_column_type_of_a_table_has_a_form_that_parses() {
        let moments: TimestampMillisecondArray = [Some(1_767_909_059_999), Some(i64::MAX), None].into_iter().collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("flag", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
            ("integer", Arc::new(Int64Array::from(vec![i64::MIN, -1, i64::MAX]))),
            ("unsigned", Arc::new(UInt64Array::from(vec![0, 1, u64::MAX]))),
            ("float", Arc::new(Float64Array::from(vec![0.1, f64::NAN, 1e300]))),
            ("text", Arc::new(StringArray::from(vec!["a\"b\n", "\u{1F600}", ""]))),
            ("moment", Arc::new(moments.with_timezone("UTC"))),
            ("bytes", Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..], b"", b"a"]))),
        ];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let mut output = Vec::new();
        append(&rows, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            r#"{"flag":true,"integer":-9223372036854775808,"unsigned":0,"float":0.1,"text":"a\"b\n","moment":"2026-01-08T21:50:59.999Z","bytes":"00ff"}"#
        );
        let values: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(values[1]["float"], serde_json::Value::Null);
        assert_eq!(values[1]["moment"], i64::MAX);
        assert_eq!(values[2]["unsigned"], u64::MAX);
        assert_eq!(values[2]["flag"], serde_json::Value::Null);
    }

    #[test]
    fn a_foreign_column_is_named() {
        let column: ArrayRef = Arc::new(arrow_array::Int32Array::from(vec![1]));
        let rows = RecordBatch::try_from_iter([("small", column)]).unwrap();
        let mut output = Vec::new();
        assert_eq!(append(&rows, &mut output).unwrap_err().column, "small");
        assert!(output.is_empty());
    }
}
