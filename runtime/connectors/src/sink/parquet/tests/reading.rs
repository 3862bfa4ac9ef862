//! What lies in the files: every row once, sorted, also while a sink merges and removes.

use super::driver::{
    Committed, assert_same_tree, folder, metric_rows, metric_table, rows_of, run_epochs, run_with_kills, settings,
};
use crate::fail_point;
use crate::sink::json_rows;
use crate::sink::parquet::{ParquetSettings, ParquetSink, ReadHold, Selection, visible_files};
use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMillisecondType, UInt64Type};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::Sink;

pub(super) fn read(path: &Path) -> Vec<RecordBatch> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    builder.build().unwrap().map(Result::unwrap).collect()
}

/// Every row that a reader of the folder sees, as text, sorted.
pub(super) fn rows_below(root: &Path) -> Vec<String> {
    let selections = [Selection::Events, Selection::Metric("jitter-coefficient"), Selection::DeadLetters];
    let files = selections.into_iter().flat_map(|selection| visible_files(root, selection).unwrap());
    let mut text = Vec::new();
    files.flat_map(|file| read(&file)).for_each(|rows| json_rows::append(&rows, &mut text).unwrap());
    let mut rows: Vec<String> = String::from_utf8(text).unwrap().lines().map(str::to_owned).collect();
    rows.sort_unstable();
    rows
}

fn row_ids(files: &[PathBuf]) -> Vec<String> {
    let batches = files.iter().flat_map(|file| read(file));
    let mut ids: Vec<String> = batches
        .flat_map(|batch| {
            let ids = batch.column_by_name("row_id").unwrap().as_string::<i32>().clone();
            (0..ids.len()).map(move |row| ids.value(row).to_owned()).collect::<Vec<_>>()
        })
        .collect();
    ids.sort_unstable();
    ids
}

fn written_ids(metric: &str, last: u64) -> Vec<String> {
    let mut ids = Vec::new();
    for (table, rows) in (1..=last).flat_map(rows_of) {
        if table.kind == TableKind::Metric(metric.to_owned()) {
            let column = rows.column_by_name("row_id").unwrap().as_string::<i32>();
            ids.extend(column.iter().map(|id| id.unwrap().to_owned()));
        }
    }
    ids.sort_unstable();
    ids
}

#[test]
fn every_row_is_there_once_sorted_and_in_its_folder() {
    for compacted_files in [0, 3] {
        let folder = tempfile::tempdir().unwrap();
        run_with_kills(folder.path(), &settings(compacted_files, 1 << 20), 20, &[]);
        let hold = ReadHold::take(folder.path()).unwrap();
        assert_eq!(hold.metric_names().unwrap(), ["jitter-coefficient", "latency"]);
        let files = hold.files(Selection::Metric("jitter-coefficient")).unwrap();
        assert_eq!(row_ids(&files), written_ids("jitter-coefficient", 20));
        assert_eq!(
            hold.files(Selection::Metrics).unwrap().len(),
            files.len() + hold.files(Selection::Metric("latency")).unwrap().len()
        );
        for file in &files {
            let order: Vec<(String, i64)> = read(file).iter().flat_map(order).collect();
            assert!(order.is_sorted(), "{}", file.display());
            let date = file.display().to_string().split("date=").nth(1).unwrap()[..10].to_owned();
            let day = 86_400_000;
            let first_day = 1_767_830_400_000 / day;
            let expected = if date == "2026-01-08" { first_day } else { first_day + 1 };
            assert!(order.iter().all(|(_, time)| time / day == expected), "{}", file.display());
        }
        let events = hold.files(Selection::Events).unwrap();
        let types: Vec<_> = events.iter().map(|file| file.display().to_string()).collect();
        assert!(types.iter().any(|path| path.contains("/type=%2E.%2Fetc/")), "{types:?}");
        let rows: usize = events.iter().flat_map(|file| read(file)).map(|batch| batch.num_rows()).sum();
        let expected = (1..=20_u64).filter(|epoch| !epoch.is_multiple_of(3) && *epoch != 7).count() * 30;
        assert_eq!(rows, expected);
        let dead = hold.files(Selection::DeadLetters).unwrap();
        assert!(dead.iter().any(|file| file.display().to_string().contains("dead_letters/date=unknown/")), "{dead:?}");
        assert_eq!(dead.iter().flat_map(|file| read(file)).map(|batch| batch.num_rows()).sum::<usize>(), 10);
    }
}

fn order(batch: &RecordBatch) -> Vec<(String, i64)> {
    let keys = batch.column_by_name("key").unwrap().as_string::<i32>();
    let times = batch.column_by_name("event_time").unwrap().as_primitive::<TimestampMillisecondType>();
    (0..batch.num_rows()).map(|row| (keys.value(row).to_owned(), times.value(row))).collect()
}

/// One epoch, large enough to be spilled several times with the least buffer; the fail points reached.
fn large_epoch(folder: &Path, buffer_bytes: u64) -> Vec<&'static str> {
    let reached = Arc::new(Mutex::new(Vec::new()));
    let log = reached.clone();
    let settings = ParquetSettings { row_group_rows: 5000, ..settings(0, buffer_bytes) };
    let mut sink = ParquetSink::open(folder, settings, Arc::new(move |name| log.lock().unwrap().push(name))).unwrap();
    sink.recover(Epoch(0), None).unwrap();
    let table = metric_table("large");
    let rows = metric_rows(&table, 1, 12_000);
    let piece = if buffer_bytes > 1 << 20 { 12_000 } else { 100 };
    for start in (0..12_000).step_by(piece) {
        sink.write(&table, &rows.slice(start, piece)).unwrap();
    }
    let handle = sink.prepare(Epoch(1)).unwrap();
    sink.finalise(Epoch(1), &handle).unwrap();
    drop(sink);
    Arc::into_inner(reached).unwrap().into_inner().unwrap()
}

#[test]
fn spilling_changes_no_byte() {
    let (in_memory, spilled) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(!large_epoch(in_memory.path(), 64 << 20).contains(&"sink.write.spilled"));
    let spills = large_epoch(spilled.path(), 64 << 10).iter().filter(|name| **name == "sink.write.spilled").count();
    assert!(spills > 10, "{spills}");
    assert_same_tree(in_memory.path(), spilled.path(), "spilling");
}

#[test]
fn a_held_file_stays_until_it_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = ParquetSink::open(folder.path(), settings(3, 1 << 20), fail_point::disabled()).unwrap();
    let mut committed = Committed::default();
    run_epochs(&mut sink, &mut committed, 3).unwrap();
    let hold = ReadHold::take(folder.path()).unwrap();
    let held = hold.files(Selection::Metrics).unwrap();
    let expected = row_ids(&held);
    run_epochs(&mut sink, &mut committed, 6).unwrap();
    assert!(held.iter().all(|file| file.exists()));
    assert_eq!(row_ids(&held), expected);
    assert_eq!(
        row_ids(&hold.files(Selection::Metric("jitter-coefficient")).unwrap()),
        written_ids("jitter-coefficient", 6)
    );
    drop(hold);
    run_epochs(&mut sink, &mut committed, 8).unwrap();
    assert!(held.iter().any(|file| !file.exists()), "superseded files are removed once nobody holds them");
}

#[test]
fn what_a_reader_kept_goes_at_the_next_start() {
    let (folder, undisturbed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run_with_kills(undisturbed.path(), &settings(3, 1 << 20), 8, &[]);
    let mut committed = Committed::default();
    let open = || ParquetSink::open(folder.path(), settings(3, 1 << 20), fail_point::disabled()).unwrap();
    {
        let mut sink = open();
        run_epochs(&mut sink, &mut committed, 1).unwrap();
        let _hold = ReadHold::take(folder.path()).unwrap();
        run_epochs(&mut sink, &mut committed, 8).unwrap();
    }
    open().recover(Epoch(8), committed.handle.as_deref()).unwrap();
    assert_same_tree(undisturbed.path(), folder.path(), "a reader that held files");
}

#[test]
fn a_reader_beside_the_sink_sees_whole_epochs_once() {
    let folder = folder();
    let last = 40;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut sink = ParquetSink::open(folder.path(), settings(2, 1 << 20), fail_point::disabled()).unwrap();
            run_epochs(&mut sink, &mut Committed::default(), last).unwrap();
            done.store(true, Ordering::SeqCst);
        });
        loop {
            let finished = done.load(Ordering::SeqCst);
            let hold = ReadHold::take(folder.path()).unwrap();
            assert_whole_epochs(&hold.files(Selection::Metric("jitter-coefficient")).unwrap());
            if finished {
                break;
            }
        }
    });
    let files = visible_files(folder.path(), Selection::Metric("jitter-coefficient")).unwrap();
    assert_eq!(row_ids(&files), written_ids("jitter-coefficient", last));
}

/// Within a folder, each epoch that is there is there with every row, once, and none before it is missing.
fn assert_whole_epochs(files: &[PathBuf]) {
    let mut by_folder: BTreeMap<&Path, BTreeMap<u64, Vec<String>>> = BTreeMap::new();
    for file in files {
        for batch in read(file) {
            let epochs = batch.column_by_name("epoch").unwrap().as_primitive::<UInt64Type>();
            let ids = batch.column_by_name("row_id").unwrap().as_string::<i32>();
            let of_folder = by_folder.entry(file.parent().unwrap()).or_default();
            for row in 0..batch.num_rows() {
                of_folder.entry(epochs.value(row)).or_default().push(ids.value(row).to_owned());
            }
        }
    }
    for (folder, epochs) in by_folder {
        let newest = *epochs.keys().next_back().unwrap();
        let first = *epochs.keys().next().unwrap();
        for epoch in (first..=newest).filter(|epoch| *epoch != 7) {
            let mut ids = epochs.get(&epoch).cloned().unwrap_or_default();
            let expected = rows_in_folder(epoch, folder);
            ids.sort_unstable();
            assert_eq!(ids, expected, "epoch {epoch} in {}", folder.display());
        }
    }
}

fn rows_in_folder(epoch: u64, folder: &Path) -> Vec<String> {
    let (_, rows) = rows_of(epoch).into_iter().next().unwrap();
    let times = rows.column_by_name("event_time").unwrap().as_primitive::<TimestampMillisecondType>();
    let ids = rows.column_by_name("row_id").unwrap().as_string::<i32>();
    let date = |ms: i64| if ms < 1_767_916_800_000 { "date=2026-01-08" } else { "date=2026-01-09" };
    let here = |row: &usize| folder.components().any(|part| part.as_os_str() == date(times.value(*row)));
    let mut found: Vec<String> = (0..rows.num_rows()).filter(here).map(|row| ids.value(row).to_owned()).collect();
    found.sort_unstable();
    found
}
