//! Gathering: the columns of a call, from rows that lie scattered over the batches of a tick.

use super::StageInput;
use super::route::RowRef;
use crate::descriptor::ColumnType;
use crate::output::arrow_type;
use crate::plan::SlotIndex;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, StringArray, new_empty_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use std::sync::Arc;

impl StageInput<'_> {
    /// The stage's input columns for `rows`, in their order.
    pub(crate) fn columns(&self, rows: &[RowRef]) -> Vec<ArrayRef> {
        let inputs = self.stage.spec.inputs.iter().zip(&self.stage.slots);
        inputs.map(|(input, slot)| self.column(*slot, input.kind, rows)).collect()
    }

    /// The stage's input columns without a row.
    pub(crate) fn empty_columns(&self) -> Vec<ArrayRef> {
        self.stage.spec.inputs.iter().map(|input| new_empty_array(&arrow_type(input.kind))).collect()
    }

    /// The event times of `rows`.
    pub(crate) fn times(&self, rows: &[RowRef]) -> Vec<i64> {
        rows.iter().map(|at| self.batches[at.batch as usize].event_times[at.row as usize]).collect()
    }

    fn column(&self, slot: SlotIndex, kind: ColumnType, rows: &[RowRef]) -> ArrayRef {
        let sources: Vec<&ArrayRef> = self.batches.iter().map(|batch| &batch.columns[slot]).collect();
        match kind {
            ColumnType::Float => primitive::<Float64Type>(&sources, rows),
            ColumnType::Integer => primitive::<Int64Type>(&sources, rows),
            ColumnType::Boolean => {
                let sources: Vec<&BooleanArray> = sources.iter().map(|source| source.as_boolean()).collect();
                let value = |at: &RowRef| sources[at.batch as usize].value(at.row as usize);
                let values: BooleanBuffer = rows.iter().map(value).collect();
                Arc::new(BooleanArray::new(values, nulls(&sources, rows)))
            }
            ColumnType::Text | ColumnType::Json => texts(&sources, rows),
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(sources: &[&ArrayRef], rows: &[RowRef]) -> ArrayRef {
    let sources: Vec<&PrimitiveArray<T>> = sources.iter().map(|source| source.as_primitive()).collect();
    let values: Vec<&[T::Native]> = sources.iter().map(|source| &source.values()[..]).collect();
    let gathered: Vec<T::Native> = rows.iter().map(|at| values[at.batch as usize][at.row as usize]).collect();
    Arc::new(PrimitiveArray::<T>::new(gathered.into(), nulls(&sources, rows)))
}

fn texts(sources: &[&ArrayRef], rows: &[RowRef]) -> ArrayRef {
    let sources: Vec<&StringArray> = sources.iter().map(|source| source.as_string()).collect();
    let value = |at: &RowRef| sources[at.batch as usize].value(at.row as usize);
    let mut bytes = Vec::with_capacity(rows.iter().map(|at| value(at).len()).sum());
    let lengths = rows.iter().map(|at| {
        let text = value(at);
        bytes.extend_from_slice(text.as_bytes());
        text.len()
    });
    let offsets = OffsetBuffer::from_lengths(lengths);
    let nulls = nulls(&sources, rows);
    Arc::new(StringArray::new(offsets, Buffer::from_vec(bytes), nulls))
}

fn nulls<A: Array>(sources: &[&A], rows: &[RowRef]) -> Option<NullBuffer> {
    if sources.iter().all(|source| source.null_count() == 0) {
        return None;
    }
    let valid: BooleanBuffer = rows.iter().map(|at| sources[at.batch as usize].is_valid(at.row as usize)).collect();
    Some(NullBuffer::new(valid))
}
