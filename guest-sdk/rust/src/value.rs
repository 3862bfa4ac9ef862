//! The types that a field of an input or output may have, and how each is read from a column and written to one.

use crate::contract::{ByteStrings, Column, Values, span};

/// The type of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColumnType {
    /// `bool`.
    Boolean,
    /// `i64`.
    Integer,
    /// `f64`.
    Float,
    /// `&str` or `String`.
    Text,
    /// [`Json`].
    Json,
}

impl ColumnType {
    /// Its name in `describe`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Any JSON value, as its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Json<'a>(pub &'a str);

/// A value that is never null.
pub trait Scalar<'a>: Sized {
    /// The type of its column.
    const TYPE: ColumnType;
    /// The column's values, ready to be read by row.
    type Values: Copy;

    /// `None` if the column has another type, or texts that are not UTF-8.
    fn values(values: &'a Values) -> Option<Self::Values>;

    /// The value of `row`.
    fn get(values: Self::Values, row: usize) -> Self;

    /// Adds the value to a column of [`Self::TYPE`].
    fn push(self, values: &mut Values);
}

/// The type of a field: a scalar, or an `Option` of one.
pub trait Value<'a>: Sized {
    /// The type of its column.
    const TYPE: ColumnType;
    /// Whether it may be null.
    const NULLABLE: bool;
    /// The column, ready to be read by row.
    type Column: Copy;

    /// `None` if the column has another type.
    fn column(column: &'a Column) -> Option<Self::Column>;

    /// The value of `row`.
    fn get(column: Self::Column, row: usize) -> Self;

    /// Adds the value to an output column.
    fn push(self, column: &mut ColumnBuilder);
}

impl<'a, T: Scalar<'a>> Value<'a> for T {
    const TYPE: ColumnType = T::TYPE;
    const NULLABLE: bool = false;
    type Column = T::Values;

    fn column(column: &'a Column) -> Option<Self::Column> {
        T::values(&column.values)
    }

    #[inline]
    fn get(column: Self::Column, row: usize) -> Self {
        T::get(column, row)
    }

    fn push(self, column: &mut ColumnBuilder) {
        column.push_valid();
        self.push(&mut column.values);
    }
}

impl<'a, T: Scalar<'a>> Value<'a> for Option<T> {
    const TYPE: ColumnType = T::TYPE;
    const NULLABLE: bool = true;
    type Column = (Validity<'a>, T::Values);

    fn column(column: &'a Column) -> Option<Self::Column> {
        Some((Validity(&column.validity), T::values(&column.values)?))
    }

    #[inline]
    fn get((validity, values): Self::Column, row: usize) -> Self {
        validity.is_valid(row).then(|| T::get(values, row))
    }

    fn push(self, column: &mut ColumnBuilder) {
        match self {
            Some(value) => Value::push(value, column),
            None => column.push_null(),
        }
    }
}

/// Which rows of a column are not null: the contract's bitmap.
#[derive(Clone, Copy, Debug)]
pub struct Validity<'a>(&'a [u8]);

impl Validity<'_> {
    #[inline]
    fn is_valid(self, row: usize) -> bool {
        // An empty bitmap says that every row is valid.
        self.0.get(row / 8).is_none_or(|byte| byte >> (row % 8) & 1 == 1)
    }
}

/// Texts of a column.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    text: &'a str,
    ends: &'a [u32],
}

impl<'a> Texts<'a> {
    fn new(strings: &'a ByteStrings) -> Option<Self> {
        Some(Self { text: utf8(&strings.bytes)?, ends: &strings.ends })
    }

    #[inline]
    fn get(self, row: usize) -> &'a str {
        span(self.ends, row).and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }
}

/// The bytes of a text column as a text.
#[cfg(not(target_arch = "wasm32"))]
fn utf8(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The bytes of a text column as a text. In a component they are not checked: it takes longer than all the rest.
#[cfg(target_arch = "wasm32")]
fn utf8(bytes: &[u8]) -> Option<&str> {
    // SAFETY: the contract says that texts are UTF-8, and a component's one caller, the host, makes them from Arrow
    // strings, which are. Cuts within a character are still found when a row is read.
    Some(unsafe { std::str::from_utf8_unchecked(bytes) })
}

/// A scalar whose values stand in a slice.
macro_rules! number {
    ($type:ty, $kind:ident, $variant:ident, $stored:ty, $from:expr, $to:expr) => {
        impl<'a> Scalar<'a> for $type {
            const TYPE: ColumnType = ColumnType::$kind;
            type Values = &'a [$stored];

            fn values(values: &'a Values) -> Option<Self::Values> {
                if let Values::$variant(values) = values { Some(values) } else { None }
            }

            #[inline]
            fn get(values: Self::Values, row: usize) -> Self {
                $from(values[row])
            }

            fn push(self, values: &mut Values) {
                if let Values::$variant(values) = values {
                    values.push($to(self));
                }
            }
        }
    };
}

number!(bool, Boolean, Booleans, u8, |byte| byte != 0, u8::from);
number!(i64, Integer, Integers, i64, i64::from, i64::from);
number!(f64, Float, Floats, f64, f64::from, f64::from);

/// A scalar that is a text.
macro_rules! text {
    ($type:ty, $kind:ident, $from:expr, $as_str:expr) => {
        impl<'a> Scalar<'a> for $type {
            const TYPE: ColumnType = ColumnType::$kind;
            type Values = Texts<'a>;

            fn values(values: &'a Values) -> Option<Self::Values> {
                if let Values::Texts(strings) = values { Texts::new(strings) } else { None }
            }

            #[inline]
            fn get(values: Self::Values, row: usize) -> Self {
                $from(values.get(row))
            }

            fn push(self, values: &mut Values) {
                if let Values::Texts(strings) = values {
                    let text: &str = $as_str(&self);
                    strings.push(text.as_bytes());
                }
            }
        }
    };
}

text!(&'a str, Text, std::convert::identity, |text: &&'a str| *text);
text!(String, Text, String::from, String::as_str);
text!(Json<'a>, Json, Json, |json: &Json<'a>| json.0);

/// An output column that grows row by row.
#[derive(Debug)]
pub struct ColumnBuilder {
    rows: usize,
    validity: Vec<u8>,
    values: Values,
}

impl ColumnBuilder {
    /// An empty column.
    #[must_use]
    pub const fn new(kind: ColumnType) -> Self {
        let values = match kind {
            ColumnType::Boolean => Values::Booleans(Vec::new()),
            ColumnType::Integer => Values::Integers(Vec::new()),
            ColumnType::Float => Values::Floats(Vec::new()),
            ColumnType::Text | ColumnType::Json => Values::Texts(ByteStrings::new()),
        };
        Self { rows: 0, validity: Vec::new(), values }
    }

    /// The column as the contract has it.
    #[must_use]
    pub fn finish(self) -> Column {
        Column { validity: self.validity, values: self.values }
    }

    fn push_valid(&mut self) {
        // The bitmap begins with the first null.
        if !self.validity.is_empty() {
            self.validity.resize(self.rows / 8 + 1, 0);
            self.validity[self.rows / 8] |= 1 << (self.rows % 8);
        }
        self.rows += 1;
    }

    /// Adds a null.
    pub fn push_null(&mut self) {
        if self.validity.is_empty() {
            self.validity.resize(self.rows / 8, u8::MAX);
            self.validity.push((1_u8 << (self.rows % 8)) - 1);
        } else {
            self.validity.resize(self.rows / 8 + 1, 0);
        }
        self.rows += 1;
        match &mut self.values {
            Values::Booleans(values) => values.push(0),
            Values::Integers(values) => values.push(0),
            Values::Floats(values) => values.push(0.0),
            Values::Texts(strings) => strings.end_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_survive_the_way_through_a_column() {
        for pattern in 0_u32..1 << 10 {
            let rows: Vec<Option<i64>> = (0..10).map(|row| (pattern >> row & 1 == 1).then_some(row)).collect();
            let mut builder = ColumnBuilder::new(ColumnType::Integer);
            rows.iter().for_each(|row| Value::push(*row, &mut builder));
            let column = builder.finish();
            let read = <Option<i64> as Value>::column(&column).expect("the same type");
            let back: Vec<_> = (0..10).map(|row| <Option<i64> as Value>::get(read, row)).collect();
            assert_eq!(back, rows);
        }
    }

    #[test]
    fn a_column_of_another_type_or_broken_text_is_refused() {
        let column = ColumnBuilder::new(ColumnType::Float).finish();
        assert!(<Option<i64> as Value>::column(&column).is_none());
        let texts = Values::Texts(ByteStrings { ends: vec![1], bytes: vec![0xff] });
        assert!(<&str as Value>::column(&Column { validity: Vec::new(), values: texts }).is_none());
    }

    #[test]
    fn texts_are_borrowed_and_cut_at_their_ends() {
        let texts = Values::Texts(ByteStrings { ends: vec![2, 2, 5], bytes: "aßbc".as_bytes().to_vec() });
        let column = Column { validity: Vec::new(), values: texts };
        let read = <&str as Value>::column(&column).expect("UTF-8");
        assert_eq!([0, 1, 2, 3].map(|row| <&str as Value>::get(read, row)), ["", "", "", ""], "2 is inside of ß");
    }
}
