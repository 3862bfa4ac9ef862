//! How far a run is: one line on the terminal, renewed a few times a second.
//!
//! Where standard error is not a terminal nothing is printed; the log has the same figures at level `debug`.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};
use tidemark_engine::telemetry::Telemetry;

const TERMINAL_PAUSE: Duration = Duration::from_millis(250);
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// Tells how far a run is.
#[derive(Debug)]
pub struct ProgressLine {
    terminal: bool,
    started: Instant,
    last: Instant,
    last_records: u64,
}

/// The figures of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Records read.
    pub records: u64,
    /// Rows that metrics emitted.
    pub rows: u64,
    /// Dead letters.
    pub dead_letters: u64,
}

impl Totals {
    /// The figures so far.
    #[must_use]
    pub fn of(telemetry: &Telemetry) -> Self {
        Self {
            records: telemetry.records.get(),
            rows: telemetry.stages().values().map(|stage| stage.rows_out.get()).sum(),
            dead_letters: telemetry.dead().values().sum(),
        }
    }
}

impl ProgressLine {
    /// Starts the clock. `quiet` tells the log only, also on a terminal: log lines as JSON must stand alone.
    #[must_use]
    pub fn start(quiet: bool) -> Self {
        let now = Instant::now();
        Self { terminal: !quiet && std::io::stderr().is_terminal(), started: now, last: now, last_records: 0 }
    }

    /// Starts the clock anew: what came before was preparation.
    pub fn restart(&mut self) {
        let now = Instant::now();
        (self.started, self.last) = (now, now);
    }

    /// Says that something takes a while before the run starts.
    pub fn say(&self, what: &str) {
        if self.terminal {
            eprint!("\r\x1b[K{what} …");
            flush();
        }
        tracing::debug!("{what}");
    }

    /// Tells the figures, if enough time has passed since the last ones.
    pub fn update(&mut self, telemetry: &Telemetry) {
        let passed = self.last.elapsed();
        if passed < if self.terminal { TERMINAL_PAUSE } else { LOG_PAUSE } {
            return;
        }
        let totals = Totals::of(telemetry);
        let rate = (totals.records.saturating_sub(self.last_records)) as f64 / passed.as_secs_f64();
        (self.last, self.last_records) = (Instant::now(), totals.records);
        let Totals { records, rows, dead_letters } = totals;
        let epoch = telemetry.epoch.get();
        if self.terminal {
            let (records, rows, rate) = (grouped(records), grouped(rows), grouped(rate as u64));
            eprint!("\r\x1b[K{records} records · {rate}/s · epoch {epoch} · {rows} rows · {dead_letters} dead letters");
            flush();
        }
        tracing::debug!(records, records_per_second = rate as u64, epoch, rows, dead_letters, "progress");
    }

    /// Clears the line.
    pub fn clear(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
            flush();
        }
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

fn flush() {
    // A terminal that takes nothing any more is no reason to stop the run.
    let _ = std::io::stderr().flush();
}

/// A number with a comma between groups of three digits.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let mut groups: Vec<&str> = if head.is_empty() { Vec::new() } else { vec![head] };
    groups.extend(tail.as_bytes().chunks(3).filter_map(|group| std::str::from_utf8(group).ok()));
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_digits() {
        let of = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567"), (100_000, "100,000")];
        of.into_iter().for_each(|(number, text)| assert_eq!(grouped(number), text));
    }
}
