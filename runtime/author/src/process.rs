//! Running programs, with errors that name the command that failed.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

/// A program that could not be started, or that failed.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot start `{0}`: {1}")]
    Start(String, io::Error),
    /// It failed. What it has to say it has said on the terminal.
    #[error("`{0}` failed: {1}")]
    Failed(String, ExitStatus),
    /// What it wrote to standard output is no text.
    #[error("`{0}` wrote something that is no text")]
    NoText(String),
}

/// Runs `command` to its end; everything it says goes to the terminal.
pub fn run(command: &mut Command) -> Result<(), ProcessError> {
    let status = command.status().map_err(|error| ProcessError::Start(spell(command), error))?;
    if status.success() { Ok(()) } else { Err(ProcessError::Failed(spell(command), status)) }
}

/// Runs `command` to its end and returns what it wrote to standard output; its errors go to the terminal.
pub fn output_of(command: &mut Command) -> Result<String, ProcessError> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| ProcessError::Start(spell(command), error))?;
    if !output.status.success() {
        return Err(ProcessError::Failed(spell(command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| ProcessError::NoText(spell(command)))
}

/// Whether `command` runs and succeeds; what it says is dropped.
#[must_use]
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Where `program` lies on the search path.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The command as a person would type it, quoted where needed.
#[must_use]
pub fn spell(command: &Command) -> String {
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
