//! One value of a row, whatever its type.

use crate::contract::{Column, Values};
use crate::json::JsonValue;
use crate::value::{ColumnBuilder, ColumnType, Json, Value};

#[derive(Clone, Debug)]
pub(super) enum Cell {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

/// Equal to the bit: a metric must not even change the sign of a zero.
impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl Cell {
    /// Reads `json` as a type, by the rules of the runtime.
    pub(super) fn read(json: &JsonValue, kind: ColumnType) -> Self {
        let text = match json {
            JsonValue::Null => return Self::Null,
            JsonValue::Text(text) => text.clone(),
            other => other.to_string(),
        };
        let number = matches!(json, JsonValue::Number(_) | JsonValue::Text(_)).then_some(text.as_str());
        match (kind, json) {
            (ColumnType::Boolean, JsonValue::Boolean(value)) => Self::Boolean(*value),
            (ColumnType::Boolean, _) => Self::Null,
            (ColumnType::Integer, _) => number.and_then(whole).map_or(Self::Null, Self::Integer),
            (ColumnType::Float, _) => {
                let float = number.and_then(|number| number.parse::<f64>().ok()).filter(|float| float.is_finite());
                float.map_or(Self::Null, Self::Float)
            }
            (ColumnType::Text, JsonValue::Array(_) | JsonValue::Object(_)) => Self::Null,
            (ColumnType::Text, _) => Self::Text(text),
            (ColumnType::Json, json) => Self::Text(json.to_string()),
        }
    }

    pub(super) fn to_json(&self) -> JsonValue {
        match self {
            Self::Null => JsonValue::Null,
            Self::Boolean(value) => (*value).into(),
            Self::Integer(value) => (*value).into(),
            Self::Float(value) => JsonValue::Number(value.to_string()),
            Self::Text(text) => text.as_str().into(),
        }
    }

    pub(super) fn push(&self, kind: ColumnType, column: &mut ColumnBuilder) {
        match (self, kind) {
            (Self::Null, _) => column.push_null(),
            (Self::Boolean(value), _) => value.push(column),
            (Self::Integer(value), _) => value.push(column),
            (Self::Float(value), _) => value.push(column),
            (Self::Text(text), ColumnType::Json) => Json(text).push(column),
            (Self::Text(text), _) => text.as_str().push(column),
        }
    }

    /// The value of `row`.
    pub(super) fn of(column: &Column, row: usize) -> Self {
        fn get<'a, T: Value<'a>>(column: &'a Column, row: usize) -> T {
            T::get(T::column(column).expect("read by the type of its values"), row)
        }
        match column.values {
            Values::Booleans(_) => get::<Option<bool>>(column, row).map_or(Self::Null, Self::Boolean),
            Values::Integers(_) => get::<Option<i64>>(column, row).map_or(Self::Null, Self::Integer),
            Values::Floats(_) => get::<Option<f64>>(column, row).map_or(Self::Null, Self::Float),
            Values::Texts(_) => get::<Option<String>>(column, row).map_or(Self::Null, Self::Text),
        }
    }
}

/// A whole number, also one that is written as a float.
fn whole(number: &str) -> Option<i64> {
    number.parse().ok().or_else(|| {
        let float = number.parse::<f64>().ok()?;
        // Up to 2^53 a float is exact.
        (float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0).then_some(float as i64)
    })
}
