//! Values of Arrow arrays as JSON: numbers as numbers, moments as ISO 8601, bytes as hexadecimal digits.

use datafusion::arrow::array::cast::AsArray as _;
use datafusion::arrow::array::{Array, ArrayRef, types as arrow_types};
use datafusion::arrow::datatypes::{ArrowPrimitiveType, DataType, TimeUnit};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Number, Value};

/// The value of `array` at `row`. Floats that JSON cannot write (NaN and the infinities) become null.
pub(super) fn to_json(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int8 => primitive::<arrow_types::Int8Type>(array, row).into(),
        DataType::Int16 => primitive::<arrow_types::Int16Type>(array, row).into(),
        DataType::Int32 => primitive::<arrow_types::Int32Type>(array, row).into(),
        DataType::Int64 => primitive::<arrow_types::Int64Type>(array, row).into(),
        DataType::UInt8 => primitive::<arrow_types::UInt8Type>(array, row).into(),
        DataType::UInt16 => primitive::<arrow_types::UInt16Type>(array, row).into(),
        DataType::UInt32 => primitive::<arrow_types::UInt32Type>(array, row).into(),
        DataType::UInt64 => primitive::<arrow_types::UInt64Type>(array, row).into(),
        DataType::Float32 => float(primitive::<arrow_types::Float32Type>(array, row).into()),
        DataType::Float64 => float(primitive::<arrow_types::Float64Type>(array, row)),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Utf8View => array.as_string_view().value(row).into(),
        DataType::Binary => hexadecimal(array.as_binary::<i32>().value(row)).into(),
        DataType::LargeBinary => hexadecimal(array.as_binary::<i64>().value(row)).into(),
        DataType::BinaryView => hexadecimal(array.as_binary_view().value(row)).into(),
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row)),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let fields = fields.iter().zip(columns).map(|(field, column)| (field.name().clone(), to_json(column, row)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        DataType::Timestamp(unit, zone) => moment(array, row, *unit, zone.is_some()),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            // Exact beyond a double only as text; as a number where it survives.
            let text = displayed(array, row);
            text.parse::<i64>().map_or_else(|_| text.clone().into(), Into::into)
        }
        _ => displayed(array, row).into(),
    }
}

/// The value as a text: a text as it is, everything else as JSON writes it. Empty where it is null.
pub(super) fn to_text(array: &ArrayRef, row: usize) -> String {
    match to_json(array, row) {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef, row: usize) -> T::Native {
    array.as_primitive::<T>().value(row)
}

fn float(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn list(items: &ArrayRef) -> Value {
    Value::Array((0..items.len()).map(|index| to_json(items, index)).collect())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// ISO 8601 with milliseconds or as fine as the type; a `Z` where the type has a time zone. Falls back to Arrow's words
/// for moments that the calendar does not reach.
fn moment(array: &ArrayRef, row: usize, unit: TimeUnit, zoned: bool) -> Value {
    let (seconds, nanoseconds, digits) = match unit {
        TimeUnit::Second => (primitive::<arrow_types::TimestampSecondType>(array, row), 0, 0),
        TimeUnit::Millisecond => split(primitive::<arrow_types::TimestampMillisecondType>(array, row), 1_000, 3),
        TimeUnit::Microsecond => split(primitive::<arrow_types::TimestampMicrosecondType>(array, row), 1_000_000, 6),
        TimeUnit::Nanosecond => split(primitive::<arrow_types::TimestampNanosecondType>(array, row), 1_000_000_000, 9),
    };
    match iso(seconds) {
        None => displayed(array, row).into(),
        Some(text) => {
            let fraction = if digits == 0 { String::new() } else { format!(".{nanoseconds:0digits$}") };
            format!("{text}{fraction}{}", if zoned { "Z" } else { "" }).into()
        }
    }
}

/// Whole seconds, and the rest in the unit itself, with its number of digits.
fn split(value: i64, per_second: i64, digits: usize) -> (i64, i64, usize) {
    (value.div_euclid(per_second), value.rem_euclid(per_second), digits)
}

/// `YYYY-MM-DDTHH:MM:SS` for the years 0 to 9999.
fn iso(seconds: i64) -> Option<String> {
    let moment = chrono::DateTime::from_timestamp(seconds, 0)?;
    let text = moment.format("%Y-%m-%dT%H:%M:%S").to_string();
    (text.len() == "YYYY-MM-DDTHH:MM:SS".len() && !text.starts_with(['+', '-'])).then_some(text)
}

fn displayed(array: &ArrayRef, row: usize) -> String {
    let formatter = ArrayFormatter::try_new(array, &FormatOptions::default());
    formatter.map(|formatter| formatter.value(row).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
    use std::sync::Arc;

    fn first(array: impl Array + 'static) -> Value {
        let array: ArrayRef = Arc::new(array);
        to_json(&array, 0)
    }

    #[test]
    fn numbers_stay_numbers() {
        assert_eq!(first(Int64Array::from(vec![i64::MAX])).to_string(), "9223372036854775807");
        assert_eq!(first(Float64Array::from(vec![0.1])).to_string(), "0.1");
        assert_eq!(first(Float64Array::from(vec![f64::NAN])), Value::Null);
        assert_eq!(first(Int64Array::from(vec![None])), Value::Null);
        assert_eq!(first(StringArray::from(vec!["1"])), Value::String("1".to_owned()));
    }

    #[test]
    fn moments_are_iso_8601() {
        let utc = |ms| first(TimestampMillisecondArray::from(vec![ms]).with_timezone("UTC"));
        assert_eq!(utc(1_767_908_945_298), "2026-01-08T21:49:05.298Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(first(TimestampMillisecondArray::from(vec![0])), "1970-01-01T00:00:00.000");
        assert!(utc(i64::MIN).is_string());
    }
}
