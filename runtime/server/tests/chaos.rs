//! The fixed part of `cargo xtask chaos`: runs between topics of a real broker, each killed again and again, checked by a
//! program that computes the rows for itself.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use support::job::{TIDEMARK, metrics_folder};
use test_chaos::{Report, Setup};
use test_kafka::outside::Outside;

/// With nodes a run takes some twenty seconds, most of which it waits for the dead to be missed.
const RUNS_OF_NODES: u64 = 6;
const RUNS: u64 = 20;

#[test]
fn twenty_runs_lose_double_and_disorder_nothing() {
    // A run mostly waits.
    runs("chaos::twenty_runs_lose_double_and_disorder_nothing", RUNS, 2, |setup, seed| setup.run(seed));
}

#[test]
fn nodes_that_come_go_and_die_lose_double_and_disorder_nothing() {
    let test = "chaos::nodes_that_come_go_and_die_lose_double_and_disorder_nothing";
    runs(test, RUNS_OF_NODES, 3, |setup, seed| setup.run_nodes(seed));
}

/// Makes so many runs, some at a time.
fn runs(test: &str, runs: u64, at_once: usize, run: impl Fn(&Setup, u64) -> Result<Report, String> + Sync) {
    let Some(broker) = test_kafka::shared(test) else { return };
    let outside = Outside::new(broker.address());
    let setup = Setup { tidemark: TIDEMARK.into(), metrics: metrics_folder(), outside };
    let next = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed <= runs) {
                    let report = run(&setup, seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                    let Report { kills, lost_disks, verdict } = report;
                    println!("seed {seed}: {kills} kills, {lost_disks} lost disks, {verdict}");
                    assert!(verdict.is_good() && verdict.rows > 20, "seed {seed}: {verdict}");
                }
            });
        }
    });
}
