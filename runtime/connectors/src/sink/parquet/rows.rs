//! What sorting and cutting need to know of a batch's rows: the sort columns, compared without copying, and sizes.

use super::layout::sort_columns;
use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMillisecondType, UInt64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array};
use arrow_schema::{DataType, TimeUnit};
use std::cmp::Ordering;
use tidemark_engine::output::TableKind;

/// One batch, seen as rows.
pub(super) struct Rows {
    sort: Vec<SortColumn>,
    texts: Vec<StringArray>,
    binaries: Vec<BinaryArray>,
    fixed_bytes: usize,
}

enum SortColumn {
    Text(StringArray),
    Time(TimestampMillisecondArray),
    Number(UInt64Array),
}

impl Rows {
    /// The rows of `batch`, a batch of a table of this kind. Says in words which column is missing or has a wrong type.
    pub(super) fn of(kind: &TableKind, batch: &RecordBatch) -> Result<Self, String> {
        let sort = sort_columns(kind).iter().map(|name| {
            let column = batch.column_by_name(name).ok_or_else(|| format!("column {name} is missing"))?;
            SortColumn::of(column).ok_or_else(|| format!("column {name} cannot be {}", column.data_type()))
        });
        let texts = batch.columns().iter().filter_map(|column| column.as_string_opt().cloned());
        let binaries = batch.columns().iter().filter_map(|column| column.as_binary_opt().cloned());
        Ok(Self {
            sort: sort.collect::<Result<_, _>>()?,
            texts: texts.collect(),
            binaries: binaries.collect(),
            fixed_bytes: 8 * batch.num_columns(),
        })
    }

    /// The place of `row` relative to row `other_row` of another batch of the same table. Nulls first.
    pub(super) fn compare(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        let columns = self.sort.iter().zip(&other.sort);
        columns
            .map(|(own, other)| own.compare(row, other, other_row))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// About how many bytes the row takes in memory: a function of its values alone.
    pub(super) fn bytes(&self, row: usize) -> usize {
        let texts: usize = self.texts.iter().map(|column| column.value_length(row) as usize).sum();
        let binaries: usize = self.binaries.iter().map(|column| column.value_length(row) as usize).sum();
        self.fixed_bytes + texts + binaries
    }
}

impl SortColumn {
    fn of(column: &ArrayRef) -> Option<Self> {
        match column.data_type() {
            DataType::Utf8 => Some(Self::Text(column.as_string().clone())),
            DataType::UInt64 => Some(Self::Number(column.as_primitive::<UInt64Type>().clone())),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Some(Self::Time(column.as_primitive::<TimestampMillisecondType>().clone()))
            }
            _ => None,
        }
    }

    fn compare(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        match (self, other) {
            (Self::Text(own), Self::Text(other)) => {
                let value = own.is_valid(row).then(|| own.value(row));
                value.cmp(&other.is_valid(other_row).then(|| other.value(other_row)))
            }
            (Self::Time(own), Self::Time(other)) => {
                let value = own.is_valid(row).then(|| own.value(row));
                value.cmp(&other.is_valid(other_row).then(|| other.value(other_row)))
            }
            (Self::Number(own), Self::Number(other)) => {
                let value = own.is_valid(row).then(|| own.value(row));
                value.cmp(&other.is_valid(other_row).then(|| other.value(other_row)))
            }
            // Batches of one table have the same types: checked when they are written, and by schema when merged.
            _ => Ordering::Equal,
        }
    }
}
