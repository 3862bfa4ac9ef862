//! What tests of the sink share: rows that depend on the epoch alone, and the engine's part: commits, deaths, restarts.

use super::{Outside, fresh};
use arrow_array::{
    ArrayRef, BinaryArray, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tidemark_connectors::cleanse::CleanseSettings;
use tidemark_connectors::fail_point::{self, FailPoint};
use tidemark_connectors::sink::kafka::{KafkaSink, KafkaSinkNames, KafkaSinkSettings, MetricsSettings};
use tidemark_engine::descriptor::{ColumnType, OutputColumn};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::Table;
use tidemark_engine::ports::{PortError, Sink};
use tidemark_engine::{Patience, retry};

/// Recovers as the engine does: what may go away by itself, as while brokers agree on who coordinates, is tried again.
pub fn recover(sink: &mut KafkaSink, committed: Epoch, handle: Option<&[u8]>) -> Result<(), PortError> {
    retry(Patience::default(), || sink.recover(committed, handle)).map_err(|error| PortError::Stop(error.to_string()))
}

const TIME_MS: i64 = 1_767_908_945_298;

/// What lookup tables added to an event, as the archive writes it.
pub const ADDED: &str = r#"{"orchestrators.address":"0x1"}"#;

/// A job with a sink, as it is on disk.
pub struct Job {
    pub settings: KafkaSinkSettings,
    pub names: KafkaSinkNames,
    pub folder: tempfile::TempDir,
    /// What the state says.
    pub committed: Epoch,
    pub handle: Option<Vec<u8>>,
    pub rows: u64,
}

impl Job {
    /// A job of its own, whose metrics go to `topic`.
    pub fn new(outside: &Outside, topic: &str) -> Self {
        let metrics = MetricsSettings {
            topic: topic.to_owned(),
            names: ["latency".to_owned()].into(),
            expected: Default::default(),
        };
        let settings = KafkaSinkSettings { metrics: Some(metrics), ..KafkaSinkSettings::new(&outside.address) };
        let names = KafkaSinkNames { job: fresh("job"), sink: "kafka".to_owned(), source_group: None };
        let folder = tempfile::tempdir().expect("a folder");
        Self { settings, names, folder, committed: Epoch(0), handle: None, rows: 10 }
    }

    pub fn outbox(&self) -> PathBuf {
        self.folder.path().join("outbox")
    }

    pub fn group(&self) -> String {
        format!("{}.{}.epoch", self.names.job, self.names.sink)
    }

    pub fn open(&self, fail_point: FailPoint) -> Result<KafkaSink, PortError> {
        open(&self.settings, &self.names, &self.outbox(), fail_point)
    }

    /// A sink that has recovered.
    pub fn recovered(&self) -> Result<KafkaSink, PortError> {
        let mut sink = self.open(fail_point::disabled())?;
        recover(&mut sink, self.committed, self.handle.as_deref())?;
        Ok(sink)
    }

    /// The next epoch, up to the commit point.
    pub fn commit(&mut self, sink: &mut KafkaSink) {
        let epoch = Epoch(self.committed.0 + 1);
        let table = metric_table();
        for part in 0..2 {
            sink.write(&table, &metric_rows(&table, epoch.0, part * self.rows..(part + 1) * self.rows))
                .expect("written");
        }
        let handle = sink.prepare(epoch).expect("prepared");
        (self.committed, self.handle) = (epoch, Some(handle));
    }

    pub fn finalise(&self, sink: &mut KafkaSink) -> Result<(), PortError> {
        sink.finalise(self.committed, self.handle.as_deref().expect("a handle"))
    }

    /// Epochs up to `last`, with a death at the `nth` time that `point` is reached, and a restart after it.
    pub fn run(&mut self, last: u64, point: &'static str, nth: usize) {
        let died = Arc::new(AtomicUsize::new(0));
        while self.committed < Epoch(last) || self.handle.is_none() {
            let count = Arc::clone(&died);
            let dies: FailPoint = Arc::new(move |reached| {
                if reached == point && count.fetch_add(1, Ordering::Relaxed) + 1 == nth {
                    std::panic::panic_any("the process dies");
                }
            });
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let mut sink = self.open(dies).expect("opened");
                recover(&mut sink, self.committed, self.handle.as_deref()).expect("recovered");
                while self.committed < Epoch(last) {
                    self.commit(&mut sink);
                    self.finalise(&mut sink).expect("finalised");
                }
            }));
            if let Err(payload) = outcome {
                assert!(payload.is::<&str>(), "dies only where it should");
            }
        }
        // It may have died with the last epoch.
        self.recovered().expect("recovered");
    }

    /// The ids of all rows up to the last committed epoch.
    pub fn ids(&self) -> Vec<String> {
        (1..=self.committed.0).flat_map(|epoch| (0..2 * self.rows).map(move |row| row_id(epoch, row))).collect()
    }
}

pub fn open(
    settings: &KafkaSinkSettings,
    names: &KafkaSinkNames,
    folder: &Path,
    fail_point: FailPoint,
) -> Result<KafkaSink, PortError> {
    KafkaSink::open(settings.clone(), names, &CleanseSettings::default(), folder, fail_point)
}

/// The row ids in a topic, sorted.
pub fn ids_in(outside: &Outside, topic: &str) -> Vec<String> {
    let mut ids: Vec<String> = outside.read(topic).into_iter().map(|seen| seen.headers["row_id"].clone()).collect();
    ids.sort();
    ids
}

fn row_id(epoch: u64, row: u64) -> String {
    format!("{epoch:08}-{row:08}")
}

pub fn metric_table() -> Arc<Table> {
    Table::metric("latency", &[OutputColumn { name: "value".to_owned(), kind: ColumnType::Float, nullable: true }])
}

pub fn metric_rows(table: &Table, epoch: u64, rows: std::ops::Range<u64>) -> RecordBatch {
    let texts = |text: &dyn Fn(u64) -> String| -> ArrayRef {
        Arc::new(rows.clone().map(text).map(Some).collect::<StringArray>())
    };
    let count = rows.clone().count();
    let columns: Vec<ArrayRef> = vec![
        texts(&|row| format!("key-{}", row % 7)),
        times(vec![Some(TIME_MS); count]),
        times(vec![None; count]),
        times(vec![Some(TIME_MS); count]),
        texts(&|_| "module".to_owned()),
        texts(&|_| "1.2.3".to_owned()),
        texts(&|_| "d1".to_owned()),
        texts(&|_| "c1".to_owned()),
        Arc::new(UInt64Array::from(vec![epoch; count])),
        texts(&|row| row_id(epoch, row)),
        Arc::new(rows.map(|row| (row % 5 != 0).then_some(row as f64)).collect::<Float64Array>()),
    ];
    RecordBatch::try_new(table.schema.clone(), columns).expect("rows")
}

/// Cleansed events, as they came.
pub fn event_rows(table: &Table, raw: &[String]) -> RecordBatch {
    let count = raw.len();
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; count])) };
    let columns: Vec<ArrayRef> = vec![
        times(vec![Some(TIME_MS); count]),
        text("2026-01-08"),
        text("t"),
        text("id"),
        text("input/0"),
        Arc::new(UInt64Array::from_iter_values(0..count as u64)),
        // What lookup tables added to the first one.
        Arc::new((0..count).map(|row| (row == 0).then_some(ADDED)).collect::<StringArray>()),
        Arc::new(UInt64Array::from(vec![1; count])),
        Arc::new(StringArray::from(raw.to_vec())),
    ];
    RecordBatch::try_new(table.schema.clone(), columns).expect("rows")
}

/// Two dead letters: a record that was no JSON, and a group on which a module failed.
pub fn dead_letter_rows(table: &Table) -> RecordBatch {
    let text = |values: [Option<&str>; 2]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let columns: Vec<ArrayRef> = vec![
        text([Some("broken_json"), Some("guest_trap")]),
        text([Some("at byte 1"), Some("unreachable")]),
        text([Some("input/0"), None]),
        Arc::new(UInt64Array::from(vec![Some(17), None])),
        times(vec![None, Some(TIME_MS)]),
        text([None, Some("latency")]),
        text([None, Some("d1")]),
        text([None, Some("key-1")]),
        times(vec![None, Some(TIME_MS - 1)]),
        times(vec![None, Some(TIME_MS + 1)]),
        Arc::new(BinaryArray::from(vec![None, Some(&b"state"[..])])),
        Arc::new(UInt64Array::from(vec![1, 1])),
        Arc::new(BinaryArray::from(vec![&b"\xff{"[..], b"{}"])),
        text([Some("?"), Some("{}")]),
    ];
    RecordBatch::try_new(table.schema.clone(), columns).expect("rows")
}

fn times(times: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC"))
}
