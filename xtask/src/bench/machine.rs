//! The machine and the moment that figures belong to.

use crate::process::output_of;
use crate::workspace;
use anyhow::Result;
use std::fs;
use std::process::Command;

/// One paragraph of Markdown: when, at which commit, on what.
pub(super) fn describe() -> Result<String> {
    let date = output_of(Command::new("date").args(["--utc", "+%Y-%m-%d %H:%M UTC"]))?;
    let kernel = output_of(Command::new("uname").arg("-sr"))?;
    let rustc = output_of(Command::new("rustc").current_dir(workspace::root()).arg("--version"))?;
    let mut describe = Command::new("git");
    describe.current_dir(workspace::root()).args(["describe", "--always", "--dirty=, with changes"]);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = load().unwrap_or_default();
    let busy =
        load.split(' ').next().and_then(|load| load.parse::<f64>().ok()).is_some_and(|load| load > cores as f64 + 1.0);
    let warning = if busy { " **The machine had other work: elapsed times say little.**" } else { "" };
    Ok(format!(
        "{}, commit {}. {}, {cores} cores, {} of memory, {}, {}. Load average at the end {load}.{warning}\n",
        date.trim(),
        output_of(&mut describe)?.trim(),
        line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "a processor of unknown make".to_owned()),
        memory().unwrap_or_else(|| "an unknown amount".to_owned()),
        kernel.trim(),
        rustc.trim(),
    ))
}

/// The value of `field` in a file of lines `field : value`.
fn line_of(file: &str, field: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.split_once(':'))?.1;
    Some(value.trim().to_owned())
}

fn memory() -> Option<String> {
    let kilobytes: u64 = line_of("/proc/meminfo", "MemTotal")?.trim_end_matches(" kB").parse().ok()?;
    Some(format!("{} GiB", kilobytes >> 20))
}

/// Load averages over 1, 5 and 15 minutes: whether the machine had other work.
fn load() -> Option<String> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    Some(text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}
