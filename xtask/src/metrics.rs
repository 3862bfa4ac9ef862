//! `cargo xtask metrics`: every crate under `metrics-wasm/` becomes `target/metrics/<crate>.wasm`.
//!
//! Cargo decides what is out of date; a component is made anew only where its core module changed.

use crate::component;
use crate::guest_toolchain::GuestToolchain;
use crate::workspace;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// How guests are compiled: small, fast, without unwinding.
const PROFILE: [(&str, &str); 6] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "none"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
];

/// A crate of the catalogue.
struct GuestCrate {
    /// Its name, and that of its component.
    name: String,
    /// Its `package.metadata.tidemark.may-import`: set only by modules that attack the sandbox.
    may_import: bool,
}

/// Builds all of them and prints one line each.
pub(crate) fn run() -> Result<()> {
    let crates = guest_crates()?;
    ensure!(!crates.is_empty(), "no crate under metrics-wasm/ has the crate type cdylib");
    let modules = build(&crates)?;

    let folder = workspace::root().join("target/metrics");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (guest, module) in crates.iter().zip(&modules) {
        let component = folder.join(format!("{}.wasm", guest.name));
        let state = if is_newer(module, &component) {
            write_component(guest, module, &component)?;
            "built"
        } else {
            "fresh"
        };
        let kilobytes = fs::metadata(&component)?.len() as f64 / 1000.0;
        println!("{state}  {kilobytes:6.1} kB  target/metrics/{}.wasm", guest.name);
    }
    Ok(())
}

/// The members of the workspace under `metrics-wasm/` that are built as a dynamic library, by name.
fn guest_crates() -> Result<Vec<GuestCrate>> {
    let output = workspace::cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(output.status.success(), "`cargo metadata` failed");
    let metadata: Value = serde_json::from_slice(&output.stdout)?;

    let catalogue = workspace::root().join("metrics-wasm");
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let mut crates: Vec<GuestCrate> = packages
        .filter(|package| package["manifest_path"].as_str().is_some_and(|path| Path::new(path).starts_with(&catalogue)))
        .filter(|package| package["targets"].as_array().into_iter().flatten().any(is_dynamic_library))
        .map(|package| GuestCrate {
            name: package["name"].as_str().unwrap_or_default().to_owned(),
            may_import: package["metadata"]["tidemark"]["may-import"].as_bool().unwrap_or(false),
        })
        .collect();
    crates.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(crates)
}

fn is_dynamic_library(target: &Value) -> bool {
    target["crate_types"].as_array().is_some_and(|types| types.iter().any(|kind| kind == "cdylib"))
}

/// Compiles the crates; returns the core module of each, in their order.
fn build(crates: &[GuestCrate]) -> Result<Vec<PathBuf>> {
    let toolchain = GuestToolchain::find()?;
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--lib", "--message-format", "json-render-diagnostics"]);
    crates.iter().for_each(|guest| {
        command.args(["--package", &guest.name]);
    });
    command.arg("--target-dir").arg(toolchain.target_folder()).envs(PROFILE).env_remove("RUSTFLAGS");
    toolchain.apply(&mut command);

    let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "the metrics did not compile; cargo's messages are above");
    let messages: Vec<Value> =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    crates.iter().map(|guest| core_module(guest, &messages)).collect()
}

/// The file that cargo made of `guest`, from cargo's messages.
fn core_module(guest: &GuestCrate, messages: &[Value]) -> Result<PathBuf> {
    let library = guest.name.replace('-', "_");
    let artifact = messages.iter().find(|message| {
        message["reason"] == "compiler-artifact"
            && is_dynamic_library(&message["target"])
            && message["target"]["name"].as_str().is_some_and(|name| name.replace('-', "_") == library)
    });
    let files = artifact.and_then(|artifact| artifact["filenames"].as_array()).into_iter().flatten();
    let module =
        files.filter_map(Value::as_str).map(PathBuf::from).find(|file| file.extension() == Some("wasm".as_ref()));
    module.with_context(|| format!("cargo made no .wasm file of {}", guest.name))
}

/// Whether `component` is missing or older than `module`.
fn is_newer(module: &Path, component: &Path) -> bool {
    let changed = |file: &Path| fs::metadata(file).and_then(|metadata| metadata.modified()).ok();
    changed(component) < changed(module)
}

fn write_component(guest: &GuestCrate, module: &Path, component: &Path) -> Result<()> {
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let bytes = component::encode(&bytes).with_context(|| format!("cannot make a component of {}", guest.name))?;
    let imports = component::imports(&bytes)?;
    if !imports.is_empty() && !guest.may_import {
        bail!("{} imports {}: a metric may import nothing", guest.name, imports.join(", "));
    }
    // Under its name only when it is whole: others may read the folder meanwhile.
    let unfinished = component.with_extension("wasm.unfinished");
    fs::write(&unfinished, bytes).with_context(|| format!("cannot write {}", unfinished.display()))?;
    fs::rename(&unfinished, component).with_context(|| format!("cannot write {}", component.display()))
}
