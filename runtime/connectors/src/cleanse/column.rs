//! Columns under construction: values with the rows they belong to, so that a row without a value costs nothing.

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use std::sync::Arc;
use tidemark_engine::descriptor::ColumnType;

/// One column of a batch that is being decoded.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Rows that have a value, ascending; as long as the values.
    rows: Vec<u32>,
    values: Values,
}

#[derive(Clone, Debug)]
enum Values {
    Booleans(Vec<bool>),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    /// End of each text in the bytes.
    Texts(Vec<u32>, Vec<u8>),
}

impl Column {
    pub(crate) fn new(kind: ColumnType) -> Self {
        let values = match kind {
            ColumnType::Boolean => Values::Booleans(Vec::new()),
            ColumnType::Integer => Values::Integers(Vec::new()),
            ColumnType::Float => Values::Floats(Vec::new()),
            ColumnType::Text | ColumnType::Json => Values::Texts(Vec::new(), Vec::new()),
        };
        Self { rows: Vec::new(), values }
    }

    /// Appends the value of `row`, which has none yet and is not before any row that has.
    #[inline]
    pub(crate) fn push_boolean(&mut self, row: u32, value: bool) {
        if let Values::Booleans(values) = &mut self.values {
            values.push(value);
            self.rows.push(row);
        }
    }

    /// See [`Self::push_boolean`].
    #[inline]
    pub(crate) fn push_integer(&mut self, row: u32, value: i64) {
        if let Values::Integers(values) = &mut self.values {
            values.push(value);
            self.rows.push(row);
        }
    }

    /// See [`Self::push_boolean`].
    #[inline]
    pub(crate) fn push_float(&mut self, row: u32, value: f64) {
        if let Values::Floats(values) = &mut self.values {
            values.push(value);
            self.rows.push(row);
        }
    }

    /// See [`Self::push_boolean`]. `value` is UTF-8.
    #[inline]
    pub(crate) fn push_text(&mut self, row: u32, value: &[u8]) {
        if let Values::Texts(ends, bytes) = &mut self.values {
            bytes.extend_from_slice(value);
            ends.push(bytes.len() as u32);
            self.rows.push(row);
        }
    }

    /// Like [`Self::push_text`], in quotes.
    pub(crate) fn push_quoted(&mut self, row: u32, content: &[u8]) {
        if let Values::Texts(ends, bytes) = &mut self.values {
            bytes.push(b'"');
            bytes.extend_from_slice(content);
            bytes.push(b'"');
            ends.push(bytes.len() as u32);
            self.rows.push(row);
        }
    }

    /// Takes back the value of `row`, the last one, if it has one.
    #[inline]
    pub(crate) fn clear(&mut self, row: u32) {
        if self.rows.last() != Some(&row) {
            return;
        }
        self.rows.pop();
        match &mut self.values {
            Values::Booleans(values) => drop(values.pop()),
            Values::Integers(values) => drop(values.pop()),
            Values::Floats(values) => drop(values.pop()),
            Values::Texts(ends, bytes) => {
                ends.pop();
                bytes.truncate(ends.last().map_or(0, |&end| end as usize));
            }
        }
    }

    /// The column of a batch with `rows` rows. Empty afterwards, its memory kept for the next batch.
    pub(crate) fn finish(&mut self, rows: usize) -> ArrayRef {
        let present = std::mem::take(&mut self.rows);
        let nulls = nulls(&present, rows);
        let array: ArrayRef = match &mut self.values {
            Values::Booleans(values) => {
                let mut bits = BooleanBufferBuilder::new(rows);
                bits.append_n(rows, false);
                present.iter().zip(values.iter()).for_each(|(&row, &value)| bits.set_bit(row as usize, value));
                values.clear();
                Arc::new(BooleanArray::new(bits.finish(), nulls))
            }
            Values::Integers(values) => Arc::new(Int64Array::new(spread(&present, values, rows), nulls)),
            Values::Floats(values) => Arc::new(Float64Array::new(spread(&present, values, rows), nulls)),
            Values::Texts(ends, bytes) => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets(&present, ends, rows)));
                let text = Buffer::from(bytes.as_slice());
                ends.clear();
                bytes.clear();
                Arc::new(StringArray::new(offsets, text, nulls))
            }
        };
        self.rows = present;
        self.rows.clear();
        array
    }
}

fn nulls(present: &[u32], rows: usize) -> Option<NullBuffer> {
    if present.len() == rows {
        return None;
    }
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, false);
    present.iter().for_each(|&row| bits.set_bit(row as usize, true));
    let bits: BooleanBuffer = bits.finish();
    Some(NullBuffer::new(bits))
}

/// Each value at its row, zeros between. Empties `values`.
fn spread<T: arrow_buffer::ArrowNativeType>(present: &[u32], values: &mut Vec<T>, rows: usize) -> ScalarBuffer<T> {
    if present.len() == rows {
        return ScalarBuffer::from(std::mem::replace(values, Vec::with_capacity(rows)));
    }
    let mut all = vec![T::default(); rows];
    present.iter().zip(values.drain(..)).for_each(|(&row, value)| all[row as usize] = value);
    ScalarBuffer::from(all)
}

/// Where texts begin and end: rows without one are empty.
fn offsets(present: &[u32], ends: &[u32], rows: usize) -> Vec<i32> {
    let mut offsets = Vec::with_capacity(rows + 1);
    offsets.push(0);
    let mut end = 0;
    for (&row, &next) in present.iter().zip(ends) {
        offsets.resize(row as usize + 1, end);
        end = next as i32;
        offsets.push(end);
    }
    offsets.resize(rows + 1, end);
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    #[test]
    fn rows_without_a_value_are_null_wherever_they_stand() {
        let mut column = Column::new(ColumnType::Text);
        column.push_text(1, b"ab");
        column.push_text(2, b"x");
        column.clear(2);
        column.push_text(2, b"");
        column.push_text(4, b"cd");
        column.clear(3);
        let array = column.finish(6);
        assert_eq!(
            array.as_string::<i32>().iter().collect::<Vec<_>>(),
            [None, Some("ab"), Some(""), None, Some("cd"), None]
        );
        let again = column.finish(2);
        assert_eq!((again.len(), again.null_count()), (2, 2));
    }

    #[test]
    fn a_full_column_has_no_null_buffer() {
        let mut column = Column::new(ColumnType::Float);
        column.push_float(0, 1.5);
        column.push_float(1, 2.5);
        let array = column.finish(2);
        assert!(array.nulls().is_none());
        let mut flags = Column::new(ColumnType::Boolean);
        flags.push_boolean(1, true);
        assert_eq!(flags.finish(3).as_boolean().iter().collect::<Vec<_>>(), [None, Some(true), None]);
    }
}
