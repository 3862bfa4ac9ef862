//! A run that was killed leaves the same rows in every table, and the same roll-ups, as one that was not.

use super::driver::{Bench, is_there, left_in, run_with_kills};
use crate::sink::clickhouse::FAIL_POINTS;
use std::collections::BTreeSet;

const EPOCHS: u64 = 5;

/// Blocks are full before their epoch ends, and there is more than one at a time.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.settings.block_rows = 400;
    bench.settings.inserts_at_once = 2;
    bench
}

/// A roll-up, which depends on nothing but the rows: only the last digits of sums do on the order of adding.
fn roll_up(bench: &Bench, step: &str) -> String {
    let columns = "* REPLACE (round(value__sum, 6) AS value__sum)";
    bench.query(&format!("SELECT {columns} FROM jitter_coefficient__{step} ORDER BY key, bucket"))
}

#[test]
fn every_step_can_be_the_last() {
    if !is_there("crashes::every_step_can_be_the_last") {
        return;
    }
    let undisturbed = bench();
    let steps = run_with_kills(&undisturbed, EPOCHS, &[]);
    assert_eq!(steps.iter().copied().collect::<BTreeSet<_>>(), FAIL_POINTS.into_iter().collect());
    undisturbed.assert_has(EPOCHS, "no kill");
    let (five_minutes, one_hour) = (roll_up(&undisturbed, "5m"), roll_up(&undisturbed, "1h"));
    assert!(five_minutes.lines().count() > 10, "{five_minutes}");
    for (place, step) in steps.iter().enumerate() {
        let killed = bench();
        run_with_kills(&killed, EPOCHS, &[place + 1]);
        let what = format!("a kill at call {} ({step})", place + 1);
        killed.assert_has(EPOCHS, &what);
        assert_eq!(roll_up(&killed, "5m"), five_minutes, "5-minute roll-up after {what}");
        assert_eq!(roll_up(&killed, "1h"), one_hour, "1-hour roll-up after {what}");
        assert_eq!(left_in(&killed.outbox()), ["delivered", "writer.lock"], "{what}");
    }
}

#[test]
fn any_number_of_kills() {
    if !is_there("crashes::any_number_of_kills") {
        return;
    }
    for kills in [&[3, 4, 5, 6, 7][..], &[14, 2, 9], &[9, 9, 9, 9], &[21, 5, 1, 1, 8]] {
        let killed = bench();
        run_with_kills(&killed, EPOCHS, kills);
        killed.assert_has(EPOCHS, &format!("kills at {kills:?}"));
    }
}
