//! Python: an environment in the target folder with `componentize-py` from PyPI, in which the SDK is found where it lies.

use super::{Sdk, Source, empty_folder};
use crate::process::{output_of, run, succeeds};
use crate::workspace;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tidemark_author::python::{Toolchain, component};

const SDK: &str = "guest-sdk/python";

const SOURCES: [Source; 3] = [
    Source {
        name: "jitter-coefficient-python",
        path: "guest-sdk/python/examples/jitter-coefficient/jitter_coefficient.py",
    },
    Source {
        name: "prompt-to-first-frame-python",
        path: "guest-sdk/python/examples/prompt-to-first-frame/prompt_to_first_frame.py",
    },
    Source { name: "startup-outcome-python", path: "metrics-wasm/startup-outcome-python/startup_outcome.py" },
];

/// Folders whose files import each other by their bare names.
const FOLDERS: [&str; 5] = [
    "guest-sdk/python/tests",
    "guest-sdk/python/examples",
    "guest-sdk/python/examples/jitter-coefficient",
    "guest-sdk/python/examples/prompt-to-first-frame",
    "metrics-wasm/startup-outcome-python",
];

struct Python {
    toolchain: Toolchain,
}

/// The environment, if it is there with everything in it.
pub(super) fn find() -> Result<Box<dyn Sdk>> {
    let python = environment().join("bin/python");
    // Another version of the builder makes another component.
    let wanted = format!(
        "import importlib.metadata as m; assert 'componentize-py==' + m.version('componentize-py') == '{}'",
        builder()?
    );
    let is_there = succeeds(Command::new(&python).args(["-c", &format!("import tidemark_metric; {wanted}")]));
    ensure!(is_there, "no Python environment with {}", builder()?);
    Ok(Box::new(Python { toolchain: Toolchain { python } }))
}

/// The same; makes it if it is not there.
pub(super) fn install() -> Result<Box<dyn Sdk>> {
    find().or_else(|_| make().and_then(|()| find()))
}

fn environment() -> PathBuf {
    workspace::root().join("target/languages/python")
}

/// The requirement of the SDK's package for building.
fn builder() -> Result<String> {
    let file = workspace::root().join(SDK).join("pyproject.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let requirement = text.split('"').find(|text| text.starts_with("componentize-py=="));
    Ok(requirement.context("pyproject.toml requires no componentize-py==VERSION")?.to_owned())
}

fn make() -> Result<()> {
    let environment = environment();
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    let python = environment.join("bin/python");
    pip(&python, &["install", &builder()?])?;
    let site = output_of(Command::new(&python).args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]))?;
    let path = format!("{}\n", workspace::root().join(SDK).join("src").display());
    fs::write(Path::new(site.trim()).join("tidemark.pth"), path).context("the SDK cannot be put into the environment")
}

fn pip(python: &Path, arguments: &[&str]) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check"]).args(arguments);
    run(&mut pip)
}

impl Sdk for Python {
    fn test(&self) -> Result<()> {
        let folders = FOLDERS.map(|folder| workspace::root().join(folder));
        let path = std::env::join_paths(&folders).context("a folder with a colon in its name")?;
        let mut tests = Vec::new();
        for folder in &folders {
            let entries = fs::read_dir(folder).with_context(|| format!("no folder {}", folder.display()))?;
            let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
            tests.extend(names.filter_map(|name| Some(name.strip_suffix(".py")?.to_owned())));
        }
        tests.retain(|name| name.starts_with("test_"));
        tests.sort();
        let mut unittest = Command::new(&self.toolchain.python);
        unittest.current_dir(workspace::root().join(SDK)).env("PYTHONPATH", path).env("PYTHONDONTWRITEBYTECODE", "1");
        run(unittest.args(["-m", "unittest", "--quiet"]).args(tests))
    }

    /// A source distribution, installed into an environment of its own, which builds the README's metric.
    fn package(&self) -> Result<()> {
        let folder = empty_folder("python-package")?;
        // A copy with the contract instead of a link to it: setuptools leaves its own folders beside the sources.
        let sources = folder.join("sources");
        run(Command::new("cp").arg("--recursive").arg("--dereference").arg(workspace::root().join(SDK)).arg(&sources))?;
        let builder = folder.join("builder");
        run(Command::new("python3").args(["-m", "venv"]).arg(&builder))?;
        let python = builder.join("bin/python");
        pip(&python, &["install", "build"])?;
        let mut build = Command::new(&python);
        build.args(["-m", "build", "--sdist", "--outdir"]).arg(&folder).arg(&sources);
        run(build.stdout(Stdio::null()))?;
        let mut entries = fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
        let archive = entries.find(|path| path.extension() == Some("gz".as_ref()));
        let archive = archive.context("no source distribution was made")?;
        let user = folder.join("user");
        run(Command::new("python3").args(["-m", "venv"]).arg(&user))?;
        pip(&user.join("bin/python"), &["install", &format!("{}[build]", archive.display())])?;
        let readme = fs::read_to_string(workspace::root().join(SDK).join("README.md"))?;
        let metric = readme.split("```python\n").nth(1).and_then(|rest| rest.split("```").next());
        fs::write(folder.join("slow_requests.py"), metric.context("the README has no metric")?)?;
        let mut build = Command::new(user.join("bin/tidemark-metric"));
        run(build.current_dir(&folder).args(["build", "slow_requests.py"]).stdout(Stdio::null()))
    }

    fn sources(&self) -> &'static [Source] {
        &SOURCES
    }

    fn component(&self, source: &Source) -> Result<Vec<u8>> {
        Ok(component(&self.toolchain, &workspace::root().join(source.path))?)
    }
}
