//! A run that is killed half way, as hard as the system can, and the run that takes over.

use super::{CRASHED, INPUT, TIDEMARK, job, output, same_files, shown, size};
use crate::{process, workspace};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(2);

/// How much further than the first rows that readers see: into the next epoch.
const FURTHER: u64 = 4 << 20;

/// Kills one and starts it again.
pub(super) fn run() -> Result<()> {
    let input = size(&workspace::root().join(INPUT));
    let mut child = shown(&mut job(CRASHED)).spawn().context("cannot start tidemark")?;
    let read = wait_half_way(&mut child, input / 2)?;
    child.kill().context("cannot kill tidemark")?;
    let status = child.wait().context("cannot wait for tidemark")?;
    println!("  kill -9 {} after {} of {} MB: {status}", child.id(), read / 1_000_000, input / 1_000_000);
    println!("  {}", visible()?);
    process::run(shown(&mut job(CRASHED)))
}

/// Waits until `child` has read `half` of its input and is in an epoch behind one that readers see; returns how many
/// bytes it has read.
fn wait_half_way(child: &mut Child, half: u64) -> Result<u64> {
    let mut enough = None;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for tidemark")? {
            bail!("tidemark ended before it could be killed: {status}");
        }
        let read = bytes_read(child.id())?;
        if enough.is_none() && !same_files::files(&output(CRASHED)).is_empty() {
            enough = Some(half.max(read + FURTHER));
        }
        if enough.is_some_and(|enough| read >= enough) {
            return Ok(read);
        }
        std::thread::sleep(PAUSE);
    }
}

/// What the kernel counts of a process: everything that it asked to read.
fn bytes_read(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/io");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}; the demo needs Linux"))?;
    let field = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    field.and_then(|number| number.trim().parse().ok()).with_context(|| format!("{path} does not count bytes"))
}

/// What a reader sees of the killed run: whole epochs.
fn visible() -> Result<String> {
    let query = "SELECT COALESCE(MAX(epoch), 0) AS epoch, COUNT(*) AS rows FROM metrics";
    let mut command = Command::new(workspace::root().join(TIDEMARK));
    command.current_dir(workspace::root()).args(["sql", "--data", CRASHED, "--format", "csv", query]);
    let answer = process::output_of(&mut command)?;
    let (epoch, rows) = answer.lines().nth(1).and_then(|line| line.split_once(',')).unwrap_or(("0", "0"));
    Ok(format!("readers see whole epochs only: {rows} metric rows up to epoch {epoch}"))
}
