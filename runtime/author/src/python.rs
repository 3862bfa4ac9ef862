//! Metrics in Python: the SDK's own command makes the component, with `componentize-py`.

use crate::process::{self, find};
use crate::{BuildError, Project};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A Python that has the SDK and its builder.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The interpreter.
    pub python: PathBuf,
}

impl Toolchain {
    /// That of the environment `.venv` in `folder` or above it, else of the active environment, else on the search path.
    pub fn find(folder: &Path) -> Result<Self, BuildError> {
        let within = |environment: PathBuf| environment.join("bin/python");
        let project = folder.ancestors().map(|folder| within(folder.join(".venv")));
        let active = std::env::var_os("VIRTUAL_ENV").map(|environment| within(environment.into()));
        let path = ["python3", "python"].into_iter().filter_map(find);
        let found: Vec<PathBuf> = project.chain(active).chain(path).filter(|python| python.is_file()).collect();
        if found.is_empty() {
            return Err(BuildError::missing("Python", "install Python 3.10 or newer, with venv"));
        }
        let found = found.into_iter().find(|python| has_sdk(python)).map(|python| Self { python });
        found.ok_or_else(|| {
            BuildError::missing(
                "the Python package tidemark-metric with componentize-py",
                format!(
                    "run `cd {} && python3 -m venv .venv && .venv/bin/pip install -r requirements.txt`",
                    folder.display()
                ),
            )
        })
    }
}

/// Makes a component of the metric in `file`.
pub fn component(toolchain: &Toolchain, file: &Path) -> Result<Vec<u8>, BuildError> {
    let scratch = tempfile::tempdir().map_err(BuildError::file(&std::env::temp_dir()))?;
    let out = scratch.path().join("metric.wasm");
    let mut command = Command::new(&toolchain.python);
    command.args(["-m", "tidemark_metric", "build"]).arg(file).arg("--output").arg(&out);
    process::run(command.stdout(Stdio::null()))?;
    fs::read(&out).map_err(BuildError::file(&out))
}

/// The same for a project.
pub(crate) fn project(project: &Project) -> Result<Vec<u8>, BuildError> {
    component(&Toolchain::find(&project.folder)?, &project.source)
}

fn has_sdk(python: &Path) -> bool {
    process::succeeds(Command::new(python).args(["-c", "import tidemark_metric, componentize_py"]))
}
