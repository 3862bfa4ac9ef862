//! Rows of the running epoch: held in memory up to a budget, beyond it spilled to disk as sorted runs.
//!
//! What comes out, one sorted sequence of rows per folder, is the same whether and where rows were spilled.

use super::chunk::ChunkBuilder;
use super::file_writer::FileWriter;
use super::layout::{Folders, day};
use super::rows::Rows;
use super::settings::ParquetSettings;
use crate::durable;
use crate::sink::batch_memory::memory_of;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidemark_engine::output::{Table, TableKind};
use tidemark_engine::ports::PortError;

/// Rows of one folder, in memory.
pub(super) struct FolderRows<'a> {
    pub(super) kind: &'a TableKind,
    pub(super) schema: &'a SchemaRef,
    pub(super) folder: String,
    batches: &'a [RecordBatch],
    views: &'a [Rows],
    rows: Vec<(u32, u32)>,
}

impl FolderRows<'_> {
    /// Sorts the rows and writes them to a new file.
    pub(super) fn write(mut self, mut writer: FileWriter) -> Result<durable::Fingerprint, PortError> {
        // Stable: equal rows stay in the order in which they were written.
        self.rows
            .sort_by(|a, b| self.views[a.0 as usize].compare(a.1 as usize, &self.views[b.0 as usize], b.1 as usize));
        let mut chunk = ChunkBuilder::default();
        for batch in self.batches {
            chunk.add_batch(batch.clone());
        }
        let gathered = |error| PortError::Stop(format!("rows of {} cannot be sorted: {error}", self.folder));
        for &(batch, row) in &self.rows {
            let (batch, row) = (batch as usize, row as usize);
            chunk.push(batch, row, self.views[batch].bytes(row));
            if chunk.is_full()
                && let Some(rows) = chunk.take().map_err(gathered)?
            {
                writer.write(&rows)?;
            }
        }
        if let Some(rows) = chunk.take().map_err(gathered)? {
            writer.write(&rows)?;
        }
        writer.finish()
    }
}

/// Rows of one table.
struct PendingTable {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    views: Vec<Rows>,
}

/// A spilled run: part of one folder's rows.
pub(super) type Runs = BTreeMap<String, (TableKind, Vec<PathBuf>)>;

/// What the running epoch holds.
pub(super) struct Pending {
    spill_folder: PathBuf,
    tables: BTreeMap<TableKind, PendingTable>,
    /// Columns of the epoch's tables, spilled ones included.
    schemas: BTreeMap<TableKind, SchemaRef>,
    bytes: u64,
    runs: Runs,
    spills: usize,
}

impl Pending {
    pub(super) fn new(spill_folder: PathBuf) -> Self {
        Self { spill_folder, tables: BTreeMap::new(), schemas: BTreeMap::new(), bytes: 0, runs: Runs::new(), spills: 0 }
    }

    /// Adds rows, and says whether earlier ones were spilled to make room. On an error nothing was added, so the call
    /// may be repeated.
    pub(super) fn add(
        &mut self,
        table: &Arc<Table>,
        rows: &RecordBatch,
        folders: &mut Folders,
        settings: &ParquetSettings,
    ) -> Result<bool, PortError> {
        if rows.num_rows() == 0 {
            return Ok(false);
        }
        let foreign = |detail| PortError::Stop(format!("rows do not fit the table {:?}: {detail}", table.kind));
        if rows.schema_ref().fields() != table.schema.fields() {
            return Err(foreign("their columns are others than the table's".to_owned()));
        }
        let bytes = memory_of(rows);
        if self.schemas.insert(table.kind.clone(), table.schema.clone()).is_some_and(|known| known != table.schema) {
            return Err(foreign("its columns changed within an epoch".to_owned()));
        }
        let view = Rows::of(&table.kind, rows).map_err(foreign)?;
        let spilled = self.bytes > 0 && self.bytes + bytes > settings.buffer_bytes;
        if spilled {
            self.spill(folders, settings)?;
        }
        let pending = self.tables.entry(table.kind.clone()).or_insert_with(|| PendingTable {
            schema: table.schema.clone(),
            batches: Vec::new(),
            views: Vec::new(),
        });
        pending.batches.push(rows.clone());
        pending.views.push(view);
        self.bytes += bytes;
        Ok(spilled)
    }

    /// Runs on disk, empty where the epoch fits in memory.
    pub(super) fn runs(&self) -> &Runs {
        &self.runs
    }

    /// The rows in memory by folder.
    pub(super) fn folders(&self, folders: &mut Folders) -> Result<Vec<FolderRows<'_>>, PortError> {
        let mut all = Vec::new();
        for (kind, table) in &self.tables {
            all.extend(table.folders(kind, folders)?);
        }
        Ok(all)
    }

    /// Moves what is in memory to disk, one sorted run per folder. On an error everything is still in memory.
    pub(super) fn spill(&mut self, folders: &mut Folders, settings: &ParquetSettings) -> Result<(), PortError> {
        let create = durable::create_folders(&self.spill_folder);
        create.map_err(|error| durable::port_error("create", &self.spill_folder, &error))?;
        let mut written = Vec::new();
        for (place, rows) in self.folders(folders)?.into_iter().enumerate() {
            let path = self.spill_folder.join(format!("{:06}-{place:06}.parquet", self.spills));
            let (folder, kind) = (rows.folder.clone(), rows.kind.clone());
            let writer = FileWriter::create_scratch(&path, &kind, rows.schema.clone(), settings)?;
            rows.write(writer)?;
            written.push((folder, kind, path));
        }
        for (folder, kind, path) in written {
            self.runs.entry(folder).or_insert_with(|| (kind, Vec::new())).1.push(path);
        }
        self.spills += 1;
        self.tables.clear();
        self.bytes = 0;
        Ok(())
    }

    /// Forgets everything: the epoch is prepared.
    pub(super) fn clear(&mut self) -> Result<(), PortError> {
        if self.spills > 0 {
            let path: &Path = &self.spill_folder;
            durable::remove_folder(path).map_err(|error| durable::port_error("remove", path, &error))?;
        }
        self.tables.clear();
        self.schemas.clear();
        self.runs.clear();
        (self.bytes, self.spills) = (0, 0);
        Ok(())
    }
}

impl PendingTable {
    fn folders<'a>(&'a self, kind: &'a TableKind, folders: &mut Folders) -> Result<Vec<FolderRows<'a>>, PortError> {
        let mut place_of: FxHashMap<(Option<i64>, &str), usize> = FxHashMap::default();
        let mut place_of_folder: BTreeMap<String, usize> = BTreeMap::new();
        let mut found: Vec<FolderRows<'a>> = Vec::new();
        for (batch_place, batch) in self.batches.iter().enumerate() {
            let columns = PartitionColumns::of(kind, batch);
            for row in 0..batch.num_rows() {
                let partition = columns.get(row);
                let place = match place_of.get(&partition) {
                    Some(&place) => place,
                    None => {
                        let folder = folders.folder(kind, partition.0, partition.1)?;
                        // Different types may share a folder.
                        let place = *place_of_folder.entry(folder.clone()).or_insert(found.len());
                        if place == found.len() {
                            let (batches, views) = (&self.batches, &self.views);
                            found.push(FolderRows { kind, schema: &self.schema, folder, batches, views, rows: vec![] });
                        }
                        place_of.insert(partition, place);
                        place
                    }
                };
                found[place].rows.push((batch_place as u32, row as u32));
            }
        }
        Ok(found)
    }
}

/// The columns that choose a row's folder.
struct PartitionColumns<'a> {
    event_time: Option<&'a arrow_array::TimestampMillisecondArray>,
    event_type: Option<&'a arrow_array::StringArray>,
}

impl<'a> PartitionColumns<'a> {
    fn of(kind: &TableKind, batch: &'a RecordBatch) -> Self {
        let event_time = batch.column_by_name("event_time");
        let event_type = batch.column_by_name("type").filter(|_| *kind == TableKind::Events);
        Self {
            event_time: event_time.and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>()),
            event_type: event_type.and_then(|column| column.as_string_opt()),
        }
    }

    fn get(&self, row: usize) -> (Option<i64>, &'a str) {
        let time = self.event_time.filter(|column| column.is_valid(row)).map(|column| column.value(row));
        (day(time), self.event_type.map_or("", |column| column.value(row)))
    }
}
