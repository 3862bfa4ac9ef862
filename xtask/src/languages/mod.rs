//! The SDKs: their toolchains, fetched from the package registries where this machine has none, their own tests, the
//! packages that they are installed from, and the components of their metrics.
//!
//! One file for each language; how a component is made is known to `tidemark-author`, which `tidemark build` uses, too.

mod c;
mod fresh;
mod go;
mod javascript;
mod python;
mod rust;
mod wrong;

use crate::workspace;
use anyhow::{Context as _, Error, Result, ensure};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// An SDK with a toolchain that works.
pub(crate) trait Sdk {
    /// Runs the SDK's own tests, those of its examples, and those of the catalogue's metrics in this language.
    fn test(&self) -> Result<()>;

    /// Makes the package that authors install, installs it elsewhere and uses it there.
    fn package(&self) -> Result<()>;

    /// The metrics that are built.
    fn sources(&self) -> &'static [Source];

    /// Makes a component.
    fn component(&self, source: &Source) -> Result<Vec<u8>>;
}

/// A metric, and the component that becomes of it: `target/metrics/<name>.wasm`.
pub(crate) struct Source {
    name: &'static str,
    /// Its folder, or its file.
    path: &'static str,
}

/// A language: its name, the folder of its SDK, and how its toolchain is found, and had where it is not there.
struct Language {
    name: &'static str,
    folder: &'static str,
    find: fn() -> Result<Box<dyn Sdk>>,
    install: fn() -> Result<Box<dyn Sdk>>,
}

const LANGUAGES: [Language; 5] = [
    Language { name: "C", folder: "guest-sdk/c", find: c::find, install: c::find },
    Language { name: "Go", folder: "guest-sdk/go", find: go::find, install: go::install },
    Language { name: "JavaScript", folder: "guest-sdk/js", find: javascript::find, install: javascript::install },
    Language { name: "Rust", folder: "guest-sdk/rust", find: rust::find, install: rust::find },
    Language { name: "Python", folder: "guest-sdk/python", find: python::find, install: python::install },
];

/// Builds the metrics of every language whose toolchain is there; says of the others what they lack.
pub(crate) fn build_what_can_be_built() -> Result<()> {
    for language in &LANGUAGES {
        match (language.find)() {
            Ok(sdk) => language.build(&*sdk)?,
            Err(error) => {
                println!("not built: metrics in {}: {error:#}; `cargo xtask languages` fetches it", language.name)
            }
        }
    }
    Ok(())
}

/// What became of a language.
pub(crate) struct Outcome {
    pub(crate) language: &'static str,
    pub(crate) result: Result<(), Failed>,
}

/// Why a language is not as it should be.
pub(crate) enum Failed {
    /// Its toolchain is not here, and cannot be fetched.
    Unavailable(Error),
    /// Its tests, its package or a metric in it.
    Wrong(Error),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(error) => write!(f, "its toolchain cannot be had: {error:#}"),
            Self::Wrong(error) => write!(f, "{error:#}"),
        }
    }
}

/// Fetches what is missing, and tests, packages and builds everything, language by language, also after failures.
pub(crate) fn test() -> Vec<Outcome> {
    LANGUAGES.iter().map(|language| Outcome { language: language.name, result: language.test() }).collect()
}

/// `cargo xtask languages`.
pub(crate) fn run() -> Result<()> {
    let failures: Vec<String> = test()
        .into_iter()
        .filter_map(|outcome| Some(format!("{}: {}", outcome.language, outcome.result.err()?)))
        .collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

impl Language {
    fn test(&self) -> Result<(), Failed> {
        println!("\n{}", self.name);
        let sdk = (self.install)().map_err(Failed::Unavailable)?;
        let tested = sdk.test().context("its tests").and_then(|()| self.package(&*sdk).context("its package"));
        tested.and_then(|()| self.build(&*sdk)).map_err(Failed::Wrong)
    }

    /// Only what has changed since is packaged again: it takes the registries and up to a minute.
    fn package(&self, sdk: &dyn Sdk) -> Result<()> {
        let stamp = toolchain_folder("")?.join(format!("{}-package-is-sound", self.name));
        if fresh::is_newer(&stamp, &[workspace::root().join(self.folder)]) {
            return Ok(());
        }
        sdk.package()?;
        println!("{}: the package can be installed, and makes a component", self.name);
        fs::write(&stamp, "").with_context(|| format!("cannot write {}", stamp.display()))
    }

    fn build(&self, sdk: &dyn Sdk) -> Result<()> {
        let folder = workspace::root().join("target/metrics");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        for source in sdk.sources() {
            let component = folder.join(format!("{}.wasm", source.name));
            let inputs = [self.folder, source.path].map(|path| workspace::root().join(path));
            let state = if fresh::is_newer(&component, &inputs) {
                "fresh"
            } else {
                let bytes = sdk.component(source).with_context(|| format!("{} cannot be built", source.path))?;
                write(&component, &bytes)?;
                "built"
            };
            let kilobytes = fs::metadata(&component)?.len() as f64 / 1000.0;
            println!("{state}  {kilobytes:6.1} kB  target/metrics/{}.wasm", source.name);
        }
        Ok(())
    }
}

/// Under its name only when it is whole: others may read the folder meanwhile.
fn write(component: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = component.with_extension("wasm.unfinished");
    fs::write(&unfinished, bytes).with_context(|| format!("cannot write {}", unfinished.display()))?;
    fs::rename(&unfinished, component).with_context(|| format!("cannot write {}", component.display()))
}

/// Where the toolchain of a language is kept: `target/languages/<name>`.
fn toolchain_folder(name: &str) -> Result<PathBuf> {
    let folder = workspace::root().join("target/languages").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// An empty folder `target/languages/<name>`.
fn empty_folder(name: &str) -> Result<PathBuf> {
    let folder = workspace::root().join("target/languages").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    toolchain_folder(name)
}

/// Makes `link` lead to `to`.
fn link(link: &Path, to: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|found| found == to) {
        return Ok(());
    }
    if let Some(folder) = link.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    if link.is_symlink() {
        fs::remove_file(link).with_context(|| format!("cannot replace {}", link.display()))?;
    }
    std::os::unix::fs::symlink(to, link)
        .with_context(|| format!("cannot make {} lead to {}", link.display(), to.display()))
}
