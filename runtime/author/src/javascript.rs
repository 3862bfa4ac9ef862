//! Metrics in JavaScript and TypeScript: the SDK's own command makes the component, with esbuild and `componentize-qjs`.

use crate::process::{self, find};
use crate::{BuildError, Project};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where npm puts the SDK.
const INSTALLED: &str = "node_modules/@tidemark/metric";

/// A Node, and the SDK with the packages that it needs.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The `node` command.
    pub node: PathBuf,
    /// The folder of the SDK's package.
    pub sdk: PathBuf,
}

impl Toolchain {
    /// The Node on the search path, and the SDK that is installed for `folder`.
    pub fn find(folder: &Path) -> Result<Self, BuildError> {
        let node = find("node").ok_or_else(|| BuildError::missing("Node", "install Node 20 or newer, with npm"))?;
        let sdk =
            folder.ancestors().map(|folder| folder.join(INSTALLED)).find(|sdk| sdk.join("package.json").is_file());
        let sdk = sdk.ok_or_else(|| {
            BuildError::missing(
                "the npm package @tidemark/metric",
                format!("run `npm install` in {}", folder.display()),
            )
        })?;
        Ok(Self { node, sdk })
    }
}

/// Makes a component of the metric in `file`, below `folder`, where the script that was bundled stays beside it, for whoever
/// looks up the lines of an error.
pub fn component(toolchain: &Toolchain, file: &Path, folder: &Path) -> Result<Vec<u8>, BuildError> {
    let modules_in = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(|path| path.extension() == Some("wasm".as_ref())).collect()
    };
    for left in modules_in(folder) {
        fs::remove_file(&left).map_err(BuildError::file(&left))?;
    }
    let mut command = Command::new(&toolchain.node);
    command.arg(toolchain.sdk.join("bin/tidemark-metric.js")).arg("build").arg(file).arg("--out").arg(folder);
    process::run(command.stdout(Stdio::null()))?;
    match modules_in(folder).as_slice() {
        [component] => fs::read(component).map_err(BuildError::file(component)),
        _ => Err(BuildError::Component(format!("the SDK left no component in {}", folder.display()))),
    }
}

/// The same for a project.
pub(crate) fn project(project: &Project) -> Result<Vec<u8>, BuildError> {
    component(&Toolchain::find(&project.folder)?, &project.source, &project.folder.join("target/component"))
}
