//! ClickHouse for tests: the engine as a Python package, in a virtual environment of its own under the target folder.
//!
//! There is no server to install from the registries that every machine reaches, but there is the engine. The tests put
//! their HTTP front over it; `TIDEMARK_TEST_CLICKHOUSE_URL` sends those to a real server that need not stop it.

use crate::process::{self, find, succeeds};
use crate::workspace;
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// The engine, and with it the version that the tests are held to.
const PACKAGE: &str = "chdb-core==26.9.0";

/// The folder of the environment. Its name carries the version, so that another one is installed beside it.
fn folder() -> PathBuf {
    workspace::target().join("clickhouse-26.9.0")
}

fn python() -> PathBuf {
    folder().join("bin").join("python")
}

/// Whether the engine is there.
pub(crate) fn is_there() -> bool {
    folder().join("complete").is_file() && succeeds(Command::new(python()).arg("--version"))
}

/// Installs the engine, 0.9 GB. An installation that was interrupted is begun anew.
pub(crate) fn install() -> Result<()> {
    if find("python3").is_none() {
        bail!("there is no python3");
    }
    let folder = folder();
    println!("set-up: installing {PACKAGE} into {}", folder.display());
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir", PACKAGE];
    process::run(Command::new(python()).args(arguments))?;
    let complete = folder.join("complete");
    std::fs::write(&complete, PACKAGE).with_context(|| format!("cannot write {}", complete.display()))
}
