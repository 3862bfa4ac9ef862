//! Running programs, as `tidemark-author` does it, with the errors of a chore.

pub(crate) use tidemark_author::process::{find, spell, succeeds};

use anyhow::Result;
use std::process::Command;
use tidemark_author::process;

/// Runs `command` to its end; everything it says goes to the terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    Ok(process::run(command)?)
}

/// Runs `command` to its end and returns what it wrote to standard output; its errors go to the terminal.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    Ok(process::output_of(command)?)
}
