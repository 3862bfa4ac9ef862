//! `cargo xtask chaos [nodes] [RUNS] [SEED]`: the real process between topics of a real broker, killed at moments drawn from seeds,
//! and checked by a program that computes the rows for itself.

use crate::{metrics, process, setup, workspace};
use anyhow::{Context as _, Result};
use std::process::Command;

/// Runs it, with several nodes or one process; `arguments` are how many runs, and the seed of the first.
pub(crate) fn run(nodes: bool, arguments: &[&str]) -> Result<()> {
    let numbers = arguments.iter().map(|text| text.parse().with_context(|| format!("\"{text}\" is not a number")));
    let numbers = numbers.collect::<Result<Vec<u64>>>()?;
    setup::for_everything()?;
    metrics::run()?;
    process::run(workspace::cargo().args([
        "build",
        "--release",
        "--workspace",
        "--bin",
        "tidemark",
        "--bin",
        "chaos",
    ]))?;
    let mut chaos = Command::new(workspace::built("chaos"));
    chaos.arg("--tidemark").arg(workspace::built("tidemark"));
    chaos.arg("--metrics").arg(workspace::root().join("target/metrics"));
    for (option, number) in ["--runs", "--seed"].iter().zip(numbers) {
        chaos.arg(option).arg(number.to_string());
    }
    if nodes {
        chaos.arg("--nodes");
    }
    process::run(&mut chaos)
}
