//! What the sink says and does when the server, the database or the outbox is not as it should be.

use super::driver::{Bench, Committed, is_there, run_epochs};
use super::proxy::{Mode, Proxy};
use crate::fail_point;
use crate::sink::clickhouse::ClickHouseSink;
use crate::sink::parquet::driver::{metric_rows, metric_table, rows_of};
use std::sync::Arc;
use test_clickhouse::{Engine, Server, scratch};
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::{PortError, Sink};

fn stop_message(result: Result<(), PortError>) -> String {
    match result.unwrap_err() {
        PortError::Stop(message) => message,
        PortError::Retry(message) => panic!("must stop: {message}"),
    }
}

fn retry_message(result: Result<(), PortError>) -> String {
    match result.unwrap_err() {
        PortError::Retry(message) => message,
        PortError::Stop(message) => panic!("must be worth trying again: {message}"),
    }
}

/// Writes and prepares an epoch.
fn prepared(sink: &mut ClickHouseSink, epoch: u64) -> Vec<u8> {
    for (table, rows) in rows_of(epoch) {
        sink.write(&table, &rows).unwrap();
    }
    sink.prepare(Epoch(epoch)).unwrap()
}

#[test]
fn a_server_that_is_away_is_waited_for_and_caught_up_with() {
    if !is_there("faults::a_server_that_is_away_is_waited_for_and_caught_up_with") {
        return;
    }
    let mut bench = Bench::new();
    let proxy = Proxy::before(&bench.server.url);
    bench.settings.url = proxy.url.clone();
    bench.settings.timeout_ms = 5000;
    let mut sink = bench.open(fail_point::disabled());
    run_epochs(&mut sink, &mut Committed::default(), 3).unwrap();
    let handle = prepared(&mut sink, 4);
    proxy.set(Mode::Away);
    for _ in 0..2 {
        let message = retry_message(sink.finalise(Epoch(4), &handle));
        assert!(message.contains("is the server running? trying again"), "{message}");
    }
    bench.assert_has(3, "the server went away");
    proxy.set(Mode::Pass);
    sink.finalise(Epoch(4), &handle).unwrap();
    bench.assert_has(4, "the server came back");
}

#[test]
fn answers_that_are_lost_double_nothing() {
    if !is_there("faults::answers_that_are_lost_double_nothing") {
        return;
    }
    let mut bench = Bench::new();
    let proxy = Proxy::before(&bench.server.url);
    bench.settings.url = proxy.url.clone();
    bench.settings.block_rows = 100;
    let mut sink = bench.open(fail_point::disabled());
    let mut committed = Committed::default();
    run_epochs(&mut sink, &mut committed, 4).unwrap();
    let handle = prepared(&mut sink, 5);
    proxy.set(Mode::LoseAnswers);
    // The first attempts insert a block and never hear of it.
    assert!(sink.finalise(Epoch(5), &handle).is_err());
    assert!(proxy.lost() > 1, "{} answers were lost", proxy.lost());
    proxy.set(Mode::Pass);
    sink.finalise(Epoch(5), &handle).unwrap();
    bench.assert_has(5, "lost answers");
    let rows = bench.query("SELECT sum(rows) FROM jitter_coefficient__5m");
    assert_eq!(rows, bench.query("SELECT count() FROM jitter_coefficient"));
}

#[test]
fn an_engine_killed_in_the_middle_of_inserts_is_caught_up_with() {
    if !is_there("faults::an_engine_killed_in_the_middle_of_inserts_is_caught_up_with") {
        return;
    }
    let data = scratch("clickhouse-killed");
    let mut engine = Engine::start(&data, 0);
    let port = engine.port();
    let mut bench = Bench::on(engine.server());
    bench.settings.block_rows = 50;
    let mut committed = Committed::default();
    for epoch in 1..=6 {
        // From another thread, at a moment of its own: before, within or behind the inserts of this epoch.
        let delay = std::time::Duration::from_millis(epoch * 7 % 31);
        let mut sink = bench.open(fail_point::disabled());
        let killer = std::thread::spawn(move || {
            std::thread::park_timeout(delay);
            engine.kill();
        });
        let _ = run_epochs(&mut sink, &mut committed, epoch);
        killer.join().unwrap();
        drop(sink);
        engine = Engine::start(&data, port);
        let mut sink = bench.open(fail_point::disabled());
        run_epochs(&mut sink, &mut committed, epoch).unwrap();
        bench.assert_has(epoch, "the engine was killed");
    }
    drop(engine);
    std::fs::remove_dir_all(&data).unwrap();
}

#[test]
fn wrong_credentials_stop_with_a_sentence_and_are_not_shown() {
    if !is_there("faults::wrong_credentials_stop_with_a_sentence_and_are_not_shown") {
        return;
    }
    let mut bench = Bench::new();
    bench.settings.password_file = None;
    bench.settings.password_env = "TIDEMARK_TEST_NO_SUCH_VARIABLE".to_owned();
    if bench.server.password.is_empty() {
        bench.settings.user = "nobody".to_owned();
    }
    let mut sink = bench.open(fail_point::disabled());
    let message = stop_message(sink.recover(Epoch(0), None));
    assert!(message.contains("check user and password"), "{message}");
    let shown = format!("{message}{:?}", bench.settings);
    assert!(!shown.contains(&Server::shared().password) || Server::shared().password.is_empty(), "{shown}");
}

#[test]
fn a_database_belongs_to_one_job() {
    if !is_there("faults::a_database_belongs_to_one_job") {
        return;
    }
    let bench = Bench::new();
    run_epochs(&mut bench.open(fail_point::disabled()), &mut Committed::default(), 1).unwrap();
    let outbox = tempfile::tempdir().unwrap();
    let other = ClickHouseSink::open(bench.settings.clone(), "other", outbox.path(), &[], fail_point::disabled());
    let message = stop_message(other.unwrap().recover(Epoch(0), None));
    assert!(message.contains("belongs to the job job"), "{message}");
}

#[test]
fn a_database_with_rows_is_never_taken_for_a_new_one() {
    if !is_there("faults::a_database_with_rows_is_never_taken_for_a_new_one") {
        return;
    }
    let bench = Bench::new();
    run_epochs(&mut bench.open(fail_point::disabled()), &mut Committed::default(), 3).unwrap();
    let message = stop_message(bench.open(fail_point::disabled()).recover(Epoch(0), None));
    assert!(message.contains("no committed epoch"), "{message}");
    bench.assert_has(3, "a refusal");
}

#[test]
fn going_back_removes_later_rows_and_they_come_again_once() {
    if !is_there("faults::going_back_removes_later_rows_and_they_come_again_once") {
        return;
    }
    let bench = Bench::new();
    let mut at_two = Committed::default();
    run_epochs(&mut bench.open(fail_point::disabled()), &mut at_two, 2).unwrap();
    let mut committed = at_two.clone();
    run_epochs(&mut bench.open(fail_point::disabled()), &mut committed, 5).unwrap();
    let roll_ups = || {
        let columns = "* REPLACE (round(value__sum, 6) AS value__sum)";
        let of = |step| bench.query(&format!("SELECT {columns} FROM jitter_coefficient__{step} ORDER BY key, bucket"));
        (of("5m"), of("1h"))
    };
    let all = roll_ups();
    bench.open(fail_point::disabled()).recover(Epoch(2), at_two.handle.as_deref()).unwrap();
    bench.assert_has(2, "going back");
    for step in ["5m", "1h"] {
        let rows = bench.query(&format!("SELECT sum(rows) FROM jitter_coefficient__{step}"));
        assert_eq!(rows, bench.query("SELECT count() FROM jitter_coefficient"), "roll-up {step} after going back");
    }
    // The same blocks as before, and yet not taken for those.
    run_epochs(&mut bench.open(fail_point::disabled()), &mut at_two, 5).unwrap();
    bench.assert_has(5, "going forth again");
    assert_eq!(roll_ups(), all);
}

#[test]
fn a_lost_outbox_is_made_good_by_running_the_epoch_again() {
    if !is_there("faults::a_lost_outbox_is_made_good_by_running_the_epoch_again") {
        return;
    }
    // The disk was lost before the server had anything, and after it had everything.
    for (delivered, last) in [(false, 4), (true, 4), (true, 1)] {
        let bench = Bench::new();
        let mut sink = bench.open(fail_point::disabled());
        run_epochs(&mut sink, &mut Committed::default(), last - 1).unwrap();
        let handle = prepared(&mut sink, last);
        if delivered {
            sink.finalise(Epoch(last), &handle).unwrap();
        }
        drop(sink);
        std::fs::remove_dir_all(bench.outbox()).unwrap();
        let mut sink = bench.open(fail_point::disabled());
        sink.recover(Epoch(last), Some(&handle)).unwrap();
        assert!(sink.needs_rows());
        bench.assert_has(last - 1, "the outbox was lost");
        let handle = prepared(&mut sink, last);
        sink.finalise(Epoch(last), &handle).unwrap();
        assert!(!sink.needs_rows());
        bench.assert_has(last, "the epoch came again");
        let rows = bench.query("SELECT sum(rows) FROM jitter_coefficient__5m");
        assert_eq!(rows, bench.query("SELECT count() FROM jitter_coefficient"));
    }
}

#[test]
fn an_outbox_that_vanishes_while_the_sink_runs_is_named() {
    if !is_there("faults::an_outbox_that_vanishes_while_the_sink_runs_is_named") {
        return;
    }
    let bench = Bench::new();
    let mut sink = bench.open(fail_point::disabled());
    run_epochs(&mut sink, &mut Committed::default(), 3).unwrap();
    let handle = prepared(&mut sink, 4);
    std::fs::remove_dir_all(bench.outbox().join("e000000000004")).unwrap();
    let message = stop_message(sink.finalise(Epoch(4), &handle));
    assert!(message.contains("committed rows of epoch 4") && message.contains("are gone"), "{message}");
}

#[test]
fn a_damaged_block_is_named_and_not_sent() {
    if !is_there("faults::a_damaged_block_is_named_and_not_sent") {
        return;
    }
    let bench = Bench::new();
    let mut sink = bench.open(fail_point::disabled());
    run_epochs(&mut sink, &mut Committed::default(), 3).unwrap();
    let handle = prepared(&mut sink, 4);
    let path = bench.outbox().join("e000000000004/000000.arrow");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let message = stop_message(sink.finalise(Epoch(4), &handle));
    assert!(message.contains("000000.arrow is not what the committed epoch wrote"), "{message}");
}

#[test]
fn a_table_dropped_by_somebody_comes_back() {
    if !is_there("faults::a_table_dropped_by_somebody_comes_back") {
        return;
    }
    let bench = Bench::new();
    let mut sink = bench.open(fail_point::disabled());
    run_epochs(&mut sink, &mut Committed::default(), 1).unwrap();
    let table = metric_table("jitter-coefficient");
    sink.write(&table, &metric_rows(&table, 2, 10)).unwrap();
    let handle = sink.prepare(Epoch(2)).unwrap();
    for name in ["jitter_coefficient__5m_feed", "jitter_coefficient__1h_feed", "jitter_coefficient"] {
        bench.query(&format!("DROP TABLE {name} SYNC"));
    }
    let message = retry_message(sink.finalise(Epoch(2), &handle));
    assert!(message.contains("it is created again"), "{message}");
    sink.finalise(Epoch(2), &handle).unwrap();
    assert_eq!(bench.query("SELECT count() FROM jitter_coefficient"), "10");
}

#[test]
fn tables_are_there_before_rows_and_events_only_if_wanted() {
    if !is_there("faults::tables_are_there_before_rows_and_events_only_if_wanted") {
        return;
    }
    let mut bench = Bench::new();
    bench.settings.events = false;
    let tables = [metric_table("jitter-coefficient"), tidemark_engine::output::Table::events()];
    let open = || {
        ClickHouseSink::open(bench.settings.clone(), "job", &bench.outbox(), &tables, fail_point::disabled()).unwrap()
    };
    let mut sink = open();
    sink.recover(Epoch(0), None).unwrap();
    assert_eq!(bench.query("SELECT count() FROM jitter_coefficient__1h"), "0");
    run_epochs(&mut sink, &mut Committed::default(), 2).unwrap();
    assert_eq!(bench.query("EXISTS TABLE events"), "0");
}

#[test]
fn calls_out_of_order_are_refused() {
    if !is_there("faults::calls_out_of_order_are_refused") {
        return;
    }
    let bench = Bench::new();
    let mut sink = bench.open(fail_point::disabled());
    sink.recover(Epoch(0), None).unwrap();
    let handle = sink.prepare(Epoch(1)).unwrap();
    let message = stop_message(sink.prepare(Epoch(2)).map(|_| ()));
    assert!(message.contains("epoch 2 was prepared before epoch 1 was finalised"), "{message}");
    let message = stop_message(sink.finalise(Epoch(2), &handle));
    assert!(message.contains("handle of 1"), "{message}");
    let second = ClickHouseSink::open(bench.settings.clone(), "job", &bench.outbox(), &[], Arc::new(|_| ()));
    let message = stop_message(second.map(|_| ()));
    assert!(message.contains("another process writes"), "{message}");
}
