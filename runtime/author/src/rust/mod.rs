//! Metrics in Rust: cargo makes a core module of each crate, which is then wrapped.

mod toolchain;

pub use toolchain::{TARGET, Toolchain};

use crate::{BuildError, component, process};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How guests are compiled: small, fast, without unwinding.
const PROFILE: [(&str, &str); 6] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "none"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
];

/// Makes a component of the crate in `folder`. Cargo builds below the folder's `target`, or `CARGO_TARGET_DIR`.
pub fn component(toolchain: &Toolchain, folder: &Path) -> Result<Vec<u8>, BuildError> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| folder.join("target"), PathBuf::from);
    let modules = core_modules(toolchain, cargo(), folder, &[], &target)?;
    let [module] = modules.as_slice() else {
        return Err(BuildError::Project(format!(
            "{} makes {} WebAssembly modules, a metric is one: a crate with `crate-type = [\"cdylib\", \"rlib\"]` under \
             `[lib]`",
            folder.join("Cargo.toml").display(),
            modules.len()
        )));
    };
    component::encode_pure(&fs::read(&module.file).map_err(BuildError::file(&module.file))?)
}

/// What cargo made of a crate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoreModule {
    /// The library's name, with underscores.
    pub library: String,
    /// The file.
    pub file: PathBuf,
}

/// Compiles `packages` of the workspace in `folder`, or the crate there if none is named, with `cargo`, below `target`.
pub fn core_modules(
    toolchain: &Toolchain,
    mut cargo: Command,
    folder: &Path,
    packages: &[&str],
    target: &Path,
) -> Result<Vec<CoreModule>, BuildError> {
    // Cargo is started elsewhere than this program.
    let target = std::path::absolute(target).map_err(BuildError::file(target))?;
    cargo.current_dir(folder).args(["build", "--release", "--lib", "--message-format", "json-render-diagnostics"]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    cargo.arg("--target-dir").arg(toolchain.folder(&target)).envs(PROFILE).env_remove("RUSTFLAGS");
    toolchain.apply(&mut cargo);
    let messages = process::output_of(&mut cargo)?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    Ok(messages.filter_map(|message| core_module(&message)).collect())
}

/// The module that a message of cargo's tells of.
fn core_module(message: &Value) -> Option<CoreModule> {
    let target = &message["target"];
    let is_dynamic = target["crate_types"].as_array()?.iter().any(|kind| kind == "cdylib");
    let mut files = message["filenames"].as_array()?.iter().filter_map(Value::as_str).map(PathBuf::from);
    let file = files.find(|file| file.extension() == Some("wasm".as_ref()))?;
    is_dynamic.then(|| CoreModule { library: target["name"].as_str().unwrap_or_default().replace('-', "_"), file })
}

/// The cargo that started this program, if one did, else that on the search path.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
