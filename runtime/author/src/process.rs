//! Running programs, with errors that name the command that failed.

use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

/// Runs `command` to its end; everything it says goes to the terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", spell(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", spell(command));
    }
    Ok(())
}

/// Runs `command` to its end and returns what it wrote to standard output; its errors go to the terminal.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start `{}`", spell(command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", spell(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` wrote something that is no text", spell(command)))
}

/// Whether `command` runs and succeeds; what it says is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Where `program` lies on the search path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The command as a person would type it, quoted where needed.
pub(crate) fn spell(command: &Command) -> String {
    let word = |word: &OsStr| {
        let word = word.to_string_lossy();
        if word.contains(|c: char| c.is_whitespace() || "\"'$&|;<>*()".contains(c)) {
            format!("'{word}'")
        } else {
            word.into_owned()
        }
    };
    let words: Vec<String> = [command.get_program()].into_iter().chain(command.get_args()).map(word).collect();
    words.join(" ")
}
