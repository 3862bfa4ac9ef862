//! Running the real binary, and what the tests of it have in common.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod job;
pub mod live;
pub mod openapi;
pub mod service;
pub mod kafka;
pub mod nodes;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Run {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The run, which must have ended well.
    #[track_caller]
    pub fn fine(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// What a service answers to a request, head and all.
pub fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Runs `tidemark` with these arguments.
pub fn tidemark(arguments: &[&str]) -> Run {
    tidemark_in(Path::new("."), arguments)
}

/// Runs `tidemark` in a folder.
pub fn tidemark_in(folder: &Path, arguments: &[&str]) -> Run {
    Run::from(command_in(folder, arguments).output().expect("the binary starts"))
}

/// Runs `tidemark` in a folder, to die at a fail point.
#[track_caller]
pub fn tidemark_dies(folder: &Path, arguments: &[&str], kill_at: &str) {
    let output = command_in(folder, arguments).env("TIDEMARK_KILL_AT", kill_at).output().expect("the binary starts");
    assert_eq!(output.status.code(), None, "it does not come to {kill_at}: {:#?}", Run::from(output));
}

fn command_in(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemark"));
    command.args(arguments).current_dir(folder).env_remove("TIDEMARK_KILL_AT");
    command
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("it exists")
}
