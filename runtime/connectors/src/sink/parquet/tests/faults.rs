//! What the sink says and does when the folder is not as it left it.

use super::driver::{Committed, metric_rows, metric_table, run_epochs, settings, tree};
use super::reading::{read, rows_below};
use crate::fail_point;
use crate::sink::parquet::{ParquetSettings, ParquetSink, Selection, step, visible_files};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidemark_engine::descriptor::{ColumnType, OutputColumn};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::Table;
use tidemark_engine::ports::{PortError, Sink};

fn open(folder: &Path, compacted_files: usize) -> ParquetSink {
    ParquetSink::open(folder, settings(compacted_files, 1 << 20), fail_point::disabled()).unwrap()
}

fn stop_message(result: Result<(), PortError>) -> String {
    match result.unwrap_err() {
        PortError::Stop(message) => message,
        PortError::Retry(message) => panic!("must stop: {message}"),
    }
}

/// Five finalised epochs and a sixth that is committed but not finalised.
fn committed_but_not_final(folder: &Path) -> Committed {
    let mut sink = open(folder, 0);
    let mut committed = Committed::default();
    run_epochs(&mut sink, &mut committed, 5).unwrap();
    let table = metric_table("jitter-coefficient");
    sink.write(&table, &metric_rows(&table, 6, 10)).unwrap();
    Committed { epoch: 6, handle: Some(sink.prepare(Epoch(6)).unwrap()) }
}

#[test]
fn a_staged_file_that_changed_or_vanished_is_named() {
    for (damage, expected) in [
        ((|path: &Path| fs::write(path, b"PAR1").unwrap()) as fn(&Path), "is not what the committed epoch wrote"),
        (flip_a_byte, "is not what the committed epoch wrote"),
        (|path| fs::remove_file(path).unwrap(), "a file of the committed epoch is gone"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let committed = committed_but_not_final(folder.path());
        damage(&folder.path().join(".staging/e000000000006/000000.parquet"));
        let message = stop_message(open(folder.path(), 0).recover(Epoch(6), committed.handle.as_deref()));
        assert!(message.contains(expected) && message.contains("000000.parquet"), "{message}");
    }
}

fn flip_a_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn finalising_twice_is_finalising_once() {
    let folder = tempfile::tempdir().unwrap();
    let committed = committed_but_not_final(folder.path());
    let mut sink = open(folder.path(), 0);
    sink.recover(Epoch(6), committed.handle.as_deref()).unwrap();
    let once = tree(folder.path());
    sink.finalise(Epoch(6), committed.handle.as_deref().unwrap()).unwrap();
    assert_eq!(tree(folder.path()), once);
}

#[test]
fn an_uncommitted_epoch_leaves_nothing() {
    let (folder, undisturbed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    committed_but_not_final(folder.path());
    let mut committed = Committed::default();
    run_epochs(&mut open(undisturbed.path(), 0), &mut committed, 5).unwrap();
    open(folder.path(), 0).recover(Epoch(5), committed.handle.as_deref()).unwrap();
    assert_eq!(tree(folder.path()), tree(undisturbed.path()));
}

#[test]
fn going_back_removes_later_rows_where_that_is_possible() {
    let (folder, short) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut committed = Committed::default();
    run_epochs(&mut open(short.path(), 0), &mut committed, 4).unwrap();
    run_epochs(&mut open(folder.path(), 0), &mut Committed::default(), 9).unwrap();
    open(folder.path(), 0).recover(Epoch(4), committed.handle.as_deref()).unwrap();
    assert_eq!(tree(folder.path()), tree(short.path()));
}

/// Where merges took in what is undone, the rows that stay are cut out of the files, whatever dies meanwhile, and the run goes on
/// to the rows of one that never went back.
#[test]
fn going_back_behind_a_merge_keeps_the_rows_that_stay() {
    let mut cut = 0;
    for back in 1..=9 {
        let short = tempfile::tempdir().unwrap();
        let mut committed = Committed::default();
        run_epochs(&mut open(short.path(), 3), &mut committed, back).unwrap();
        let merged = tempfile::tempdir().unwrap();
        run_epochs(&mut open(merged.path(), 3), &mut Committed::default(), 12).unwrap();
        let dies = || {
            let died = catch_unwind(AssertUnwindSafe(|| {
                let die = |name| {
                    if name == step::RECOVER_CUT {
                        resume_unwind(Box::new(name));
                    }
                };
                let mut sink = ParquetSink::open(merged.path(), settings(3, 1 << 20), Arc::new(die)).unwrap();
                sink.recover(Epoch(back), committed.handle.as_deref()).unwrap();
            }));
            died.is_err()
        };
        if dies() {
            cut += 1;
            assert!(dies(), "the file that was cut is cut again");
        }
        let mut sink = open(merged.path(), 3);
        sink.recover(Epoch(back), committed.handle.as_deref()).unwrap();
        assert_eq!(rows_below(merged.path()), rows_below(short.path()), "back to epoch {back}");
        run_epochs(&mut sink, &mut committed, 12).unwrap();
        let undisturbed = tempfile::tempdir().unwrap();
        run_epochs(&mut open(undisturbed.path(), 3), &mut Committed::default(), 12).unwrap();
        assert_eq!(rows_below(merged.path()), rows_below(undisturbed.path()), "from epoch {back} on");
    }
    assert!(cut >= 4, "{cut} of nine moments lie within a merged file");
}

#[test]
fn a_folder_with_rows_is_never_taken_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    run_epochs(&mut open(folder.path(), 0), &mut Committed::default(), 3).unwrap();
    let before = tree(folder.path());
    let message = stop_message(open(folder.path(), 0).recover(Epoch(0), None));
    assert!(message.contains("no committed epoch"), "{message}");
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn a_folder_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path(), 0);
    let second = ParquetSink::open(folder.path(), ParquetSettings::default(), fail_point::disabled());
    let message = stop_message(second.map(|_| ()));
    assert!(message.contains("another process writes"), "{message}");
}

#[test]
fn calls_out_of_order_and_foreign_rows_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path(), 0);
    sink.recover(Epoch(0), None).unwrap();
    let handle = sink.prepare(Epoch(1)).unwrap();
    let message = stop_message(sink.prepare(Epoch(2)).map(|_| ()));
    assert!(message.contains("epoch 2 was prepared before epoch 1 was finalised"), "{message}");
    let message = stop_message(sink.finalise(Epoch(2), &handle));
    assert!(message.contains("handle of 1"), "{message}");
    let rows = metric_rows(&metric_table("a"), 1, 1);
    let message = stop_message(sink.write(&Table::events(), &rows));
    assert!(message.contains("do not fit the table Events"), "{message}");
}

#[test]
fn a_damaged_old_file_only_stops_merging() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path(), 4);
    let mut committed = Committed::default();
    run_epochs(&mut sink, &mut committed, 3).unwrap();
    let files = visible_files(folder.path(), Selection::Metric("jitter-coefficient")).unwrap();
    fs::write(&files[0], b"no longer Parquet").unwrap();
    let damaged: PathBuf = files[0].clone();
    run_epochs(&mut sink, &mut committed, 9).unwrap();
    let files = visible_files(folder.path(), Selection::Metric("jitter-coefficient")).unwrap();
    assert!(files.contains(&damaged));
    assert!(files.iter().filter(|file| **file != damaged).all(|file| !read(file).is_empty()));
}

#[test]
fn files_are_merged_only_with_files_of_the_same_columns() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(folder.path(), 2);
    sink.recover(Epoch(0), None).unwrap();
    let old = metric_table("evolving");
    let column = |name: &str| OutputColumn { name: name.to_owned(), kind: ColumnType::Float, nullable: true };
    let new = Table::metric("evolving", &[column("value"), column("added")]);
    for epoch in 1..=8 {
        let rows = metric_rows(&old, epoch, 5);
        if epoch <= 3 {
            sink.write(&old, &rows).unwrap();
        } else {
            let mut columns = rows.columns().to_vec();
            columns.extend(columns.last().cloned());
            sink.write(&new, &arrow_array::RecordBatch::try_new(new.schema.clone(), columns).unwrap()).unwrap();
        }
        let handle = sink.prepare(Epoch(epoch)).unwrap();
        sink.finalise(Epoch(epoch), &handle).unwrap();
    }
    let files = visible_files(folder.path(), Selection::Metric("evolving")).unwrap();
    let batches: Vec<_> = files.iter().flat_map(|file| read(file)).collect();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 40);
    let with_added = batches.iter().filter(|batch| batch.column_by_name("added").is_some());
    assert_eq!(with_added.map(|batch| batch.num_rows()).sum::<usize>(), 25);
    assert!(files.len() < 8, "{files:?}");
}
