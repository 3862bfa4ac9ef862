//! The same sink over a real S3 protocol leaves the same files, byte for byte, as in a local folder.

use super::driver::{
    Committed, Run, data_files, folder, metric_rows, metric_table, run_epochs, run_with_kills, run_with_kills_in,
    settings,
};
use super::reading::rows_below;
use super::s3_server::S3Server;
use crate::fail_point;
use crate::sink::parquet::{
    FAIL_POINTS, ObjectStoreSettings, ParquetSettings, ParquetSink, Selection, StoreReader, UPLOAD_FAIL_POINTS,
    visible_files,
};
use std::collections::BTreeSet;
use std::path::Path;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::{PortError, Sink};

const EPOCHS: u64 = 6;
const LARGE: u64 = 1 << 20;
/// Spills in the fifth epoch.
const SMALL: u64 = 64 << 10;

fn run(server: &S3Server, scratch: &Path, settings: &ParquetSettings, kills: &[usize]) -> Run {
    let open = |fail_point| ParquetSink::open_store(&server.settings(), scratch, settings.clone(), fail_point).unwrap();
    run_with_kills_in(&server.objects(), &open, EPOCHS, kills)
}

/// Compares without printing megabytes.
fn assert_same_files(left: &Path, right: &Path, what: &str) {
    let (left, right) = (data_files(left), data_files(right));
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>(), "files after {what}");
    for (name, bytes) in &left {
        assert!(right[name] == *bytes, "bytes of {name} after {what}");
    }
}

#[test]
fn every_step_can_be_the_last() {
    for (compacted_files, buffer_bytes) in [(0, LARGE), (2, SMALL)] {
        let settings = settings(compacted_files, buffer_bytes);
        let local = folder();
        let expected = run_with_kills(local.path(), &settings, EPOCHS, &[]);
        let (server, scratch) = (S3Server::start(), folder());
        let undisturbed = run(&server, scratch.path(), &settings, &[]);
        for (place, step) in undisturbed.steps.iter().enumerate() {
            let (server, scratch) = (S3Server::start(), folder());
            let killed = run(&server, scratch.path(), &settings, &[place + 1]);
            let what = format!("a kill at call {} ({step}) with {compacted_files} files", place + 1);
            killed.assert_follows(&expected, &what);
            assert_same_files(local.path(), &server.objects(), &what);
            assert_eq!(server.parts(), Vec::<String>::new(), "parts left after {what}");
            assert_eq!(server.staged(), Vec::<String>::new(), "uploads left after {what}");
        }
    }
}

#[test]
fn every_fail_point_is_reached_and_kills_may_repeat() {
    let settings = settings(2, SMALL);
    let local = folder();
    let expected = run_with_kills(local.path(), &settings, EPOCHS, &[]);
    for kills in [&[][..], &[3, 5, 7, 9], &[12, 1, 1, 6]] {
        let (server, scratch) = (S3Server::start(), folder());
        let killed = run(&server, scratch.path(), &settings, kills);
        let known = FAIL_POINTS.into_iter().chain(UPLOAD_FAIL_POINTS);
        assert_eq!(killed.steps.into_iter().collect::<BTreeSet<_>>(), known.collect());
        assert_same_files(local.path(), &server.objects(), &format!("kills at {kills:?}"));
    }
    assert!(expected.steps.len() > FAIL_POINTS.len());
}

/// Five finalised epochs and a sixth that is committed but not finalised.
fn committed_but_not_final(server: &S3Server, scratch: &Path) -> Committed {
    let mut sink = open(server, scratch);
    run_epochs(&mut sink, &mut Committed::default(), 5).unwrap();
    let table = metric_table("jitter-coefficient");
    sink.write(&table, &metric_rows(&table, 6, 10)).unwrap();
    Committed { epoch: 6, handle: Some(sink.prepare(Epoch(6)).unwrap()) }
}

fn open(server: &S3Server, scratch: &Path) -> ParquetSink {
    ParquetSink::open_store(&server.settings(), scratch, settings(0, LARGE), fail_point::disabled()).unwrap()
}

fn stop_message(result: Result<(), PortError>) -> String {
    match result.unwrap_err() {
        PortError::Stop(message) => message,
        PortError::Retry(message) => panic!("must stop: {message}"),
    }
}

#[test]
fn another_machine_finishes_what_was_committed() {
    let (server, scratch, elsewhere) = (S3Server::start(), folder(), folder());
    let committed = committed_but_not_final(&server, scratch.path());
    let before = data_files(&server.objects()).len();
    // The scratch folder is lost with the machine; what was uploaded is not.
    let mut sink = open(&server, elsewhere.path());
    sink.recover(Epoch(6), committed.handle.as_deref()).unwrap();
    let once = data_files(&server.objects());
    assert_eq!(once.len(), before + 1);
    for _ in 0..2 {
        sink.finalise(Epoch(6), committed.handle.as_deref().unwrap()).unwrap();
        assert!(data_files(&server.objects()) == once, "finalising again changes nothing");
    }
}

#[test]
fn an_uncommitted_epoch_leaves_nothing() {
    let (server, scratch, elsewhere) = (S3Server::start(), folder(), folder());
    let at_five = {
        let mut committed = Committed::default();
        run_epochs(&mut open(&server, scratch.path()), &mut committed, 5).unwrap();
        committed
    };
    let before = data_files(&server.objects());
    let mut sink = open(&server, scratch.path());
    sink.recover(Epoch(5), at_five.handle.as_deref()).unwrap();
    let table = metric_table("jitter-coefficient");
    sink.write(&table, &metric_rows(&table, 6, 10)).unwrap();
    sink.prepare(Epoch(6)).unwrap();
    assert_eq!((server.parts().len(), server.staged().len()), (1, 1));
    drop(sink);
    open(&server, elsewhere.path()).recover(Epoch(5), at_five.handle.as_deref()).unwrap();
    assert!(data_files(&server.objects()) == before);
    assert_eq!((server.parts().len(), server.staged().len()), (0, 0));
}

#[test]
fn going_back_behind_a_merge_keeps_the_rows_that_stay() {
    let (server, scratch, local) = (S3Server::start(), folder(), folder());
    let open = |scratch: &Path| {
        ParquetSink::open_store(&server.settings(), scratch, settings(3, LARGE), fail_point::disabled()).unwrap()
    };
    let short = ParquetSink::open(local.path(), settings(3, LARGE), fail_point::disabled());
    run_epochs(&mut short.unwrap(), &mut Committed::default(), 5).unwrap();
    let mut at_five = Committed::default();
    run_epochs(&mut open(scratch.path()), &mut at_five, 5).unwrap();
    run_epochs(&mut open(scratch.path()), &mut at_five.clone(), 12).unwrap();
    let elsewhere = folder();
    open(elsewhere.path()).recover(Epoch(5), at_five.handle.as_deref()).unwrap();
    assert_eq!(rows_below(&server.objects()), rows_below(local.path()));
    assert_eq!((server.parts().len(), server.staged().len()), (0, 0));
}

#[test]
fn a_file_that_changed_or_vanished_is_named() {
    for (damage, expected) in [
        ((|path: &Path| std::fs::write(path, b"PAR1").unwrap()) as fn(&Path), "is not what the committed epoch wrote"),
        (|path| std::fs::remove_file(path).unwrap(), "jitter-coefficient"),
    ] {
        let (server, scratch) = (S3Server::start(), folder());
        let committed = committed_but_not_final(&server, scratch.path());
        open(&server, scratch.path()).recover(Epoch(6), committed.handle.as_deref()).unwrap();
        let files = data_files(&server.objects());
        let name = files.keys().find(|name| name.contains("jitter") && name.contains("e000000000006")).unwrap();
        damage(&server.objects().join(name));
        let message = stop_message(open(&server, scratch.path()).recover(Epoch(6), committed.handle.as_deref()));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn wrong_credentials_and_buckets_stop_with_a_sentence() {
    let (server, scratch) = (S3Server::start(), folder());
    let mut settings_of = server.settings();
    let credentials = scratch.path().join("credentials");
    std::fs::write(&credentials, "access_key_id = tidemark\nsecret_access_key = guessed\n").unwrap();
    settings_of.credentials_file = Some(credentials);
    let recover = |store| {
        let scratch = folder();
        let sink = ParquetSink::open_store(store, scratch.path(), settings(0, LARGE), fail_point::disabled());
        stop_message(sink.unwrap().recover(Epoch(0), None))
    };
    let message = recover(&settings_of);
    assert!(message.contains("check the credentials") && !message.contains("guessed"), "{message}");
    let mut settings_of = server.settings();
    settings_of.url = "s3://nowhere/prefix".to_owned();
    let message = recover(&settings_of);
    assert!(message.contains("check that the bucket exists"), "{message}");
}

#[test]
fn replaced_files_stay_as_long_as_queries_may_read_them() {
    let (server, scratch) = (S3Server::start(), folder());
    let mut patient = server.settings();
    patient.keep_replaced_s = 3600;
    let files_with = |store: &ObjectStoreSettings, server: &S3Server, scratch: &Path| {
        let sink = ParquetSink::open_store(store, scratch, settings(2, LARGE), fail_point::disabled());
        run_epochs(&mut sink.unwrap(), &mut Committed::default(), EPOCHS).unwrap();
        data_files(&server.objects()).len()
    };
    let kept = files_with(&patient, &server, scratch.path());
    let (other, other_scratch) = (S3Server::start(), folder());
    let removed = files_with(&other.settings(), &other, other_scratch.path());
    assert!(kept > removed, "{kept} with, {removed} without patience");
}

#[test]
fn readers_of_a_store_see_each_row_once() {
    let (server, scratch, local) = (S3Server::start(), folder(), folder());
    // What merged files have replaced stays beside them.
    let patient = ObjectStoreSettings { keep_replaced_s: 3600, ..server.settings() };
    let settings = settings(2, LARGE);
    let sink = ParquetSink::open_store(&patient, scratch.path(), settings.clone(), fail_point::disabled());
    run_epochs(&mut sink.unwrap(), &mut Committed::default(), EPOCHS).unwrap();
    run_with_kills(local.path(), &settings, EPOCHS, &[]);
    let reader = StoreReader::open(&patient).unwrap();
    let mut seen = 0;
    for selection in [Selection::Events, Selection::Metrics, Selection::Metric("latency"), Selection::DeadLetters] {
        let found = block_on(reader.files(selection)).unwrap();
        let found: Vec<String> = found.iter().map(|file| file.location.to_string()).collect();
        let expected = visible_files(local.path(), selection).unwrap();
        let relative = |file: &Path| file.strip_prefix(local.path()).unwrap().to_str().unwrap().to_owned();
        let expected: Vec<String> = expected.iter().map(|file| format!("a job/output/{}", relative(file))).collect();
        assert_eq!(found, expected, "{selection:?}");
        seen += if selection == Selection::Metric("latency") { 0 } else { found.len() };
    }
    assert!(seen < data_files(&server.objects()).len(), "merged files and what they replaced are both there");
    let metrics = block_on(reader.metric_names()).unwrap();
    assert!(metrics.contains(&"latency".to_owned()) && metrics.len() > 1, "{metrics:?}");
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
