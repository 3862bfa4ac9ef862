//! Rows as bytes, for rows that wait in state: the values of one side's input columns.
//!
//! Per column one tag byte (0: null, 1: value), then for a value eight little-endian bytes, one byte for a boolean, or
//! a four-byte length and the text.

use super::StageInput;
use super::route::RowRef;
use crate::descriptor::ColumnType;
use crate::ports::PortError;
use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use std::sync::Arc;

/// Appends the values of `columns` (indices of the stage's inputs) of a row.
pub(crate) fn encode(input: &StageInput<'_>, columns: &[usize], at: RowRef, out: &mut Vec<u8>) {
    let (batch, row) = (&input.batches[at.batch as usize], at.row as usize);
    for index in columns {
        let column = &batch.columns[input.stage.slots[*index]];
        if column.is_null(row) {
            out.push(0);
            continue;
        }
        out.push(1);
        match input.stage.spec.inputs[*index].kind {
            ColumnType::Boolean => out.push(u8::from(column.as_boolean().value(row))),
            ColumnType::Integer => out.extend(column.as_primitive::<Int64Type>().value(row).to_le_bytes()),
            ColumnType::Float => out.extend(column.as_primitive::<Float64Type>().value(row).to_le_bytes()),
            ColumnType::Text | ColumnType::Json => {
                let text = column.as_string::<i32>().value(row).as_bytes();
                out.extend((text.len() as u32).to_le_bytes());
                out.extend_from_slice(text);
            }
        }
    }
}

/// Builds one column from encoded rows.
pub(crate) enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
}

impl ColumnBuilder {
    pub(crate) fn new(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::Integer => Self::Integer(Int64Builder::new()),
            ColumnType::Float => Self::Float(Float64Builder::new()),
            ColumnType::Text | ColumnType::Json => Self::Text(StringBuilder::new()),
        }
    }

    pub(crate) fn push_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Integer(builder) => builder.append_null(),
            Self::Float(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
        }
    }

    /// Reads one value from the front of `bytes`.
    fn push(&mut self, bytes: &mut &[u8]) -> Option<()> {
        if *bytes.split_off_first()? == 0 {
            self.push_null();
            return Some(());
        }
        match self {
            Self::Boolean(builder) => builder.append_value(*bytes.split_off_first()? == 1),
            Self::Integer(builder) => builder.append_value(i64::from_le_bytes(fixed(bytes)?)),
            Self::Float(builder) => builder.append_value(f64::from_le_bytes(fixed(bytes)?)),
            Self::Text(builder) => {
                let length = u32::from_le_bytes(fixed(bytes)?) as usize;
                builder.append_value(std::str::from_utf8(bytes.split_off(..length)?).ok()?);
            }
        }
        Some(())
    }

    pub(crate) fn finish(self) -> ArrayRef {
        match self {
            Self::Boolean(mut builder) => Arc::new(builder.finish()),
            Self::Integer(mut builder) => Arc::new(builder.finish()),
            Self::Float(mut builder) => Arc::new(builder.finish()),
            Self::Text(mut builder) => Arc::new(builder.finish()),
        }
    }
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    bytes.split_off(..N)?.try_into().ok()
}

/// Appends an encoded row to the builders of its columns.
pub(crate) fn decode_into(mut row: &[u8], columns: &[usize], builders: &mut [ColumnBuilder]) -> Result<(), PortError> {
    for index in columns {
        builders[*index].push(&mut row).ok_or_else(|| {
            PortError::Stop("a waiting row in state is damaged: restore the newest checkpoint".to_owned())
        })?;
    }
    Ok(())
}
