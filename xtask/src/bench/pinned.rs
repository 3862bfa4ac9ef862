//! Programs bound to cores, so that one thread's work is not moved about and two programs get the same core.

use crate::process::find;
use std::path::Path;
use std::process::Command;

/// `program`, to be run on `cores` (`0` or `0,1`) where `taskset` is there, else anywhere.
pub(super) fn command(program: &Path, cores: &str) -> Command {
    if find("taskset").is_none() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", cores]).arg(program);
    command
}

/// How [`command`] runs programs, for the report.
pub(super) fn describe(cores: &str) -> String {
    if find("taskset").is_some() { format!("`taskset --cpu-list {cores}`") } else { "not pinned".to_owned() }
}
