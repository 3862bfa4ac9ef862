//! From Arrow arrays to the flat lists that a module takes. Values are borrowed from the arrays; a copy is made only
//! where Arrow packs what the interface does not (booleans), or where a sliced array starts within a byte or a buffer.

use crate::abi;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, StringArray};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use std::borrow::Cow;
use tidemark_engine::descriptor::{ColumnType, InputColumn};
use tidemark_engine::guest::{GuestBatch, VarBytes};

/// The columns of a batch, with the copies that had to be made.
pub(crate) struct Lowered<'a>(Vec<LoweredColumn<'a>>);

struct LoweredColumn<'a> {
    validity: Cow<'a, [u8]>,
    values: LoweredValues<'a>,
}

enum LoweredValues<'a> {
    Booleans(Vec<u8>),
    Integers(&'a [i64]),
    Floats(&'a [f64]),
    Texts { ends: ScalarBuffer<u32>, bytes: &'a [u8] },
}

impl<'a> Lowered<'a> {
    /// The columns of `batch`, which must be those that the module declares.
    pub(crate) fn new(batch: &'a GuestBatch, inputs: &[InputColumn]) -> Result<Self, String> {
        if batch.columns.len() != inputs.len() {
            return Err(format!("the batch has {} columns, the module declares {}", batch.columns.len(), inputs.len()));
        }
        let rows = batch.event_times.len();
        let mut columns = Vec::with_capacity(inputs.len());
        for (array, input) in batch.columns.iter().zip(inputs) {
            if array.len() != rows {
                return Err(format!("column `{}` has {} rows of {rows}", input.name, array.len()));
            }
            let values = LoweredValues::new(array, input.kind).ok_or_else(|| {
                format!("column `{}` is {}, the module declares {:?}", input.name, array.data_type(), input.kind)
            })?;
            columns.push(LoweredColumn { validity: validity(array.nulls()), values });
        }
        Ok(Self(columns))
    }

    /// The same, as arguments.
    pub(crate) fn columns(&self) -> Vec<abi::Column<'_>> {
        self.0.iter().map(LoweredColumn::as_argument).collect()
    }
}

/// A whole batch as an argument, around its `columns`.
pub(crate) fn batch<'a>(batch: &'a GuestBatch, columns: &'a [abi::Column<'a>]) -> abi::Batch<'a> {
    let groups = &batch.groups;
    abi::Batch {
        columns,
        event_times: &batch.event_times,
        groups: abi::Groups {
            keys: byte_strings(&groups.keys),
            window_starts: &groups.window_starts,
            window_ends: &groups.window_ends,
            times: &groups.times,
            row_ends: &groups.row_ends,
            states: byte_strings(&groups.states),
        },
    }
}

/// Byte strings as an argument.
pub(crate) fn byte_strings(strings: &VarBytes) -> abi::ByteStrings<'_> {
    abi::ByteStrings { ends: &strings.ends, bytes: &strings.bytes }
}

impl LoweredColumn<'_> {
    fn as_argument(&self) -> abi::Column<'_> {
        let values = match &self.values {
            LoweredValues::Booleans(values) => abi::Values::Booleans(values),
            LoweredValues::Integers(values) => abi::Values::Integers(values),
            LoweredValues::Floats(values) => abi::Values::Floats(values),
            LoweredValues::Texts { ends, bytes } => abi::Values::Texts(abi::ByteStrings { ends, bytes }),
        };
        abi::Column { validity: &self.validity, values }
    }
}

impl<'a> LoweredValues<'a> {
    /// `None` where `array` is not of the type that `kind` asks for.
    fn new(array: &'a ArrayRef, kind: ColumnType) -> Option<Self> {
        match kind {
            ColumnType::Boolean => array.as_boolean_opt().map(booleans),
            ColumnType::Integer => array.as_primitive_opt::<Int64Type>().map(|array| Self::Integers(array.values())),
            ColumnType::Float => array.as_primitive_opt::<Float64Type>().map(|array| Self::Floats(array.values())),
            ColumnType::Text | ColumnType::Json => array.as_string_opt::<i32>().map(texts),
        }
    }
}

fn booleans(array: &BooleanArray) -> LoweredValues<'_> {
    LoweredValues::Booleans(array.values().iter().map(u8::from).collect())
}

/// Arrow has one offset more than there are texts, signed, and not from 0 in a sliced array.
fn texts(array: &StringArray) -> LoweredValues<'_> {
    let offsets = array.offsets();
    let (first, last) = (offsets[0], offsets[array.len()]);
    let ends = if first == 0 {
        ScalarBuffer::<u32>::from(offsets.inner().inner().clone()).slice(1, array.len())
    } else {
        offsets[1..].iter().map(|end| (end - first) as u32).collect::<Vec<_>>().into()
    };
    LoweredValues::Texts { ends, bytes: &array.values()[first as usize..last as usize] }
}

/// The validity bitmap from the array's first row on; empty where no row is null. Bits behind the last row are zero, so
/// that a module sees the same however a batch was cut.
fn validity(nulls: Option<&NullBuffer>) -> Cow<'_, [u8]> {
    let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else { return Cow::Borrowed(&[]) };
    let (bytes, used_bits) = (nulls.len().div_ceil(8), nulls.len() % 8);
    let unused = if used_bits == 0 { 0 } else { u8::MAX << used_bits };
    if nulls.offset() % 8 == 0 {
        let bitmap = &nulls.validity()[nulls.offset() / 8..][..bytes];
        if bitmap[bytes - 1] & unused == 0 {
            return Cow::Borrowed(bitmap);
        }
    }
    let mut bitmap = nulls.inner().sliced().as_slice()[..bytes].to_vec();
    bitmap[bytes - 1] &= !unused;
    Cow::Owned(bitmap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float64Array, Int64Array};
    use std::sync::Arc;

    fn lower(array: ArrayRef, kind: ColumnType) -> (Vec<u8>, String) {
        let batch = GuestBatch { event_times: vec![0; array.len()], columns: vec![array], ..GuestBatch::default() };
        let input = InputColumn { name: "x".into(), path: "data.x".into(), kind, side: None };
        let lowered = Lowered::new(&batch, &[input]).expect("the types fit");
        let column = lowered.columns()[0];
        let values = match column.values {
            abi::Values::Booleans(values) => format!("{values:?}"),
            abi::Values::Integers(values) => format!("{values:?}"),
            abi::Values::Floats(values) => format!("{values:?}"),
            abi::Values::Texts(texts) => format!("{:?} {:?}", texts.ends, str::from_utf8(texts.bytes).expect("text")),
        };
        (column.validity.to_vec(), values)
    }

    #[test]
    fn every_slice_of_a_column_lowers_like_a_column_of_its_own() {
        let texts = |range: std::ops::Range<usize>| -> ArrayRef {
            Arc::new(range.map(|i| (i % 3 != 0).then(|| "ä".repeat(i % 5))).collect::<StringArray>())
        };
        let flags = |range: std::ops::Range<usize>| -> ArrayRef {
            Arc::new(range.map(|i| (i % 5 != 0).then_some(i % 2 == 0)).collect::<BooleanArray>())
        };
        let numbers = |range: std::ops::Range<usize>| -> ArrayRef {
            Arc::new(range.map(|i| (i % 7 != 0).then_some(i as f64)).collect::<Float64Array>())
        };
        for start in 0..20 {
            for end in start..=20 {
                let (whole, range) = (0..20, start..end);
                let cut = |array: ArrayRef| array.slice(start, end - start);
                let kind = ColumnType::Text;
                assert_eq!(lower(cut(texts(whole.clone())), kind), lower(texts(range.clone()), kind), "{range:?}");
                let kind = ColumnType::Boolean;
                assert_eq!(lower(cut(flags(whole.clone())), kind), lower(flags(range.clone()), kind), "{range:?}");
                let kind = ColumnType::Float;
                assert_eq!(lower(cut(numbers(whole)), kind), lower(numbers(range.clone()), kind), "{range:?}");
            }
        }
    }

    #[test]
    fn a_column_of_another_type_is_refused_by_name() {
        let array: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let batch = GuestBatch { event_times: vec![0], columns: vec![array], ..GuestBatch::default() };
        let input = InputColumn { name: "fps".into(), path: "data.fps".into(), kind: ColumnType::Float, side: None };
        let error = Lowered::new(&batch, &[input]).err().expect("the types differ");
        assert_eq!(error, "column `fps` is Int64, the module declares Float");
    }
}
