//! Counters of a module's calls, shared by its instances. They only ever grow.

use crate::failure::CallFailure;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The counters.
#[derive(Debug, Default)]
pub struct GuestTelemetry {
    calls: AtomicU64,
    groups: AtomicU64,
    rows: AtomicU64,
    emitted_rows: AtomicU64,
    group_failures: AtomicU64,
    instances: AtomicU64,
    traps: AtomicU64,
    timeouts: AtomicU64,
    memory_limits: AtomicU64,
    malformed: AtomicU64,
    verdicts: AtomicU64,
    busy_nanos: AtomicU64,
    memory_bytes: AtomicU64,
}

/// Their values at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TelemetrySnapshot {
    /// Calls of the engine.
    pub calls: u64,
    /// Groups in them.
    pub groups: u64,
    /// Rows in them.
    pub rows: u64,
    /// Rows emitted.
    pub emitted_rows: u64,
    /// Groups that failed, softly or not.
    pub group_failures: u64,
    /// Instances made: one per worker, and one more after each failed attempt.
    pub instances: u64,
    /// Attempts that trapped.
    pub traps: u64,
    /// Attempts that ran out of time.
    pub timeouts: u64,
    /// Attempts that ran into the memory limit.
    pub memory_limits: u64,
    /// Attempts that returned something malformed.
    pub malformed: u64,
    /// Single groups that were judged by fuel.
    pub verdicts: u64,
    /// Time that workers spent in calls, everything included.
    pub busy: Duration,
    /// The most linear memory that one instance has had.
    pub memory_bytes: u64,
}

impl GuestTelemetry {
    /// The values now.
    #[must_use]
    pub fn snapshot(&self) -> TelemetrySnapshot {
        TelemetrySnapshot {
            calls: self.calls.load(Relaxed),
            groups: self.groups.load(Relaxed),
            rows: self.rows.load(Relaxed),
            emitted_rows: self.emitted_rows.load(Relaxed),
            group_failures: self.group_failures.load(Relaxed),
            instances: self.instances.load(Relaxed),
            traps: self.traps.load(Relaxed),
            timeouts: self.timeouts.load(Relaxed),
            memory_limits: self.memory_limits.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
            verdicts: self.verdicts.load(Relaxed),
            busy: Duration::from_nanos(self.busy_nanos.load(Relaxed)),
            memory_bytes: self.memory_bytes.load(Relaxed),
        }
    }

    pub(crate) fn called(&self, groups: usize, rows: usize, busy: Duration) {
        self.calls.fetch_add(1, Relaxed);
        self.groups.fetch_add(groups as u64, Relaxed);
        self.rows.fetch_add(rows as u64, Relaxed);
        // 2⁶⁴ ns are 584 years.
        self.busy_nanos.fetch_add(busy.as_nanos() as u64, Relaxed);
    }

    pub(crate) fn returned(&self, emitted_rows: usize, group_failures: usize) {
        self.emitted_rows.fetch_add(emitted_rows as u64, Relaxed);
        self.group_failures.fetch_add(group_failures as u64, Relaxed);
    }

    pub(crate) fn holds(&self, memory_bytes: usize) {
        self.memory_bytes.fetch_max(memory_bytes as u64, Relaxed);
    }

    pub(crate) fn instantiated(&self) {
        self.instances.fetch_add(1, Relaxed);
    }

    pub(crate) fn judged(&self) {
        self.verdicts.fetch_add(1, Relaxed);
    }

    pub(crate) fn failed(&self, failure: &CallFailure) {
        let counter = match failure {
            CallFailure::Trap(_) => &self.traps,
            CallFailure::Timeout(_) => &self.timeouts,
            CallFailure::Memory(_) => &self.memory_limits,
            CallFailure::Output(_) => &self.malformed,
        };
        counter.fetch_add(1, Relaxed);
    }
}
