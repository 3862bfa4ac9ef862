//! Memory, processor time and open files of this process, under the names that Prometheus's own clients give them.
//!
//! Read from `/proc`; where there is none, nothing is said.

use super::exposition::{Exposition, Kind};

/// Clock ticks of `/proc/self/stat` in a second: the same on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Appends the families that can be read.
pub(super) fn render(text: &mut Exposition) {
    if let Some(bytes) = status_kib("VmRSS:").map(|kib| kib * 1024.0) {
        text.single("process_resident_memory_bytes", Kind::Gauge, "Resident memory.", bytes);
    }
    if let Some(seconds) = cpu_seconds() {
        text.single("process_cpu_seconds_total", Kind::Counter, "Processor time, user and system.", seconds);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        text.single("process_open_fds", Kind::Gauge, "Open files.", files.count() as f64);
    }
}

/// A line of `/proc/self/status`, in KiB.
fn status_kib(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the program's name, which stands in parentheses and may hold anything, user time is the 12th field.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS_PER_SECOND)
}
