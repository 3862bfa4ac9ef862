//! The fixed part of `cargo xtask chaos`: twenty runs between topics of a real broker, each killed again and again, checked
//! by a program that computes the rows for itself.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use support::job::{TIDEMARK, metrics_folder};
use test_chaos::{Report, Setup};
use test_kafka::outside::Outside;

const RUNS: u64 = 20;

#[test]
fn twenty_runs_lose_double_and_disorder_nothing() {
    let Some(broker) = test_kafka::shared("chaos::twenty_runs_lose_double_and_disorder_nothing") else { return };
    let outside = Outside::new(broker.address());
    let setup = Setup { tidemark: TIDEMARK.into(), metrics: metrics_folder(), outside };
    let next = AtomicU64::new(1);
    // Two at a time: a run mostly waits.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed <= RUNS) {
                    let report = setup.run(seed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                    let Report { kills, lost_disks, verdict } = report;
                    println!("seed {seed}: {kills} kills, {lost_disks} lost disks, {verdict}");
                    assert!(verdict.is_good() && verdict.rows > 20, "seed {seed}: {verdict}");
                }
            });
        }
    });
}
