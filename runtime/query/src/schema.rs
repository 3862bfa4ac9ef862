//! The union of the columns of a table's files: a metric's columns may grow from one version to the next.

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// `base` and whatever further columns files with the schemas `others` have, by name, in order of first appearance. All
/// are nullable: an older file lacks what a newer one has.
pub(super) fn union_of<'s>(base: &Schema, others: impl Iterator<Item = &'s Schema>) -> SchemaRef {
    let mut fields: Vec<Field> = base.fields().iter().map(|field| nullable(field)).collect();
    for field in others.flat_map(|schema| schema.fields()) {
        match fields.iter_mut().find(|known| known.name() == field.name()) {
            None => fields.push(nullable(field)),
            Some(known) => {
                let kind = widest(known.data_type(), field.data_type());
                *known = Field::new(known.name(), kind, true);
            }
        }
    }
    Arc::new(Schema::new(fields))
}

fn nullable(field: &Field) -> Field {
    Field::new(field.name(), field.data_type().clone(), true)
}

/// The type that holds values of both: a column that changed its type reads as the wider one.
fn widest(a: &DataType, b: &DataType) -> DataType {
    match (a, b) {
        _ if a == b => a.clone(),
        (DataType::Int64, DataType::Float64) | (DataType::Float64, DataType::Int64) => DataType::Float64,
        _ => DataType::Utf8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widens_numbers_and_falls_back_to_text() {
        assert_eq!(widest(&DataType::Int64, &DataType::Int64), DataType::Int64);
        assert_eq!(widest(&DataType::Int64, &DataType::Float64), DataType::Float64);
        assert_eq!(widest(&DataType::Boolean, &DataType::Float64), DataType::Utf8);
    }
}
