//! A sink that compares: rows of an epoch are held until it is finalised, then looked for among those that were written.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array as _, RecordBatch};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::{Table, TableKind};
use tidemark_engine::ports::{PortError, Sink};
use tidemark_query::rows::{Bounds, RowStore};

/// How long a question about one epoch may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Most bytes of one epoch's rows.
const EPOCH_BYTES: usize = 4 << 30;
/// Rows that are told one by one.
const TOLD: usize = 20;

/// Which rows are compared.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Of this metric.
    pub metric: String,
    /// Of this key only.
    pub key: Option<String>,
    /// With an event time from here on, in ms.
    pub from: Option<i64>,
    /// With an event time before, in ms.
    pub until: Option<i64>,
    /// Since the job began, and not only since the oldest checkpoint.
    pub whole: bool,
}

impl Selection {
    /// Rows of a batch of the metric that are chosen.
    pub(super) fn rows_of(&self, batch: &RecordBatch) -> Vec<usize> {
        let Self { key, from, until, .. } = self;
        let times = batch.column_by_name("event_time").map(|column| column.as_primitive::<TimestampMillisecondType>());
        let wanted = |row: &usize| {
            let time = times.map_or(0, |times| times.value(*row));
            key.as_ref().is_none_or(|key| *key == text(batch, "key", *row))
                && from.is_none_or(|from| time >= from)
                && until.is_none_or(|until| time < until)
        };
        (0..batch.num_rows()).filter(wanted).collect()
    }
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Rows that are the same in every column.
    pub equal: u64,
    /// Rows that differ in some.
    pub different: u64,
    /// Rows that were derived and are not there.
    pub missing: u64,
    /// Rows that are there and were not derived.
    pub surplus: u64,
    /// Rows of before the oldest checkpoint.
    pub not_derivable: u64,
}

/// What came of a verification.
#[derive(Clone, Debug)]
pub struct Report {
    /// The epoch of the oldest state: rows of later epochs are derived.
    pub since: Epoch,
    /// How many.
    pub counts: Counts,
    /// The first rows that are not equal, in words.
    pub told: Vec<String>,
    selection: Selection,
}

impl Report {
    pub(super) fn new(since: Epoch, selection: Selection) -> Self {
        Self { since, counts: Counts::default(), told: Vec::new(), selection }
    }

    /// Whether every row that can be derived is as it was.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let Counts { different, missing, surplus, .. } = self.counts;
        different + missing + surplus == 0
    }

    /// The rows of an epoch that were written, by row id.
    fn written(&self, store: &dyn RowStore, epochs: &str) -> Result<Vec<RecordBatch>, PortError> {
        let view = self.selection.metric.replace('-', "_");
        let query = format!("SELECT * FROM \"{view}\" WHERE {epochs}");
        let answer = store.sql(&query, usize::MAX, Bounds::from_now(PATIENCE, EPOCH_BYTES));
        Ok(answer.map_err(|error| PortError::Stop(format!("the rows cannot be read: {error}")))?.rows)
    }

    pub(super) fn count_underivable(&mut self, store: &dyn RowStore) -> Result<(), PortError> {
        let rows = self.written(store, &format!("epoch <= {}", self.since))?;
        self.counts.not_derivable = rows.iter().map(|batch| self.chosen(batch).len() as u64).sum();
        Ok(())
    }

    fn tell(&mut self, what: &str, batch: &RecordBatch, row: usize) {
        if self.told.len() < TOLD {
            let key = text(batch, "key", row);
            self.told.push(format!("{what}: key {key}, row {}", text(batch, "row_id", row)));
        }
    }

    fn chosen(&self, batch: &RecordBatch) -> Vec<usize> {
        self.selection.rows_of(batch)
    }

    fn compare(&mut self, derived: &[RecordBatch], written: &[RecordBatch]) {
        let mut by_id: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
        for (place, batch) in written.iter().enumerate() {
            for row in self.chosen(batch) {
                by_id.entry(text(batch, "row_id", row)).or_default().push((place, row));
            }
        }
        for batch in derived {
            for row in self.chosen(batch) {
                let candidates = by_id.entry(text(batch, "row_id", row)).or_default();
                // An epoch may have several rows of one id: a window that fired more than once.
                let equal = candidates.iter().position(|(place, other)| same(batch, row, &written[*place], *other));
                match (equal, candidates.is_empty()) {
                    (Some(place), _) => {
                        candidates.remove(place);
                        self.counts.equal += 1;
                    }
                    (None, true) => {
                        self.counts.missing += 1;
                        self.tell("derived, but not there", batch, row);
                    }
                    (None, false) => {
                        candidates.remove(0);
                        self.counts.different += 1;
                        self.tell("different", batch, row);
                    }
                }
            }
        }
        for (place, row) in by_id.into_values().flatten() {
            self.counts.surplus += 1;
            self.tell("there, but not derived", &written[place], row);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { equal, different, missing, surplus, not_derivable } = self.counts;
        writeln!(f, "metric {}, rows of epochs after {}", self.selection.metric, self.since)?;
        writeln!(f, "  equal          {equal}")?;
        writeln!(f, "  different      {different}")?;
        writeln!(f, "  missing        {missing}")?;
        writeln!(f, "  not derived    {surplus}")?;
        write!(f, "  not derivable  {not_derivable}")?;
        if not_derivable > 0 {
            write!(f, " (of before the oldest checkpoint; --whole begins with the job's first epoch)")?;
        }
        self.told.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

fn text(batch: &RecordBatch, column: &str, row: usize) -> String {
    let column = batch.column_by_name(column).and_then(|column| column.as_string_opt::<i32>());
    column.map_or_else(String::new, |column| column.value(row).to_owned())
}

/// Whether two rows are the same, bit for bit, in the columns of the first, and null in all others.
fn same(derived: &RecordBatch, row: usize, written: &RecordBatch, other: usize) -> bool {
    let schema = derived.schema();
    let own = schema.fields().iter().zip(derived.columns()).all(|(field, column)| {
        let found = written.column_by_name(field.name());
        found.is_some_and(|found| column.slice(row, 1).to_data() == found.slice(other, 1).to_data())
    });
    let written_schema = written.schema();
    let mut others = written_schema.fields().iter().zip(written.columns());
    own && others.all(|(field, column)| schema.index_of(field.name()).is_ok() || column.is_null(other))
}

/// The sink.
pub(super) struct Comparing {
    store: Arc<dyn RowStore>,
    report: Arc<Mutex<Report>>,
    rows: Vec<RecordBatch>,
}

impl Comparing {
    pub(super) fn new(store: Arc<dyn RowStore>, report: Arc<Mutex<Report>>) -> Self {
        Self { store, report, rows: Vec::new() }
    }
}

impl Sink for Comparing {
    fn name(&self) -> &str {
        "verify"
    }

    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
        let metric = &self.report.lock().unwrap_or_else(PoisonError::into_inner).selection.metric;
        if table.kind == TableKind::Metric(metric.clone()) {
            self.rows.push(rows.clone());
        }
        Ok(())
    }

    fn prepare(&mut self, _epoch: Epoch) -> Result<Vec<u8>, PortError> {
        Ok(Vec::new())
    }

    fn finalise(&mut self, epoch: Epoch, _handle: &[u8]) -> Result<(), PortError> {
        let derived = std::mem::take(&mut self.rows);
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let written = report.written(&*self.store, &format!("epoch = {epoch}"))?;
        report.compare(&derived, &written);
        Ok(())
    }

    fn recover(&mut self, _committed: Epoch, _handle: Option<&[u8]>) -> Result<(), PortError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float64Array, StringArray, TimestampMillisecondArray};

    /// Row id, key, event time, value.
    type Written<'a> = (&'a str, &'a str, i64, f64);

    fn rows(rows: &[Written<'_>]) -> RecordBatch {
        let texts = |text: fn(&Written<'_>) -> String| {
            Arc::new(rows.iter().map(|row| Some(text(row))).collect::<StringArray>()) as arrow_array::ArrayRef
        };
        let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.2)).with_timezone("UTC");
        let values = Float64Array::from_iter_values(rows.iter().map(|row| row.3));
        RecordBatch::try_from_iter([
            ("row_id", texts(|row| row.0.to_owned())),
            ("key", texts(|row| row.1.to_owned())),
            ("event_time", Arc::new(times) as arrow_array::ArrayRef),
            ("value", Arc::new(values) as arrow_array::ArrayRef),
        ])
        .unwrap()
    }

    #[test]
    fn every_difference_is_one() {
        let mut report = Report::new(Epoch(0), Selection::default());
        let written = rows(&[("1", "a", 1, 0.5), ("2", "a", 2, 0.1 + 0.2), ("2", "a", 2, 7.0), ("4", "b", 4, 1.0)]);
        // A window that fired twice has two rows of one id, in any order.
        let derived = rows(&[("2", "a", 2, 7.0), ("2", "a", 2, 0.3), ("1", "a", 1, 0.5), ("3", "b", 3, 1.0)]);
        report.compare(std::slice::from_ref(&derived), std::slice::from_ref(&written));
        let expected = Counts { equal: 2, different: 1, missing: 1, surplus: 1, not_derivable: 0 };
        assert_eq!((report.counts, report.is_sound(), report.told.len()), (expected, false, 3));
        let selection = Selection { key: Some("a".to_owned()), until: Some(2), ..Selection::default() };
        let mut report = Report::new(Epoch(0), selection);
        report.compare(&[derived], &[written]);
        assert_eq!((report.counts.equal, report.is_sound()), (1, true));
    }
}
