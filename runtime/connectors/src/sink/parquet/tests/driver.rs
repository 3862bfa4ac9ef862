//! Plays the engine's part: rows that depend on the epoch alone, commits, kills and restarts.

use crate::fail_point::FailPoint;
use crate::sink::parquet::{CompactionSettings, ParquetSettings, ParquetSink};
use arrow_array::builder::{BinaryBuilder, StringBuilder, TimestampMillisecondBuilder, UInt64Builder};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array};
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tidemark_engine::descriptor::{ColumnType, OutputColumn};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::Table;
use tidemark_engine::ports::{PortError, Sink};

/// Half a minute before midnight, so that epochs fall on two dates.
const START_MS: i64 = 1_767_916_770_000;

pub(crate) fn settings(compacted_files: usize, buffer_bytes: u64) -> ParquetSettings {
    let compaction = CompactionSettings { files: compacted_files, ..CompactionSettings::default() };
    ParquetSettings { buffer_bytes, compaction, ..ParquetSettings::default() }
}

pub(crate) fn metric_table(name: &str) -> Arc<Table> {
    Table::metric(name, &[OutputColumn { name: "value".to_owned(), kind: ColumnType::Float, nullable: true }])
}

/// `count` rows of a metric, their keys and times scattered, each with a row id of its own.
pub(crate) fn metric_rows(table: &Table, epoch: u64, count: u64) -> RecordBatch {
    let scattered = |row: u64| (epoch * 7919 + row * 104_729) % 97;
    let texts = |text: &dyn Fn(u64) -> String| -> ArrayRef {
        Arc::new((0..count).map(text).map(Some).collect::<StringArray>())
    };
    let times = |shift: i64| -> ArrayRef {
        let values = (0..count).map(|row| START_MS + shift + (epoch * 5000 + scattered(row) * 50) as i64);
        Arc::new(TimestampMillisecondArray::from_iter_values(values).with_timezone("UTC"))
    };
    let columns: Vec<ArrayRef> = vec![
        texts(&|row| format!("key-{:02}", scattered(row) % 13)),
        times(-1000),
        times(0),
        times(0),
        texts(&|_| "module".to_owned()),
        texts(&|_| "1.0.0".to_owned()),
        texts(&|_| "d1".to_owned()),
        texts(&|_| "c1".to_owned()),
        Arc::new(UInt64Array::from_iter_values((0..count).map(|_| epoch))),
        texts(&|row| format!("{epoch:08}-{row:08}")),
        Arc::new((0..count).map(|row| (row % 5 != 0).then_some(row as f64 / 3.0)).collect::<Float64Array>()),
    ];
    RecordBatch::try_new(table.schema.clone(), columns).unwrap()
}

fn event_rows(table: &Table, epoch: u64, count: u64) -> RecordBatch {
    let (mut time, mut texts) = (TimestampMillisecondBuilder::new(), Vec::<StringBuilder>::new());
    texts.resize_with(6, StringBuilder::new);
    let (mut offsets, mut epochs) = (UInt64Builder::new(), UInt64Builder::new());
    for row in 0..count {
        time.append_value(START_MS + (epoch * 5000) as i64 + (row * 37 % 1000) as i64);
        let event_type = ["stream_trace", "../etc", "ai/status"][(row % 3) as usize];
        let values = ["2026-01-08", event_type, "id", "partition-0", "{}", "{\"raw\":true}"];
        texts.iter_mut().zip(values).for_each(|(builder, value)| builder.append_value(value));
        offsets.append_value(epoch * 1000 + row);
        epochs.append_value(epoch);
    }
    let mut texts = texts.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef);
    let mut text = || texts.next().unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(time.finish().with_timezone("UTC")),
        text(),
        text(),
        text(),
        text(),
        Arc::new(offsets.finish()),
        text(),
        Arc::new(epochs.finish()),
        text(),
    ];
    RecordBatch::try_new(table.schema.clone(), columns).unwrap()
}

fn dead_letter_rows(table: &Table, epoch: u64) -> RecordBatch {
    let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value, value])) };
    let number = |value: Option<u64>| -> ArrayRef { Arc::new(UInt64Array::from(vec![value, value])) };
    let times = |values: Vec<Option<i64>>| -> ArrayRef {
        Arc::new(TimestampMillisecondArray::from(values).with_timezone("UTC"))
    };
    let mut bytes = BinaryBuilder::new();
    bytes.append_value(b"\xff{");
    bytes.append_value(b"");
    let mut states = BinaryBuilder::new();
    states.append_null();
    states.append_value(b"state");
    let columns: Vec<ArrayRef> = vec![
        text(Some("broken_json")),
        text(Some("line 1")),
        text(Some("partition-0")),
        number(Some(epoch)),
        times(vec![None, Some(START_MS)]),
        text(None),
        text(None),
        text(None),
        times(vec![None, None]),
        times(vec![None, None]),
        Arc::new(states.finish()),
        number(Some(epoch)),
        Arc::new(bytes.finish()),
        text(Some("?")),
    ];
    RecordBatch::try_new(table.schema.clone(), columns).unwrap()
}

/// What an epoch writes. The fifth exceeds the least buffer.
pub(crate) fn rows_of(epoch: u64) -> Vec<(Arc<Table>, RecordBatch)> {
    let (events, dead_letters) = (Table::events(), Table::dead_letters());
    let (jitter, latency) = (metric_table("jitter-coefficient"), metric_table("latency"));
    let count = if epoch == 5 { 1000 } else { 40 + epoch % 7 };
    let mut all = vec![(jitter.clone(), metric_rows(&jitter, epoch, count))];
    // Some epochs lack a table, and one has no rows at all.
    if !epoch.is_multiple_of(3) {
        all.push((latency.clone(), metric_rows(&latency, epoch, 3)));
        all.push((events.clone(), event_rows(&events, epoch, 30)));
    }
    if epoch.is_multiple_of(4) {
        all.push((dead_letters.clone(), dead_letter_rows(&dead_letters, epoch)));
    }
    if epoch == 7 { Vec::new() } else { all }
}

/// What survives a kill besides the folder: the engine's state.
#[derive(Clone, Default)]
pub(super) struct Committed {
    pub(super) epoch: u64,
    pub(super) handle: Option<Vec<u8>>,
}

/// Runs the epochs after the committed one up to `last`.
pub(super) fn run_epochs(sink: &mut ParquetSink, committed: &mut Committed, last: u64) -> Result<(), PortError> {
    run_observed(sink, committed, last, &mut |_| ())
}

fn run_observed(
    sink: &mut ParquetSink,
    committed: &mut Committed,
    last: u64,
    finalised: &mut dyn FnMut(u64),
) -> Result<(), PortError> {
    sink.recover(Epoch(committed.epoch), committed.handle.as_deref())?;
    for epoch in committed.epoch + 1..=last {
        for (table, rows) in rows_of(epoch) {
            // In pieces, so that a budget can be exceeded in between.
            let half = rows.num_rows() / 2;
            sink.write(&table, &rows.slice(0, half))?;
            sink.write(&table, &rows.slice(half, rows.num_rows() - half))?;
        }
        let handle = sink.prepare(Epoch(epoch))?;
        *committed = Committed { epoch, handle: Some(handle.clone()) };
        sink.finalise(Epoch(epoch), &handle)?;
        finalised(epoch);
    }
    Ok(())
}

/// What was seen of a run.
#[derive(Default)]
pub(crate) struct Run {
    /// The fail points reached.
    pub(super) steps: Vec<&'static str>,
    /// The data files after each epoch that was finalised without a kill.
    files: BTreeMap<u64, Vec<String>>,
}

impl Run {
    /// Whether the folder looked the same after each epoch as in a run without kills.
    pub(super) fn assert_follows(&self, undisturbed: &Self, what: &str) {
        for (epoch, files) in &self.files {
            assert_eq!(files, &undisturbed.files[epoch], "after epoch {epoch}, {what}");
        }
    }
}

/// Runs to the end in a local folder with kills on the way: each at the so manieth call of the fail point after a start.
pub(crate) fn run_with_kills(root: &Path, settings: &ParquetSettings, last: u64, kills: &[usize]) -> Run {
    let open = |fail_point| ParquetSink::open(root, settings.clone(), fail_point).unwrap();
    run_with_kills_in(root, &open, last, kills)
}

/// The same for any sink whose files appear below `root`.
pub(super) fn run_with_kills_in(
    root: &Path,
    open: &dyn Fn(FailPoint) -> ParquetSink,
    last: u64,
    kills: &[usize],
) -> Run {
    let mut committed = Committed::default();
    let reached = Arc::new(Mutex::new(Vec::new()));
    let mut run = Run::default();
    for kill in kills.iter().copied().map(Some).chain([None]) {
        let log = reached.clone();
        let calls = AtomicUsize::new(0);
        let fail_point = move |name| {
            log.lock().unwrap().push(name);
            if Some(calls.fetch_add(1, Ordering::SeqCst) + 1) == kill {
                resume_unwind(Box::new(name));
            }
        };
        let mut sink = open(Arc::new(fail_point));
        let mut finalised = |epoch| {
            run.files.insert(epoch, data_files(root).into_keys().collect());
        };
        let ended =
            catch_unwind(AssertUnwindSafe(|| run_observed(&mut sink, &mut committed, last, &mut finalised).unwrap()));
        if ended.is_ok() {
            break;
        }
    }
    assert_eq!(committed.epoch, last);
    run.steps = Arc::into_inner(reached).unwrap().into_inner().unwrap();
    run
}

/// The files below `root` that readers look at.
pub(crate) fn data_files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let is_data = |name: &str| name.ends_with(".parquet") && !name.starts_with('.');
    tree(root).into_iter().filter(|(name, _)| is_data(name)).collect()
}

/// A new folder, in memory where the machine has a file system there: these tests sync thousands of files, and a killed
/// process, unlike a power loss, keeps what was not synced.
pub(crate) fn folder() -> tempfile::TempDir {
    let in_memory = Path::new("/dev/shm");
    let folder = if in_memory.is_dir() { tempfile::tempdir_in(in_memory) } else { tempfile::tempdir() };
    folder.unwrap()
}

/// Everything below `root`, folders included.
pub(super) fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<_> = root.is_dir().then(|| root.to_owned()).into_iter().collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.insert(format!("{name}/"), Vec::new());
                folders.push(path);
            } else {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Compares trees without printing megabytes.
pub(super) fn assert_same_tree(left: &Path, right: &Path, what: &str) {
    let (left, right) = (tree(left), tree(right));
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>(), "files after {what}");
    for (name, bytes) in &left {
        assert!(right[name] == *bytes, "bytes of {name} after {what}");
    }
}
