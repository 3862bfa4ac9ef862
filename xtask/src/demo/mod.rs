//! `cargo xtask demo`: from a clean clone to metrics that a person understands, with a crash on the way.
//!
//! It works in `target/demo/` and starts anew each time; nothing else is touched.

mod crash;
mod same_files;
mod tables;

use crate::{metrics, process, setup, workspace};
use anyhow::{Context as _, Result};
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const EVENTS: &str = "1000000";
const STREAMS: &str = "100";
const SEED: &str = "7";

/// Seen from the root of the workspace, like everything that the demo shows.
const CONFIG: &str = "examples/livepeer/tidemark.toml";
const TIDEMARK: &str = "target/release/tidemark";
const INPUT: &str = "target/demo/events.ndjson";
const UNDISTURBED: &str = "target/demo/undisturbed";
const CRASHED: &str = "target/demo/data";

/// Shows all of it, in five steps.
pub(crate) fn run() -> Result<()> {
    step(1, "Set-up: tools, metrics (Rust to WebAssembly) and the runtime");
    setup::for_the_build()?;
    metrics::run()?;
    build()?;

    step(2, "A million events, as gateways of a video AI network send them");
    let folder = workspace::root().join("target/demo");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let generate = ["generate", "--events", EVENTS, "--streams", STREAMS, "--seed", SEED, "--out", INPUT];
    process::run(shown(tidemark().args(generate)))?;
    let bytes = fs::metadata(workspace::root().join(INPUT))?.len();
    println!("  {} MB: out of order, some late, some twice, some lost, some broken", bytes / 1_000_000);

    step(3, "The job: cleanse, correlate, aggregate by event time, write Parquet");
    println!("  every event is parsed, checked, deduplicated, enriched and archived; state is in RocksDB");
    process::run(shown(&mut job(UNDISTURBED)))?;

    step(4, "The same job, killed half way, started again");
    crash::run()?;
    let same = same_files::compare(&output(UNDISTURBED), &output(CRASHED))?;
    println!(
        "  {same} Parquet files, byte for byte those of the run that nobody disturbed: nothing lost, nothing twice"
    );

    step(5, "What came out");
    tables::show()?;
    println!("{NEXT}");
    Ok(())
}

const NEXT: &str = "
Try next
  alias tidemark=$PWD/target/release/tidemark
  tidemark sql --data target/demo/data \"SHOW TABLES\"
  tidemark sql --data target/demo/data --format csv \"SELECT * FROM jitter_coefficient LIMIT 10\"
  tidemark sql --data target/demo/data \"SELECT reason, detail, payload_text FROM dead_letters LIMIT 5\"
  tidemark module inspect target/metrics/jitter-coefficient.wasm
  tidemark run examples/livepeer/tidemark.toml --input YOUR_EVENTS.ndjson --data ./data
  cargo xtask bench        # how fast, against a plain program
  metrics-wasm/            # the metrics: copy one to write your own";

fn step(number: u32, title: &str) {
    let (bold, plain) = if std::io::stdout().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    println!("\n{bold}[{number}/5] {title}{plain}");
}

/// The whole workspace is chosen so that dependencies have the features that they have for tests, too.
fn build() -> Result<()> {
    if !workspace::built("tidemark").is_file() {
        println!("  the first build takes 20 to 40 minutes on two cores: RocksDB, wasmtime and DataFusion");
    }
    process::run(workspace::cargo().args(["build", "--release", "--workspace", "--bin", "tidemark"]))
}

/// The runtime, started in the root of the workspace.
fn tidemark() -> Command {
    let mut command = Command::new(workspace::built("tidemark"));
    command.current_dir(workspace::root());
    command
}

fn job(data: &str) -> Command {
    let mut command = tidemark();
    command.args(["run", CONFIG, "--input", INPUT, "--data", data]).args(["--log-level", "warn"]);
    command.stdin(Stdio::null());
    command
}

/// Prints the command as a person would type it.
fn shown(command: &mut Command) -> &mut Command {
    let arguments: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    println!("  $ tidemark {}", arguments.join(" "));
    command
}

fn output(data: &str) -> PathBuf {
    workspace::root().join(data).join("output")
}

/// Bytes of `path`, 0 where it is not there.
fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
