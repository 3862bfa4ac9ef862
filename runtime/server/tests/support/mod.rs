//! Running the real binary, and what the tests of it have in common.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod job;
pub mod live;
pub mod openapi;
pub mod service;
pub mod kafka;

use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Runs `tidemark` with these arguments.
pub fn tidemark(arguments: &[&str]) -> Run {
    tidemark_in(Path::new("."), arguments)
}

/// Runs `tidemark` in a folder.
pub fn tidemark_in(folder: &Path, arguments: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_tidemark"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("TIDEMARK_KILL_AT")
        .output()
        .expect("the binary starts");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("it exists")
}
