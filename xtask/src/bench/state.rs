//! Five million live keys within 1 GiB of resident memory.

use crate::workspace;
use anyhow::{Context as _, Result};
use std::process::{Command, Stdio};

/// Runs it and returns the section for the results.
pub(super) fn run() -> Result<String> {
    let program = workspace::built("examples/five_million_keys");
    // It ends with an exit code of its own where the target is missed, which is a result and not a failure.
    let output = Command::new(&program).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    let last = text.lines().last().context("the example printed nothing")?;
    let peak = last.rsplit_once("memory ").map_or(last, |(_, peak)| peak);
    let verdict = super::figures::verdict(output.status.success());
    Ok(format!(
        "Five million keys and as many timers written, updated, drained and reopened.\n\
         Command: `cargo xtask bench state`.\n\n\
         | | target | measured | |\n| --- | --- | --- | --- |\n\
         | peak of resident memory | ≤ 1024 MiB | {peak} | {verdict} |\n\n\
         ```text\n{}\n```\n",
        text.trim_end(),
    ))
}
