//! What roll-ups say is what the rows say.

use super::driver::{Bench, Committed, is_there, run_epochs};
use crate::fail_point;
use crate::sink::parquet::driver::{metric_rows, metric_table, rows_of};
use std::sync::Arc;
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::Table;
use tidemark_engine::ports::Sink;

/// The table as it is where windows may fire again, or may not.
fn of_refiring(table: &Table, refires: bool) -> Arc<Table> {
    Arc::new(Table { refires, ..table.clone() })
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
    for refiring in [true, false] {
        let bench = Bench::new();
        let mut sink = bench.open(fail_point::disabled());
        sink.recover(Epoch(0), None).unwrap();
        let table = of_refiring(&metric_table("jitter-coefficient"), refiring);
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
        if refiring {
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
    for (epoch, refiring) in [(1, false), (2, true), (3, false), (4, false), (5, true)] {
        for (table, rows) in rows_of(epoch) {
            sink.write(&of_refiring(&table, refiring), &rows).unwrap();
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
