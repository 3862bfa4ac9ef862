//! One run of a program: how long it took, and how much of that it was computing.

use crate::process::spell;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

/// What the kernel counts processor time in, a second.
const TICKS: f64 = 100.0;

/// The time of one whole process, from its start to its end, in seconds.
#[derive(Clone, Copy)]
pub(super) struct Timed {
    pub(super) seconds: f64,
    /// Processor time of all its threads; says more than `seconds` on a machine that has other work.
    pub(super) cpu_seconds: f64,
}

/// Runs `command` to its end. What it prints is shown only if it fails.
pub(super) fn run(command: &mut Command) -> Result<Timed> {
    let cpu_before = cpu_seconds_of_children()?;
    let started = Instant::now();
    let output = command.output().with_context(|| format!("cannot start `{}`", spell(command)))?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(
        output.status.success(),
        "`{}` failed: {}\n{}",
        spell(command),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(Timed { seconds, cpu_seconds: cpu_seconds_of_children()? - cpu_before })
}

/// Runs `commands` at the same time, each to its end. Seconds from the first start to the last end.
pub(super) fn run_together(commands: &mut [Command]) -> Result<f64> {
    let started = Instant::now();
    let mut children = Vec::with_capacity(commands.len());
    for command in &mut *commands {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        children.push(child.with_context(|| format!("cannot start `{}`", spell(command)))?);
    }
    for (child, command) in children.iter_mut().zip(&*commands) {
        let status = child.wait().with_context(|| format!("cannot wait for `{}`", spell(command)))?;
        ensure!(status.success(), "`{}` failed: {status}", spell(command));
    }
    Ok(started.elapsed().as_secs_f64())
}

/// Processor time of all children that have ended, `cutime` and `cstime` of proc(5).
fn cpu_seconds_of_children() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat; benchmarks need Linux")?;
    parse(&stat).with_context(|| format!("/proc/self/stat is not as expected: {stat}"))
}

fn parse(stat: &str) -> Option<f64> {
    // The name in parentheses may have spaces; `state` behind it is the third field, `cutime` the sixteenth.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    Some((ticks(16)? + ticks(17)?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_children_are_found_behind_any_name() {
        let stat = "7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 150 25 20 0";
        assert_eq!(parse(stat), Some(1.75));
        assert_eq!(parse("7 (a) S 1"), None);
    }
}
