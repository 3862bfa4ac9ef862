//! Values while a statement runs, their types, and the arithmetic and order of SQL on them. Knows nothing of
//! statements.
//!
//! Whatever two machines could disagree on is fixed here: a NaN has one bit pattern, texts are ordered by their bytes,
//! floats by IEEE 754's total order where an order is needed, and integers never wrap.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use tidemark_engine::descriptor::ColumnType;

/// Longest text that a statement makes or keeps, in bytes.
pub(crate) const MAX_TEXT: usize = 65_536;

/// The type of a value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    Boolean,
    Integer,
    Float,
    Text,
}

impl Kind {
    /// JSON is read as its text.
    pub(crate) const fn of(column: ColumnType) -> Self {
        match column {
            ColumnType::Boolean => Self::Boolean,
            ColumnType::Integer => Self::Integer,
            ColumnType::Float => Self::Float,
            ColumnType::Text | ColumnType::Json => Self::Text,
        }
    }

    pub(crate) const fn column_type(self) -> ColumnType {
        match self {
            Self::Boolean => ColumnType::Boolean,
            Self::Integer => ColumnType::Integer,
            Self::Float => ColumnType::Float,
            Self::Text => ColumnType::Text,
        }
    }

    pub(crate) const fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Float)
    }

    /// For messages: `a whole number`.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::Float => "a float",
            Self::Text => "a text",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "BOOLEAN",
            Self::Integer => "BIGINT",
            Self::Float => "DOUBLE",
            Self::Text => "STRING",
        })
    }
}

/// Why a group cannot be evaluated: its rows become a dead letter with these words.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(pub(crate) String);

impl Failure {
    pub(crate) fn new(detail: impl Into<String>) -> Self {
        Self(detail.into())
    }
}

/// A value; texts are borrowed from the row where they can be.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// A float with NaN in its one form.
    pub(crate) fn float(number: f64) -> Self {
        Self::Float(if number.is_nan() { f64::NAN } else { number })
    }

    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Result<Self, Failure> {
        let text = text.into();
        if text.len() > MAX_TEXT {
            return Err(Failure(format!("a text of {} bytes, more than {MAX_TEXT}", text.len())));
        }
        Ok(Self::Text(text))
    }

    pub(crate) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// SQL's truth: `None` is unknown.
    pub(crate) const fn truth(&self) -> Option<bool> {
        match self {
            Self::Boolean(truth) => Some(*truth),
            _ => None,
        }
    }

    pub(crate) fn of_truth(truth: Option<bool>) -> Self {
        truth.map_or(Self::Null, Self::Boolean)
    }

    pub(crate) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(boolean) => Value::Boolean(boolean),
            Self::Integer(integer) => Value::Integer(integer),
            Self::Float(float) => Value::Float(float),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
        }
    }

    /// The order that `<` sees: `None` for nulls and beside a NaN. Both sides are of one kind.
    pub(crate) fn compare(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Boolean(a), Value::Boolean(b)) => Some(a.cmp(b)),
            (Self::Integer(a), Value::Integer(b)) => Some(a.cmp(b)),
            (Self::Float(a), Value::Float(b)) => a.partial_cmp(b),
            (Self::Text(a), Value::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            _ => None,
        }
    }

    /// The order that `MIN`, `MAX`, `GREATEST` and `LEAST` see, in which every value has one place: −0 before 0, NaN
    /// behind everything. Both sides are of one kind and not null.
    pub(crate) fn total_order(&self, other: &Value<'_>) -> Ordering {
        match (self, other) {
            (Self::Float(a), Value::Float(b)) => a.total_cmp(b),
            _ => self.compare(other).unwrap_or(Ordering::Equal),
        }
    }
}

/// `+ - * / %`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Arithmetic {
    /// Of two integers or two floats. Integers that leave 64 bits, and a division of integers by zero, fail; floats are
    /// IEEE 754.
    pub(crate) fn apply<'a>(self, left: &Value<'_>, right: &Value<'_>) -> Result<Value<'a>, Failure> {
        match (left, right) {
            (Value::Integer(left), Value::Integer(right)) => self.integers(*left, *right).map(Value::Integer),
            (Value::Float(left), Value::Float(right)) => Ok(Value::float(self.floats(*left, *right))),
            _ => Ok(Value::Null),
        }
    }

    fn integers(self, left: i64, right: i64) -> Result<i64, Failure> {
        let result = match self {
            Self::Add => left.checked_add(right),
            Self::Subtract => left.checked_sub(right),
            Self::Multiply => left.checked_mul(right),
            Self::Divide | Self::Remainder if right == 0 => {
                return Err(Failure(format!("{left} {self} 0: division by zero; NULLIF(…, 0) makes it null")));
            }
            Self::Divide => left.checked_div(right),
            // The one overflow of a remainder, i64::MIN % -1, is mathematically 0.
            Self::Remainder => Some(left.wrapping_rem(right)),
        };
        result.ok_or_else(|| Failure(format!("{left} {self} {right} is beyond 64 bits")))
    }

    fn floats(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            Self::Remainder => left % right,
        }
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        })
    }
}

/// `= <> < <= > >=`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Unknown beside a null. Beside a NaN everything but `<>` is false.
    pub(crate) fn apply(self, left: &Value<'_>, right: &Value<'_>) -> Option<bool> {
        if left.is_null() || right.is_null() {
            return None;
        }
        let order = left.compare(right);
        Some(match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

/// `value` as a value of type `kind`. Rust's shortest decimal form stands for floats as texts.
pub(crate) fn cast<'a>(value: Value<'a>, kind: Kind) -> Result<Value<'a>, Failure> {
    let impossible = |what: &dyn fmt::Display| Failure(format!("{what} cannot be read as {}", kind.words()));
    Ok(match (value, kind) {
        (Value::Null, _) => Value::Null,
        (value @ Value::Boolean(_), Kind::Boolean)
        | (value @ Value::Integer(_), Kind::Integer)
        | (value @ Value::Float(_), Kind::Float)
        | (value @ Value::Text(_), Kind::Text) => value,
        (Value::Integer(integer), Kind::Float) => Value::Float(integer as f64),
        (Value::Float(float), Kind::Integer) => {
            // Both bounds are exact floats: −2^63 is an integer, 2^63 is the first that is none.
            let whole = float.trunc();
            if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole) {
                return Err(impossible(&float));
            }
            Value::Integer(whole as i64)
        }
        (Value::Boolean(boolean), Kind::Integer) => Value::Integer(i64::from(boolean)),
        (Value::Boolean(boolean), Kind::Float) => Value::Float(f64::from(u8::from(boolean))),
        (Value::Boolean(boolean), Kind::Text) => Value::Text(Cow::Borrowed(if boolean { "true" } else { "false" })),
        (Value::Integer(integer), Kind::Text) => Value::Text(integer.to_string().into()),
        (Value::Float(float), Kind::Text) => Value::Text(format!("{float:?}").into()),
        (Value::Integer(integer), Kind::Boolean) => Value::Boolean(integer != 0),
        (Value::Float(float), Kind::Boolean) => Value::Boolean(float != 0.0),
        (Value::Text(text), kind) => {
            let trimmed = text.trim();
            let read = match kind {
                Kind::Integer => trimmed.parse().ok().map(Value::Integer),
                Kind::Float => trimmed.parse().ok().map(Value::float),
                Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Some(Value::Boolean(true)),
                Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Some(Value::Boolean(false)),
                _ => None,
            };
            read.ok_or_else(|| impossible(&format_args!("'{}'", shortened(trimmed))))?
        }
    })
}

/// The beginning of a text, for messages.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Boolean(true) => f.write_str("TRUE"),
            Self::Boolean(false) => f.write_str("FALSE"),
            Self::Integer(integer) => write!(f, "{integer}"),
            Self::Float(float) => write!(f, "{float:?}"),
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}
