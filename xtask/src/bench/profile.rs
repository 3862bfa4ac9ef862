//! Where the time of the job goes: every sample of a profile belongs to one part of the runtime.

use super::job::Job;
use super::pinned;
use crate::process::{self, find};
use crate::workspace;
use anyhow::{Result, ensure};
use std::process::{Command, Stdio};

/// Parts of the runtime and the names that tell them, innermost first: the first part with a frame on the stack has the
/// sample. Compiled metrics have no names; perf looks for them in `/tmp/perf-<process>.map`.
const PARTS: [(&str, &[&str]); 7] = [
    ("metrics in the sandbox, and the way there and back", &["tidemark_wasm_host", "wasmtime", "/tmp/perf-"]),
    ("keyed state: cache, timers, RocksDB", &["tidemark_state", "rocksdb"]),
    ("Parquet: sorting, encoding, files", &["tidemark_connectors::sink", "parquet::"]),
    ("decoding JSON into columns", &["tidemark_connectors::cleanse"]),
    ("reading and cutting lines", &["tidemark_connectors::source"]),
    ("engine: routing, grouping, windows, joins", &["tidemark_engine", "tidemark_dataflow"]),
    ("starting and ending", &["tidemark_server", "tidemark::"]),
];

/// Where the stack above libc or the kernel is lost.
const REST: &str = "copying and comparing bytes for any of them, page faults, other threads";

/// Samples a second. Not a round number, so that nothing that is periodic keeps step with it.
const FREQUENCY: &str = "499";

/// Profiles one run of the job with one worker and returns the section for the results.
pub(super) fn run() -> Result<String> {
    ensure!(find("perf").is_some(), "profiling needs perf: on Debian `apt-get install linux-perf`");
    let job = Job::prepare()?;
    process::run(job.tidemark(1)?.stdout(Stdio::null()).stderr(Stdio::null()))?;
    let recording = workspace::root().join("target/bench/perf.data");
    let run = job.tidemark(1)?;
    let mut record = Command::new("perf");
    record.args(["record", "--quiet", "--call-graph", "dwarf,16384", "--freq", FREQUENCY, "--output"]);
    record.arg(&recording).arg("--").arg(run.get_program()).args(run.get_args());
    process::run(record.stdout(Stdio::null()).stderr(Stdio::null()))?;
    let mut script = Command::new("perf");
    // Inlined frames are looked up one by one, which takes minutes, and change no sample's part.
    let stacks = process::output_of(script.args(["script", "--no-inline", "--input"]).arg(&recording))?;
    let (shares, samples) = shares(&stacks);
    ensure!(samples > 0, "perf recorded nothing");
    let rows: Vec<String> = shares.iter().map(|(part, share)| format!("| {part} | {:.0} % |", share * 100.0)).collect();
    let text = format!(
        "The job of the section \"Job\" with one worker, {}: {samples} samples of processor time, each counted for the \
         innermost part of the runtime on its stack. Command: `cargo xtask bench profile`.\n\n\
         | part | share |\n| --- | --- |\n{}\n",
        pinned::describe("0"),
        rows.join("\n"),
    );
    println!("\n{text}");
    Ok(text)
}

/// The share of each part, largest first, and the number of samples in what `perf script` wrote.
fn shares(stacks: &str) -> (Vec<(&'static str, f64)>, usize) {
    let samples: Vec<&str> = stacks.split("\n\n").filter(|sample| !sample.trim().is_empty()).collect();
    let mut counts: Vec<(&str, usize)> =
        PARTS.iter().map(|(part, _)| *part).chain([REST]).map(|part| (part, 0)).collect();
    for sample in &samples {
        // The first line names the thread.
        let frames = sample.split_once('\n').map_or("", |(_, frames)| frames);
        let part = PARTS.iter().position(|(_, names)| names.iter().any(|name| frames.contains(name)));
        counts[part.unwrap_or(PARTS.len())].1 += 1;
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let total = samples.len().max(1) as f64;
    (counts.into_iter().map(|(part, count)| (part, count as f64 / total)).collect(), samples.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_belongs_to_the_innermost_part() {
        let stacks = "tidemark 1 10.0: cycles:\n\t 1 memcmp (libc)\n\t 2 tidemark_state::cache::find (t)\n\t 3 tidemark_engine::step (t)\n\n\
                      tidemark 1 10.1: cycles:\n\t 3 tidemark_engine::step (t)\n\n\
                      tidemark 1 10.2: cycles:\n\t 4 tidemark_engine::step (t)\n\n\
                      tidemark 2 10.3: cycles:\n\t 5 clone3 (libc)\n\n";
        let (shares, samples) = shares(stacks);
        assert_eq!(samples, 4);
        assert_eq!(shares[0], ("engine: routing, grouping, windows, joins", 0.5));
        assert_eq!(shares[1], ("keyed state: cache, timers, RocksDB", 0.25));
        assert_eq!(shares.iter().map(|(_, share)| share).sum::<f64>(), 1.0);
    }
}
