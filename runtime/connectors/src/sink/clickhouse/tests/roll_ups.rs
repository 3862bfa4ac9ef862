//! What roll-ups say is what the rows say.

use super::cold::rows_of_days_ago;
use super::driver::{Bench, Committed, is_there, run_epochs};
use crate::fail_point;
use crate::sink::clickhouse::ClickHouseSink;
use crate::sink::parquet::driver::{metric_rows, metric_table, rows_of};
use std::sync::Arc;
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::Table;
use tidemark_engine::ports::Sink;

/// The table as it is where windows may fire again, or may not.
fn of_replacing(table: &Table, replaces: bool) -> Arc<Table> {
    Arc::new(Table { replaces, ..table.clone() })
}

/// Everything but the quantiles, from the rows.
fn from_rows(bench: &Bench, interval: &str) -> String {
    bench.query(&format!(
        "SELECT key, toStartOfInterval(toDateTime(event_time, 'UTC'), INTERVAL {interval}) AS bucket, count(), \
         count(value), round(sum(value), 6), min(value), max(value) FROM jitter_coefficient FINAL \
         GROUP BY key, bucket ORDER BY key, bucket"
    ))
}

fn from_roll_up(bench: &Bench, step: &str) -> String {
    bench.query(&format!(
        "SELECT key, bucket, rows, value__count, round(value__sum, 6), value__min, value__max \
         FROM jitter_coefficient__{step} ORDER BY key, bucket"
    ))
}

#[test]
fn sums_and_extremes_are_exact_and_quantiles_near() {
    if !is_there("roll_ups::sums_and_extremes_are_exact_and_quantiles_near") {
        return;
    }
    let bench = Bench::new();
    run_epochs(&mut bench.open(fail_point::disabled()), &mut Committed::default(), 6).unwrap();
    assert_eq!(from_roll_up(&bench, "5m"), from_rows(&bench, "5 MINUTE"));
    assert_eq!(from_roll_up(&bench, "1h"), from_rows(&bench, "1 HOUR"));
    // Merged over everything; the sketch is within 1 % of a value that is there.
    let query = "SELECT arrayAll((near, exact) -> abs(near - exact) <= 0.011 * abs(exact), \
                 (SELECT quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(value__quantiles) FROM jitter_coefficient__1h_states), \
                 (SELECT quantilesExactLow(0.5, 0.9, 0.95, 0.99)(value) FROM jitter_coefficient))";
    let exact = bench.query(query);
    assert_eq!(
        exact,
        "1",
        "{}",
        bench.query("SELECT quantilesExact(0.5, 0.9, 0.95, 0.99)(value) FROM jitter_coefficient")
    );
}

#[test]
fn a_window_that_fires_again_counts_once() {
    if !is_there("roll_ups::a_window_that_fires_again_counts_once") {
        return;
    }
    for replacing in [true, false] {
        let bench = Bench::new();
        let mut sink = bench.open(fail_point::disabled());
        sink.recover(Epoch(0), None).unwrap();
        let table = of_replacing(&metric_table("jitter-coefficient"), replacing);
        let first = metric_rows(&table, 1, 50);
        for epoch in 1..=2 {
            // The same row ids, event times and keys, in a later epoch.
            let mut columns = first.columns().to_vec();
            columns[8] = Arc::new(arrow_array::UInt64Array::from(vec![epoch; 50]));
            let rows = arrow_array::RecordBatch::try_new(table.schema.clone(), columns).unwrap();
            sink.write(&table, &rows).unwrap();
            let handle = sink.prepare(Epoch(epoch)).unwrap();
            sink.finalise(Epoch(epoch), &handle).unwrap();
        }
        assert_eq!(bench.query("SELECT count(), min(epoch) FROM jitter_coefficient FINAL"), "50\t2");
        if replacing {
            assert_eq!(from_roll_up(&bench, "5m"), from_rows(&bench, "5 MINUTE"));
            assert_eq!(from_roll_up(&bench, "1h"), from_rows(&bench, "1 HOUR"));
        } else {
            // Why tables tell: a stored state keeps what it was told.
            assert_eq!(bench.query("SELECT sum(rows) FROM jitter_coefficient__1h"), "100");
        }
    }
}

#[test]
fn a_metric_may_begin_or_cease_to_fire_again() {
    if !is_there("roll_ups::a_metric_may_begin_or_cease_to_fire_again") {
        return;
    }
    let bench = Bench::new();
    let mut sink = bench.open(fail_point::disabled());
    sink.recover(Epoch(0), None).unwrap();
    // As it is when a metric gets an allowed lateness, or loses it, while the job runs.
    for (epoch, replacing) in [(1, false), (2, true), (3, false), (4, false), (5, true)] {
        for (table, rows) in rows_of(epoch) {
            sink.write(&of_replacing(&table, replacing), &rows).unwrap();
        }
        let handle = sink.prepare(Epoch(epoch)).unwrap();
        if epoch == 5 {
            // What waits is delivered by the next process, and roll-ups stay what they were made to be.
            drop(sink);
            sink = bench.open(fail_point::disabled());
            sink.recover(Epoch(epoch), Some(&handle)).unwrap();
            let engine = "SELECT engine FROM system.tables WHERE database = currentDatabase() AND \
                          name = 'jitter_coefficient__5m_states'";
            assert_eq!(bench.query(engine), "View");
        } else {
            sink.finalise(Epoch(epoch), &handle).unwrap();
        }
        assert_eq!(from_roll_up(&bench, "5m"), from_rows(&bench, "5 MINUTE"), "after epoch {epoch}");
        assert_eq!(from_roll_up(&bench, "1h"), from_rows(&bench, "1 HOUR"), "after epoch {epoch}");
    }
}

/// Roll-ups are kept for longer than rows. While rows may be replaced they are computed, and neither on the way there nor
/// back do the days go whose rows are gone.
#[test]
fn what_was_stored_outlives_the_time_in_which_rows_may_be_replaced() {
    if !is_there("roll_ups::what_was_stored_outlives_the_time_in_which_rows_may_be_replaced") {
        return;
    }
    let mut bench = Bench::new();
    bench.settings.ttl_days = 2;
    let mut sink = bench.open(fail_point::disabled());
    sink.recover(Epoch(0), None).unwrap();
    let write = |sink: &mut ClickHouseSink, epoch: u64, as_epoch: u64, days: i64, replaces: bool| {
        for (table, rows) in rows_of_days_ago(as_epoch, days) {
            let mut columns = rows.columns().to_vec();
            if let Some((place, _)) = rows.schema().column_with_name("epoch") {
                columns[place] = Arc::new(arrow_array::UInt64Array::from(vec![epoch; rows.num_rows()]));
            }
            let rows = arrow_array::RecordBatch::try_new(rows.schema(), columns).unwrap();
            sink.write(&of_replacing(&table, replaces), &rows).unwrap();
        }
        let handle = sink.prepare(Epoch(epoch)).unwrap();
        sink.finalise(Epoch(epoch), &handle).unwrap();
        handle
    };
    write(&mut sink, 1, 1, 5, false);
    let long_ago = ["5m", "1h"].map(|step| from_roll_up(&bench, step));
    assert!(long_ago.iter().all(|steps| !steps.is_empty()));
    bench.query("OPTIMIZE TABLE jitter_coefficient FINAL");
    assert_eq!(bench.query("SELECT count() FROM jitter_coefficient"), "0", "rows go by their age");
    write(&mut sink, 2, 2, 0, false);
    let both = |what: &str| {
        for ((step, interval), long_ago) in [("5m", "5 MINUTE"), ("1h", "1 HOUR")].into_iter().zip(&long_ago) {
            let today = from_rows(&bench, interval);
            let mut expected: Vec<&str> = long_ago.lines().chain(today.lines()).collect();
            let found = from_roll_up(&bench, step);
            let mut found: Vec<&str> = found.lines().collect();
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected, "{step} {what}");
        }
    };
    both("before");
    // The same rows once more, in place of the first ones.
    let handle = write(&mut sink, 3, 2, 0, true);
    both("while rows are replaced");
    // Another process declares the table as the job's file has it, before it has any rows.
    drop(sink);
    let declared = [of_replacing(&metric_table("jitter-coefficient"), false)];
    let mut sink =
        ClickHouseSink::open(bench.settings.clone(), "job", &bench.outbox(), &declared, fail_point::disabled())
            .unwrap();
    sink.recover(Epoch(3), Some(&handle)).unwrap();
    both("after a start");
    let engine = |what: &str| {
        bench.query(&format!(
            "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'jitter_coefficient__{what}'"
        ))
    };
    assert_eq!(engine("5m_states"), "View", "a start decides nothing");
    write(&mut sink, 4, 4, 0, false);
    both("after it is over");
    assert_eq!((engine("5m_states").as_str(), engine("5m_kept").as_str()), ("AggregatingMergeTree", ""));
    write(&mut sink, 5, 5, 0, false);
    both("and further on");
    // And once more, from what was put together.
    write(&mut sink, 6, 5, 0, true);
    write(&mut sink, 7, 7, 0, false);
    both("after a second time");
}
