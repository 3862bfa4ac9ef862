//! The embedded store: the Parquet files below a data folder.
//!
//! Pages of rows and newest rows are found by [`scan`](super::scan); SQL and dead letters are DataFusion's.

use super::collect::{Collect, Newest, Page, Place};
use super::footers::Footers;
use super::letters::{self, DeadLetterQuery, LetterPage};
use super::scan::Scan;
use super::{Bounds, LatestPage, LatestQuery, Order, RowPage, RowQuery, RowStore, SqlAnswer, fetch};
use crate::catalogue::MetricTables;
use crate::tables::Tables;
use crate::{QueryError, schema, sql};
use chrono::NaiveDate;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::parquet::arrow::arrow_reader::ArrowReaderMetadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidemark_connectors::sink::parquet::{ReadHold, Selection};
use tidemark_engine::output::{Table, common_fields};

const MS_PER_DAY: i64 = 86_400_000;

/// The rows below one data folder.
pub struct EmbeddedStore {
    data: PathBuf,
    footers: Footers,
    sql_memory: Arc<dyn MemoryPool>,
}

impl EmbeddedStore {
    /// Reads below `data`; all SQL queries at a time share `sql_memory` bytes.
    #[must_use]
    pub fn new(data: &Path, sql_memory: usize) -> Self {
        let sql_memory = Arc::new(GreedyMemoryPool::new(sql_memory));
        Self { data: data.to_owned(), footers: Footers::default(), sql_memory }
    }

    fn hold(&self) -> Result<ReadHold, QueryError> {
        ReadHold::take(&self.data.join("output")).map_err(unreadable)
    }

    fn footer(&self, path: &Path) -> Result<ArrowReaderMetadata, QueryError> {
        let footer = self.footers.get(path);
        footer.map_err(|error| QueryError::Failed(format!("{} cannot be read: {error}", path.display())))
    }

    fn files(&self, hold: &ReadHold, metric: &str) -> Result<Vec<Dated>, QueryError> {
        hold.files(Selection::Metric(metric)).map(dated).map_err(unreadable)
    }

    /// The columns of a metric over the files that have its rows.
    fn schema(&self, metric: &str, files: &[Dated]) -> Result<SchemaRef, QueryError> {
        let known = self.metrics()?;
        let base = match known.metrics.get(metric) {
            Some(columns) => Table::metric(metric, columns).schema.clone(),
            None => Arc::new(Schema::new(common_fields())),
        };
        let mut footers = Vec::with_capacity(files.len());
        for file in files {
            footers.push(self.footer(&file.path)?.schema().clone());
        }
        Ok(schema::union_of(&base, footers.iter().map(|schema| &**schema)))
    }

    /// Looks through the files, in the order in which the most can be passed over.
    fn collect(
        &self,
        files: &[Dated],
        newest_first: bool,
        collect: &mut dyn Collect,
        bounds: &Bounds,
    ) -> Result<(), QueryError> {
        let numbers: Vec<usize> =
            if newest_first { (0..files.len()).rev().collect() } else { (0..files.len()).collect() };
        for number in numbers {
            let file = &files[number];
            let (from, until) = collect.times();
            if file.days.is_some_and(|(first, last)| last < from || first > until) {
                continue;
            }
            bounds.check_time()?;
            let metadata = self.footer(&file.path)?;
            Scan { path: &file.path, number: number as u32, metadata: &metadata }.run(collect, bounds)?;
        }
        Ok(())
    }

    fn fetch(
        &self,
        files: &[Dated],
        places: &[Place],
        metric: &str,
        bounds: &Bounds,
    ) -> Result<datafusion::arrow::array::RecordBatch, QueryError> {
        let schema = self.schema(metric, files)?;
        fetch::rows(places, &schema, bounds, |number| {
            let path = files[number as usize].path.as_path();
            Ok((path, self.footer(path)?))
        })
    }
}

impl RowStore for EmbeddedStore {
    fn metrics(&self) -> Result<MetricTables, QueryError> {
        let mut tables = MetricTables::read(&self.data).map_err(unreadable)?;
        for name in self.hold()?.metric_names().map_err(unreadable)? {
            tables.metrics.entry(name).or_default();
        }
        Ok(tables)
    }

    fn columns(&self, metric: &str) -> Result<Option<SchemaRef>, QueryError> {
        let hold = self.hold()?;
        let files = self.files(&hold, metric)?;
        if files.is_empty() && !self.metrics()?.metrics.contains_key(metric) {
            return Ok(None);
        }
        self.schema(metric, &files).map(Some)
    }

    fn rows(&self, query: &RowQuery, bounds: Bounds) -> Result<RowPage, QueryError> {
        let hold = self.hold()?;
        let files = self.files(&hold, &query.metric)?;
        let times = inclusive(query.from, query.until);
        let mut page = Page::new(query.key.as_deref(), times, query.order, query.after.as_ref(), query.limit);
        self.collect(&files, query.order == Order::Descending, &mut page, &bounds)?;
        let (found, more) = page.finish();
        let places: Vec<Place> = found.iter().map(|(_, place)| *place).collect();
        let rows = self.fetch(&files, &places, &query.metric, &bounds)?;
        let next = found.into_iter().next_back().filter(|_| more).map(|(position, _)| position);
        Ok(RowPage { rows, next })
    }

    fn latest(&self, query: &LatestQuery, bounds: Bounds) -> Result<LatestPage, QueryError> {
        let hold = self.hold()?;
        let files = self.files(&hold, &query.metric)?;
        let times = inclusive(query.from, query.until);
        let (found, more) = if query.keys.is_empty() {
            let mut newest = Newest::new(times, query.after.as_deref(), query.limit);
            self.collect(&files, true, &mut newest, &bounds)?;
            newest.finish()
        } else {
            // Key by key: each is found in a few pages of the newest files, whatever else they hold.
            let mut keys: Vec<&String> = query.keys.iter().collect();
            keys.sort_unstable();
            keys.dedup();
            keys.retain(|key| query.after.as_ref().is_none_or(|after| *key > after));
            let mut found = Vec::new();
            for key in keys.iter().take(query.limit) {
                let mut page = Page::new(Some(key), times, Order::Descending, None, 1);
                self.collect(&files, true, &mut page, &bounds)?;
                found.extend(page.finish().0.into_iter().map(|(_, place)| ((*key).clone(), place)));
            }
            (found, keys.len() > query.limit)
        };
        let places: Vec<Place> = found.iter().map(|(_, place)| *place).collect();
        let rows = self.fetch(&files, &places, &query.metric, &bounds)?;
        let next = found.into_iter().next_back().filter(|_| more).map(|(key, _)| key);
        Ok(LatestPage { rows, next })
    }

    fn dead_letters(&self, query: &DeadLetterQuery, bounds: Bounds) -> Result<LetterPage, QueryError> {
        let answer = self.sql(&letters::select(query, letters::Dialect::DataFusion), query.limit + 1, bounds)?;
        letters::page(answer, query.limit)
    }

    fn sql(&self, query: &str, rows: usize, bounds: Bounds) -> Result<SqlAnswer, QueryError> {
        let tables = async { Tables::open_folder(&self.data) };
        sql::answer(tables, query, self.sql_memory.clone(), rows, bounds)
    }
}

/// The folder cannot be read.
fn unreadable(error: io::Error) -> QueryError {
    QueryError::Failed(format!("the data folder cannot be read: {error}"))
}

/// A file, and the event times that its rows can have by its folder's date, both included.
struct Dated {
    path: PathBuf,
    days: Option<(i64, i64)>,
}

fn dated(files: Vec<PathBuf>) -> Vec<Dated> {
    let files = files.into_iter().map(|path| {
        let date = path.components().find_map(|part| part.as_os_str().to_str()?.strip_prefix("date="));
        let date = date.and_then(|date| date.parse::<NaiveDate>().ok()).and_then(|date| date.and_hms_opt(0, 0, 0));
        let days = date.map(|midnight| {
            let first = midnight.and_utc().timestamp_millis();
            (first, first + MS_PER_DAY - 1)
        });
        Dated { path, days }
    });
    files.collect()
}

/// A half-open range of times with both ends included.
fn inclusive(from: Option<i64>, until: Option<i64>) -> (i64, i64) {
    (from.unwrap_or(i64::MIN), until.map_or(i64::MAX, |until| until.saturating_sub(1)))
}
