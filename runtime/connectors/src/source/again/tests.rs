//! The log survives a crash anywhere; the source reads it as a partition of its own.

use super::*;
use crate::cleanse::CleanseSettings;
use crate::source::{FileSettings, ReadSettings, RecordSource, SourceKind, SourceSettings};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidemark_engine::ids::{Offset, Partition};
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{Next, Source as _, SourceStart};

fn submission(id: &str, metric: Option<&str>, records: &[&str]) -> Submission {
    let records = records.iter().map(|record| record.as_bytes().to_vec()).collect();
    Submission { id: id.to_owned(), metric: metric.map(str::to_owned), records }
}

fn content(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap_or_default()
}

#[test]
fn nothing_is_submitted_twice_not_even_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = AgainLog::open(folder.path(), 1 << 20).unwrap();
    let all =
        vec![submission("1", None, &["a"]), submission("2", Some("m"), &["b", "c"]), submission("1", None, &["a"])];
    let submitted = log.submit(all).unwrap();
    assert_eq!((submitted.now.len(), submitted.before.len(), submitted.records), (2, 1, 3));
    drop(log);
    let mut log = AgainLog::open(folder.path(), 1 << 20).unwrap();
    assert!(log.has("2") && !log.has("3"));
    let submitted = log.submit(vec![submission("2", Some("m"), &["b"]), submission("3", None, &["d"])]).unwrap();
    assert_eq!((submitted.now, submitted.before), (vec!["3".to_owned()], vec!["2".to_owned()]));
    assert_eq!(content(folder.path(), "events.ndjson"), "a\nd\n");
    assert_eq!(content(folder.path(), "metric=m.ndjson"), "b\nc\n");
}

#[test]
fn a_crash_anywhere_leaves_all_of_a_submission_or_nothing() {
    let whole = tempfile::tempdir().unwrap();
    let mut log = AgainLog::open(whole.path(), 1 << 20).unwrap();
    log.submit(vec![submission("1", None, &["first"])]).unwrap();
    let (redo_before, data_before) = (content(whole.path(), ".submitted"), content(whole.path(), "events.ndjson"));
    log.submit(vec![submission("2", None, &["second", "third"])]).unwrap();
    let (redo, data) = (content(whole.path(), ".submitted"), content(whole.path(), "events.ndjson"));
    // What a crash may leave: the redo log up to any byte; then, it being whole, the data up to any byte.
    let torn_redo = (redo_before.len()..redo.len()).map(|end| (&redo[..end], data_before.as_str()));
    let torn_data = (data_before.len()..=data.len()).map(|end| (redo.as_str(), &data[..end]));
    for (redo, left) in torn_redo.chain(torn_data) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".submitted"), redo).unwrap();
        fs::write(folder.path().join("events.ndjson"), left).unwrap();
        let mut log = AgainLog::open(folder.path(), 1 << 20).unwrap();
        let found = content(folder.path(), "events.ndjson");
        assert_eq!(&found, if log.has("2") { &data } else { &data_before }, "{redo:?} {left:?}");
        log.submit(vec![submission("2", None, &["second", "third"])]).unwrap();
        assert_eq!(content(folder.path(), "events.ndjson"), data);
    }
}

#[test]
fn the_log_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = AgainLog::open(folder.path(), 10).unwrap();
    log.submit(vec![submission("1", None, &["12345"])]).unwrap();
    let refused = log.submit(vec![submission("2", None, &["12345"])]);
    assert!(matches!(refused, Err(AgainError::Full { bytes: 12, most: 10 })), "{refused:?}");
    assert_eq!(content(folder.path(), "events.ndjson"), "12345\n");
}

#[test]
fn what_was_submitted_is_read_beside_the_rest_and_says_for_whom_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (events, again) = (folder.path().join("events.ndjson"), folder.path().join("again"));
    fs::write(&events, "{\"type\":\"a\",\"timestamp\":1767908900001}\n").unwrap();
    let mut log = AgainLog::open(&again, 1 << 20).unwrap();
    log.submit(vec![submission("1", Some("m"), &["{\"type\":\"a\",\"timestamp\":1767908900002}"])]).unwrap();
    let from = SourceKind::File(FileSettings { path: events, follow: false });
    let settings = SourceSettings { from, read: ReadSettings::default() };
    let main = RecordSource::new(settings, CleanseSettings::default());
    let mut source = AgainSource::new(Box::new(main), &again, &ReadSettings::default(), CleanseSettings::default());
    let plan = Arc::new(ExtractionPlan::default());
    source.start(SourceStart { plan, block_records: 10, block_bytes: 1 << 20, ..SourceStart::default() }).unwrap();
    let names = source.partitions().to_vec();
    assert_eq!(names, ["events.ndjson", "again/events.ndjson", "again/metric=m.ndjson"]);
    let for_whom: Vec<_> = (0..3).map(|place| source.again(Partition(place)).map(|again| again.metric)).collect();
    assert_eq!(for_whom, [None, Some(None), Some(Some("m".to_owned()))]);
    let mut read = Vec::new();
    for place in [0, 1, 2] {
        loop {
            match source.next(Partition(place), Duration::ZERO).unwrap() {
                Next::Block(block) => read.push((place, block.event_times.clone(), block.end)),
                Next::Pending => {}
                Next::End => break,
            }
        }
    }
    assert_eq!(read, [(0, vec![1767908900001], Offset(39)), (2, vec![1767908900002], Offset(39))]);
}
