//! Programs that read what is not code as the real thing does: Docker Compose (its client alone, which needs no engine),
//! hadolint, Kubernetes's schemas and Prometheus the deployment files, mdBook the book; and a registry of containers.
//! `cargo xtask setup` puts them into the target folder.
//!
//! Nothing here knows Tidemark: tests of any crate can use it.

mod background;
mod install;
mod prometheus;
mod registry;

pub use background::Background;
pub use install::{install, is_installed};
pub use prometheus::Prometheus;
pub use registry::{Registry, install_registry};

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Why there are no tools.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// Something is not installed.
    #[error("{0}: run `cargo xtask setup`")]
    Missing(String),
    /// It is, and does not work.
    #[error("{0}")]
    Broken(String),
}

/// The tools.
#[derive(Clone, Debug)]
pub struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// The tools, for the test of this name. `None` where they are not installed: it was not run then.
    ///
    /// # Panics
    /// Where `CI` is set and they are not there: there every test must run.
    pub fn find(test: &str) -> Option<Self> {
        let missing = match Self::installed() {
            Ok(tools) => return Some(tools),
            Err(missing) => missing,
        };
        not_run(test, &missing)
    }

    /// The tools.
    ///
    /// # Errors
    /// They are not installed.
    pub fn installed() -> Result<Self, Unavailable> {
        let folder = install::folder();
        if is_installed() {
            return Ok(Self { folder });
        }
        Err(Unavailable::Missing(format!("the tools are not in {}", folder.display())))
    }

    /// Docker Compose's client.
    pub fn docker_compose(&self) -> Command {
        Command::new(self.folder.join("bin/docker-compose"))
    }

    /// The linter of Dockerfiles.
    pub fn hadolint(&self) -> Command {
        Command::new(self.folder.join("bin/hadolint"))
    }

    /// Holds manifests against Kubernetes's own schemas.
    pub fn kubernetes_validate(&self) -> Command {
        Command::new(self.folder.join("bin/kubernetes-validate"))
    }

    /// What makes HTML of the book.
    pub fn mdbook(&self) -> Command {
        Command::new(self.folder.join("bin/mdbook"))
    }

    /// Prometheus's checker of configurations and rules.
    pub fn promtool(&self) -> Command {
        Command::new(self.folder.join("prometheus/usr/bin/promtool"))
    }

    /// A YAML file, which may hold several documents, as a JSON list of them.
    ///
    /// # Panics
    /// If it is no YAML.
    pub fn yaml_to_json(&self, file: &Path) -> String {
        let script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
        let mut python = Command::new(self.folder.join("bin/python"));
        succeed(python.args(["-c", script]).arg(file))
    }

    /// What a JSON document (the first file) does wrong by a JSON schema (the second), a line each. The other files are
    /// schemas that it refers to by their `$id`. Formats count.
    ///
    /// # Panics
    /// If a file is no JSON.
    pub fn schema_mistakes(&self, document: &Path, schema: &Path, others: &[PathBuf]) -> Vec<String> {
        let mut python = Command::new(self.folder.join("bin/python"));
        python.args(["-c", include_str!("schema.py")]).arg(document).arg(schema).args(others);
        succeed(&mut python).lines().map(str::to_owned).collect()
    }

    fn prometheus(&self) -> PathBuf {
        self.folder.join("prometheus/usr/bin/prometheus")
    }
}

/// Reports a test that cannot be run; fails where every test must run.
fn not_run<T>(test: &str, missing: &Unavailable) -> Option<T> {
    assert!(env::var_os("CI").is_none(), "{test}: {missing}");
    // Past the test harness, which keeps the output of tests that pass to itself. A report that cannot be written changes
    // nothing.
    let _ = writeln!(std::io::stdout(), "not run: {test}: {missing}");
    None
}

/// Runs `command`, which must succeed, and returns what it wrote to standard output.
///
/// # Panics
/// If it fails, with what it said.
pub fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?} failed: {status}\n{stdout}\n{stderr}");
    stdout
}
