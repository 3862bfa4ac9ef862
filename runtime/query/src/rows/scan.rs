//! Looking through the Parquet files of a metric for rows that are wanted, reading as little as can be.
//!
//! A file is sorted by (key, event time). Dates, row groups and pages that cannot hold what is wanted are passed over by
//! folder name and statistics; of the rest the key and the time are read first, and ids only of rows that are left. A key
//! is so found with one or two pages of a file, and a file that is older than what was found already is not opened at all.

use super::Bounds;
use super::Position;
use super::collect::{Collect, Keys, Place};
use crate::QueryError;
use datafusion::arrow::array::cast::AsArray as _;
use datafusion::arrow::array::types::TimestampMillisecondType;
use datafusion::arrow::array::{RecordBatch, StringArray, TimestampMillisecondArray};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::page_index::column_index::ColumnIndexMetaData;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

const KEY: &str = "key";
const EVENT_TIME: &str = "event_time";
const ROW_ID: &str = "row_id";

/// One file that is looked through.
pub(super) struct Scan<'a> {
    pub(super) path: &'a Path,
    /// Its number among the files of the query, by date and epoch.
    pub(super) number: u32,
    pub(super) metadata: &'a ArrowReaderMetadata,
}

impl Scan<'_> {
    /// Offers the rows that are wanted.
    pub(super) fn run(&self, collect: &mut dyn Collect, bounds: &Bounds) -> Result<(), QueryError> {
        let groups = self.metadata.metadata().num_row_groups();
        let mut file = None;
        for group in 0..groups {
            if !self.may_have(group, collect) {
                continue;
            }
            bounds.check_time()?;
            if file.is_none() {
                file = Some(File::open(self.path).map_err(|error| self.unreadable(&error))?);
            }
            let file = file.as_ref().expect("opened above");
            self.run_group(file, group, collect).map_err(|error| self.unreadable(&error))?;
        }
        Ok(())
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> QueryError {
        QueryError::Failed(format!("{} cannot be read: {error}", self.path.display()))
    }

    fn column(&self, name: &str) -> Option<usize> {
        let schema = self.metadata.metadata().file_metadata().schema_descr_ptr();
        schema.columns().iter().position(|column| column.name() == name)
    }

    /// Whether the statistics of a row group leave room for something wanted.
    fn may_have(&self, group: usize, collect: &dyn Collect) -> bool {
        let columns = self.metadata.metadata().row_group(group);
        let statistics = |name| self.column(name).and_then(|place| columns.column(place).statistics());
        let bounds_of = |name| statistics(name).map(|found| (found.min_bytes_opt(), found.max_bytes_opt()));
        if let Some((least, greatest)) = bounds_of(KEY)
            && !overlaps(collect.keys(), least, greatest)
        {
            return false;
        }
        let (from, until) = collect.times();
        let time = |bytes: Option<&[u8]>| bytes.and_then(|bytes| bytes.try_into().ok()).map(i64::from_le_bytes);
        match bounds_of(EVENT_TIME) {
            Some((least, greatest)) => {
                time(least).is_none_or(|least| least <= until) && time(greatest).is_none_or(|greatest| greatest >= from)
            }
            None => true,
        }
    }

    /// Rows of the pages of a group whose keys may be wanted.
    fn wanted_pages(&self, group: usize, keys: Keys<'_>) -> Option<Vec<Range<usize>>> {
        let metadata = self.metadata.metadata();
        let place = self.column(KEY)?;
        let ColumnIndexMetaData::BYTE_ARRAY(pages) = metadata.column_index()?.get(group)?.get(place)? else {
            return None;
        };
        let starts = metadata.offset_index()?.get(group)?.get(place)?.page_locations();
        let rows = usize::try_from(metadata.row_group(group).num_rows()).ok()?;
        let start = |page: usize| starts.get(page).map_or(rows, |page| page.first_row_index as usize);
        let wanted = (0..starts.len()).filter(|page| overlaps(keys, pages.min_value(*page), pages.max_value(*page)));
        Some(wanted.map(|page| start(page)..start(page + 1)).collect())
    }

    fn run_group(&self, file: &File, group: usize, collect: &mut dyn Collect) -> Result<(), ParquetError> {
        let total = usize::try_from(self.metadata.metadata().row_group(group).num_rows()).unwrap_or_default();
        let ranges = match collect.keys() {
            Keys::All => None,
            keys => self.wanted_pages(group, keys),
        };
        #[expect(clippy::single_range_in_vec_init, reason = "one range of rows")]
        let ranges = ranges.unwrap_or_else(|| vec![0..total]);
        let needs_key = collect.keys() != Keys::All;
        let names: &[&str] = if needs_key { &[KEY, EVENT_TIME] } else { &[EVENT_TIME] };
        let mut rows = ranges.iter().cloned().flatten();
        let mut wanted: Vec<usize> = Vec::new();
        let mut keys: Vec<String> = Vec::new();
        let mut times: Vec<i64> = Vec::new();
        for batch in self.read(file, group, names, ranges.iter().cloned())? {
            let batch = batch?;
            let event_times = moments(&batch)?;
            let batch_keys = if needs_key { Some(texts(&batch, KEY)?) } else { None };
            for (index, row) in (0..batch.num_rows()).zip(rows.by_ref()) {
                let key = batch_keys.map_or("", |keys| keys.value(index));
                let time = event_times.value(index);
                if collect.wants(key, time) {
                    wanted.push(row);
                    times.push(time);
                    if needs_key {
                        keys.push(key.to_owned());
                    }
                }
            }
        }
        let mut index = 0;
        for batch in self.read(file, group, &[ROW_ID], consecutive(&wanted))? {
            let batch = batch?;
            let ids = texts(&batch, ROW_ID)?;
            for id in 0..batch.num_rows() {
                let key = keys.get(index).map_or("", String::as_str);
                let place = Place { file: self.number, group: group as u32, row: wanted[index] as u32 };
                // Offers before this one may have made it unwanted, but not wrong.
                collect.offer(key, Position { event_time: times[index], row_id: ids.value(id).to_owned() }, place);
                index += 1;
            }
        }
        Ok(())
    }

    /// Some rows and columns of a group.
    fn read(
        &self,
        file: &File,
        group: usize,
        names: &[&str],
        rows: impl Iterator<Item = Range<usize>>,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, ParquetError>>, ParquetError> {
        let total = usize::try_from(self.metadata.metadata().row_group(group).num_rows()).unwrap_or_default();
        let schema = self.metadata.metadata().file_metadata().schema_descr();
        let mask = ProjectionMask::columns(schema, names.iter().copied());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file.try_clone()?, self.metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_row_selection(RowSelection::from_consecutive_ranges(rows, total))
            .build()?;
        Ok(reader.map(|batch| batch.map_err(ParquetError::from)))
    }
}

/// Whether values from `least` to `greatest`, where they are known, may be wanted. Statistics may be cut short, the least
/// downwards and the greatest upwards, so they are bounds and nothing more.
fn overlaps(keys: Keys<'_>, least: Option<&[u8]>, greatest: Option<&[u8]>) -> bool {
    let (from, until) = match keys {
        Keys::All => return true,
        Keys::One(key) => (Some(key), Some(key)),
        Keys::Between(after, last) => (after, last),
    };
    from.is_none_or(|from| greatest.is_none_or(|greatest| greatest >= from.as_bytes()))
        && until.is_none_or(|until| least.is_none_or(|least| least <= until.as_bytes()))
}

/// Row numbers, ascending, as ranges.
pub(super) fn consecutive(rows: &[usize]) -> impl Iterator<Item = Range<usize>> + '_ {
    rows.chunk_by(|a, b| a + 1 == *b).map(|run| run[0]..run[run.len() - 1] + 1)
}

fn texts<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b StringArray, ParquetError> {
    let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    column.ok_or_else(|| ParquetError::General(format!("the column {name} is missing or is no text")))
}

fn moments(batch: &RecordBatch) -> Result<&TimestampMillisecondArray, ParquetError> {
    let column =
        batch.column_by_name(EVENT_TIME).and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
    column.ok_or_else(|| ParquetError::General(format!("the column {EVENT_TIME} is missing or is no moment")))
}
