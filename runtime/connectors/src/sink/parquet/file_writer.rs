//! Writes one Parquet file: sorted chunks in, a file and its fingerprint out.

use super::layout::sort_columns;
use super::settings::ParquetSettings;
use crate::durable::{self, Fingerprint, HashingWriter};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

/// Fixed, so that the bytes of a file do not change with a version of this program.
const CREATED_BY: &str = "tidemark";

/// Bounds what a reader that merges many files holds per file and column.
const PAGE_BYTES: usize = 256 << 10;

/// Columns whose values hardly ever repeat: a dictionary would only cost time.
const WITHOUT_DICTIONARY: &[&str] = &["raw", "row_id", "id", "offset", "payload", "payload_text", "state"];

/// An open file.
pub(super) struct FileWriter {
    path: PathBuf,
    writer: ArrowWriter<HashingWriter<BufWriter<File>>>,
    is_durable: bool,
}

impl FileWriter {
    /// Creates the file at `path`, replacing what is there.
    pub(super) fn create(
        path: &Path,
        kind: &TableKind,
        schema: SchemaRef,
        settings: &ParquetSettings,
    ) -> Result<Self, PortError> {
        let file = File::create(path).map_err(|error| durable::port_error("create", path, &error))?;
        let output = HashingWriter::new(BufWriter::with_capacity(256 << 10, file));
        let properties = properties(kind, &schema, settings);
        let writer = ArrowWriter::try_new(output, schema, Some(properties)).map_err(|error| refused(path, error))?;
        Ok(Self { path: path.to_owned(), writer, is_durable: true })
    }

    /// The same for a file that nobody looks for behind a crash.
    pub(super) fn create_scratch(
        path: &Path,
        kind: &TableKind,
        schema: SchemaRef,
        settings: &ParquetSettings,
    ) -> Result<Self, PortError> {
        Ok(Self { is_durable: false, ..Self::create(path, kind, schema, settings)? })
    }

    /// Adds rows behind the earlier ones.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<(), PortError> {
        self.writer.write(rows).map_err(|error| refused(&self.path, error))
    }

    /// Ends the file and makes it durable, if it has to be; the folder's entry is the caller's.
    pub(super) fn finish(self) -> Result<Fingerprint, PortError> {
        let Self { path, writer, is_durable } = self;
        let output = writer.into_inner().map_err(|error| refused(&path, error))?;
        let (mut buffered, fingerprint) = output.finish();
        let sync = |file: &File| if is_durable { file.sync_all() } else { Ok(()) };
        let written = buffered.flush().and_then(|()| sync(buffered.get_ref()));
        written.map_err(|error| durable::port_error("write", &path, &error))?;
        Ok(fingerprint)
    }
}

fn properties(kind: &TableKind, schema: &SchemaRef, settings: &ParquetSettings) -> WriterProperties {
    let level = ZstdLevel::try_new(settings.zstd_level).unwrap_or_default();
    let sorting = sort_columns(kind).iter().filter_map(|name| {
        let column_idx = i32::try_from(schema.index_of(name).ok()?).ok()?;
        Some(SortingColumn { column_idx, descending: false, nulls_first: true })
    });
    let mut builder = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(sorting.collect()))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_max_row_group_row_count(Some(settings.row_group_rows))
        .set_max_row_group_bytes(usize::try_from(settings.row_group_bytes).ok());
    for name in WITHOUT_DICTIONARY {
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(*name), false);
    }
    builder.build()
}

/// What a failed write means: the file system's own reason where there is one.
fn refused(path: &Path, error: ParquetError) -> PortError {
    match error {
        ParquetError::External(inner) if inner.is::<io::Error>() => {
            let error = inner.downcast::<io::Error>().expect("is::<io::Error> was checked");
            durable::port_error("write", path, &error)
        }
        other => PortError::Stop(format!("cannot encode rows for {}: {other}", path.display())),
    }
}
