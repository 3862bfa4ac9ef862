//! Whole rows by their places, in the order in which they are asked for.

use super::Bounds;
use super::collect::Place;
use super::scan::consecutive;
use crate::QueryError;
use datafusion::arrow::array::{ArrayRef, RecordBatch, UInt32Array, new_null_array};
use datafusion::arrow::compute::{cast, concat_batches, take_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection};
use datafusion::parquet::errors::ParquetError;
use std::fs::File;
use std::path::Path;

/// The rows at `places`, with the columns of `schema`. `open` finds a file by its number.
pub(super) fn rows<'f>(
    places: &[Place],
    schema: &SchemaRef,
    bounds: &Bounds,
    mut open: impl FnMut(u32) -> Result<(&'f Path, ArrowReaderMetadata), QueryError>,
) -> Result<RecordBatch, QueryError> {
    // In the order of files, and back.
    let mut sorted: Vec<usize> = (0..places.len()).collect();
    sorted.sort_unstable_by_key(|index| places[*index]);
    let mut order = vec![0_u32; places.len()];
    sorted.iter().enumerate().for_each(|(read, asked)| order[*asked] = read as u32);

    let mut batches = Vec::new();
    let mut bytes = 0;
    for chunk in sorted.chunk_by(|a, b| (places[*a].file, places[*a].group) == (places[*b].file, places[*b].group)) {
        bounds.check_time()?;
        let Place { file, group, .. } = places[chunk[0]];
        let rows: Vec<usize> = chunk.iter().map(|index| places[*index].row as usize).collect();
        let (path, metadata) = open(file)?;
        let told =
            |error: &dyn std::fmt::Display| QueryError::Failed(format!("{} cannot be read: {error}", path.display()));
        for batch in read(path, metadata, group as usize, &rows).map_err(|error| told(&error))? {
            let batch = batch.and_then(|batch| conform(&batch, schema)).map_err(|error| told(&error))?;
            bytes += batch.get_array_memory_size();
            bounds.check_bytes(bytes)?;
            batches.push(batch);
        }
    }
    let arrow = |error: ArrowError| QueryError::Failed(error.to_string());
    let read = concat_batches(schema, &batches).map_err(arrow)?;
    take_record_batch(&read, &UInt32Array::from(order)).map_err(arrow)
}

fn read(
    path: &Path,
    metadata: ArrowReaderMetadata,
    group: usize,
    rows: &[usize],
) -> Result<impl Iterator<Item = Result<RecordBatch, ArrowError>>, ParquetError> {
    let total = usize::try_from(metadata.metadata().row_group(group).num_rows()).unwrap_or_default();
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(File::open(path)?, metadata)
        .with_row_groups(vec![group])
        .with_row_selection(RowSelection::from_consecutive_ranges(consecutive(rows), total))
        .build()?;
    Ok(reader)
}

/// `batch` with the columns of `schema`: what an older file lacks is null, what has changed its type is converted.
pub(super) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<Vec<ArrayRef>, _>>()?)
}
