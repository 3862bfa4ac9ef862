//! Our own counters: what the engine has done, for people and for Prometheus. Never read by the engine itself.

use crate::dead_letter::Reason;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// The sum.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number as of now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// The last value.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One more than there are bounds: the last one counts what is beyond them.
    counts: [Counter; Histogram::BOUNDS_MS.len() + 1],
    total_ns: Counter,
}

impl Histogram {
    /// Upper bounds of the durations that are counted together, in milliseconds: from a write to a fast disk to a store
    /// that is away for a while.
    pub const BOUNDS_MS: [u64; 13] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 60_000];

    /// Counts one that took so long.
    pub fn observe(&self, duration: Duration) {
        let place = Self::BOUNDS_MS.partition_point(|bound| Duration::from_millis(*bound) < duration);
        self.counts[place].add(1);
        self.total_ns.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many were counted at or below each bound, and last how many in all.
    #[must_use]
    pub fn cumulative(&self) -> [u64; Histogram::BOUNDS_MS.len() + 1] {
        let mut below = 0;
        self.counts.each_ref().map(|count| {
            below += count.get();
            below
        })
    }

    /// How long all of them took together.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.total_ns.get())
    }
}

/// Counters of one metric.
#[derive(Debug, Default)]
pub struct StageTelemetry {
    /// Rows that reached it.
    pub rows_in: Counter,
    /// Rows that it emitted.
    pub rows_out: Counter,
    /// Rows too late for it.
    pub late: Counter,
    /// Calls to its module.
    pub calls: Counter,
    /// Groups that failed.
    pub poison: Counter,
    /// Its watermark, in ms.
    pub watermark_ms: Gauge,
    /// 1 while it is quarantined.
    pub quarantined: Gauge,
    /// Nanoseconds spent in its module, over all workers.
    pub guest_ns: Counter,
}

/// Counters of a job.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// Records read, the dead ones included.
    pub records: Counter,
    /// Bytes read.
    pub bytes: Counter,
    /// Events dropped as duplicates.
    pub duplicates: Counter,
    /// Ids forgotten early because the deduplication memory is full.
    pub ids_forgotten: Counter,
    /// Lookups that found a row, by table.
    pub enriched: Counter,
    /// Lookups that found none.
    pub not_enriched: Counter,
    /// Ticks done.
    pub ticks: Counter,
    /// The last committed epoch.
    pub epoch: Gauge,
    /// Nanoseconds the last commit took, from prepare to finalised.
    pub commit_ns: Gauge,
    /// Commits, each from prepare to finalised.
    pub commits: Histogram,
    /// Epochs, each from its first tick, or the end of the one before, to finalised.
    pub epochs: Histogram,
    /// Nanoseconds for which the last change of the metrics held processing up: from one epoch's end to the next tick.
    pub change_ns: Gauge,
    /// The longest that a change has held processing up since the start.
    pub change_max_ns: Gauge,
    /// Changes that took effect since the start.
    pub changes: Counter,
    /// Checkpoints taken.
    pub checkpoints: Counter,
    /// The source's merged watermark, in ms.
    pub watermark_ms: Gauge,
    /// Bytes of state changes not committed yet.
    pub dirty_bytes: Gauge,
    dead: Mutex<BTreeMap<Reason, u64>>,
    stages: Mutex<BTreeMap<String, std::sync::Arc<StageTelemetry>>>,
}

impl Telemetry {
    /// Counts dead letters.
    pub fn add_dead(&self, reason: Reason, amount: u64) {
        if let Ok(mut dead) = self.dead.lock() {
            *dead.entry(reason).or_default() += amount;
        }
    }

    /// Dead letters by reason.
    #[must_use]
    pub fn dead(&self) -> BTreeMap<Reason, u64> {
        self.dead.lock().map(|dead| dead.clone()).unwrap_or_default()
    }

    /// The counters of the metric `name`, made if they are new.
    #[must_use]
    pub fn stage(&self, name: &str) -> std::sync::Arc<StageTelemetry> {
        match self.stages.lock() {
            Ok(mut stages) => stages.entry(name.to_owned()).or_default().clone(),
            Err(_) => std::sync::Arc::default(),
        }
    }

    /// The counters of every metric, by name.
    #[must_use]
    pub fn stages(&self) -> BTreeMap<String, std::sync::Arc<StageTelemetry>> {
        self.stages.lock().map(|stages| stages.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_at_its_bound_and_above() {
        let histogram = Histogram::default();
        for ms in [0, 1, 3, 1_000, 3_600_000] {
            histogram.observe(Duration::from_millis(ms));
        }
        assert_eq!(histogram.cumulative(), [2, 2, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 5]);
        assert_eq!(histogram.total(), Duration::from_millis(3_601_004));
    }
}
