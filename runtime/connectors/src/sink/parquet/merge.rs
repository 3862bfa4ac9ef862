//! Merges sorted files into one sorted sequence of chunks: spilled runs of an epoch, and small files in compaction.
//!
//! A stable k-way merge: rows equal in the sort columns come in the order of the files. Memory is bounded by
//! [`READ_BYTES`] over all files, one page per file and column, and one chunk.

use super::chunk::ChunkBuilder;
use super::rows::Rows;
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use std::cmp::Ordering;
use std::fs::File;
use std::path::{Path, PathBuf};
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

/// Decoded rows held over all files.
const READ_BYTES: usize = 32 << 20;
/// Most rows decoded at once from one file.
const READ_ROWS: usize = 1024;

/// A file that cannot be merged.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error("cannot read {path}: {source}")]
    Open { path: PathBuf, source: std::io::Error },
    #[error("{path} is not readable as Parquet: {source}")]
    Parquet { path: PathBuf, source: ParquetError },
    #[error("{path} is damaged: {source}")]
    Rows { path: PathBuf, source: ArrowError },
    #[error("{path} is not a file of this table: {detail}")]
    Table { path: PathBuf, detail: String },
    #[error("{path} has other columns than the files before it")]
    Schema { path: PathBuf },
    #[error(transparent)]
    Storage(#[from] PortError),
    #[error("rows cannot be merged: {0}")]
    Gather(#[from] ArrowError),
}

/// The columns of the file at `path`, read from its footer.
pub(super) fn schema_of(path: &Path) -> Result<SchemaRef, InputError> {
    let (_, metadata) = open(path)?;
    Ok(metadata.schema().clone())
}

fn open(path: &Path) -> Result<(File, ArrowReaderMetadata), InputError> {
    let file = File::open(path).map_err(|source| InputError::Open { path: path.to_owned(), source })?;
    let metadata = ArrowReaderMetadata::load(&file, Default::default())
        .map_err(|source| InputError::Parquet { path: path.to_owned(), source })?;
    Ok((file, metadata))
}

/// Files being merged.
pub(super) struct Merge {
    schema: SchemaRef,
    cursors: Vec<Cursor>,
    /// Cursors with rows left, the one with the least row last.
    order: Vec<usize>,
    chunk: ChunkBuilder,
}

impl Merge {
    /// Opens sorted files of one table; at least one.
    pub(super) fn open(kind: &TableKind, paths: &[PathBuf]) -> Result<Self, InputError> {
        let mut cursors = Vec::with_capacity(paths.len());
        let mut common: Option<SchemaRef> = None;
        for path in paths {
            let (file, metadata) = open(path)?;
            let schema = common.get_or_insert_with(|| metadata.schema().clone());
            if schema != metadata.schema() {
                return Err(InputError::Schema { path: path.clone() });
            }
            cursors.push(Cursor::open(kind, path, file, metadata, READ_BYTES / paths.len())?);
        }
        let schema = common.expect("a merge has at least one file");
        let mut merge = Self { schema, cursors, order: Vec::new(), chunk: ChunkBuilder::default() };
        for index in 0..merge.cursors.len() {
            if merge.cursors[index].advance()? {
                merge.enter(index);
            }
        }
        Ok(merge)
    }

    /// The columns of every file.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows in order; `None` at the end.
    pub(super) fn next_chunk(&mut self) -> Result<Option<RecordBatch>, InputError> {
        while !self.chunk.is_full() {
            let Some(index) = self.order.pop() else { break };
            self.take_run(index)?;
        }
        let chunk = self.chunk.take()?;
        self.chunk.forget_batches();
        for &index in &self.order {
            self.cursors[index].place = None;
        }
        Ok(chunk)
    }

    /// Moves rows of cursor `index`, which has the least, into the chunk while they are the least.
    fn take_run(&mut self, index: usize) -> Result<(), InputError> {
        loop {
            let cursor = &mut self.cursors[index];
            let place = *cursor.place.get_or_insert_with(|| self.chunk.add_batch(cursor.batch.clone()));
            self.chunk.push(place, cursor.row, cursor.rows.bytes(cursor.row));
            if !cursor.advance()? {
                return Ok(());
            }
            let still_least = self.order.last().is_none_or(|&next| self.compare(index, next).is_lt());
            if !still_least || self.chunk.is_full() {
                self.enter(index);
                return Ok(());
            }
        }
    }

    fn enter(&mut self, index: usize) {
        let place = self.order.partition_point(|&other| self.compare(other, index).is_gt());
        self.order.insert(place, index);
    }

    fn compare(&self, left: usize, right: usize) -> Ordering {
        let (a, b) = (&self.cursors[left], &self.cursors[right]);
        a.rows.compare(a.row, &b.rows, b.row).then(left.cmp(&right))
    }
}

/// Where reading one file stands.
struct Cursor {
    kind: TableKind,
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    batch: RecordBatch,
    rows: Rows,
    row: usize,
    /// The batch's name in the running chunk.
    place: Option<usize>,
}

impl Cursor {
    fn open(
        kind: &TableKind,
        path: &Path,
        file: File,
        metadata: ArrowReaderMetadata,
        bytes: usize,
    ) -> Result<Self, InputError> {
        let in_file = |source| InputError::Parquet { path: path.to_owned(), source };
        let empty = RecordBatch::new_empty(metadata.schema().clone());
        let rows = batch_rows(&metadata, bytes);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
        let reader = builder.with_batch_size(rows).build().map_err(in_file)?;
        let rows = Self::rows(kind, path, &empty)?;
        Ok(Self { kind: kind.clone(), path: path.to_owned(), reader, batch: empty, rows, row: 0, place: None })
    }

    fn rows(kind: &TableKind, path: &Path, batch: &RecordBatch) -> Result<Rows, InputError> {
        Rows::of(kind, batch).map_err(|detail| InputError::Table { path: path.to_owned(), detail })
    }

    /// Goes to the next row; false at the end of the file.
    fn advance(&mut self) -> Result<bool, InputError> {
        self.row += 1;
        while self.row >= self.batch.num_rows() {
            match self.reader.next() {
                None => return Ok(false),
                Some(Err(source)) => return Err(InputError::Rows { path: self.path.clone(), source }),
                Some(Ok(batch)) => {
                    self.rows = Self::rows(&self.kind, &self.path, &batch)?;
                    (self.batch, self.row, self.place) = (batch, 0, None);
                }
            }
        }
        Ok(true)
    }
}

/// How many rows to decode at once, so that they take about `bytes`.
fn batch_rows(metadata: &ArrowReaderMetadata, bytes: usize) -> usize {
    let groups = metadata.metadata().row_groups();
    let rows: i64 = groups.iter().map(|group| group.num_rows()).sum();
    let decoded: i64 = groups.iter().map(|group| group.total_byte_size()).sum();
    let row_bytes = usize::try_from(decoded / rows.max(1)).unwrap_or(1).max(1);
    (bytes / row_bytes).clamp(1, READ_ROWS)
}
