//! `cargo xtask metrics`: every crate under `metrics-wasm/` becomes `target/metrics/<crate>.wasm`, and so do the metrics in
//! other languages whose toolchain is there.
//!
//! Cargo decides what is out of date; a component is made anew only where its core module changed.

use crate::{languages, workspace};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tidemark_author::{component, rust};

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
    languages::build_what_can_be_built()
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
    let toolchain = rust::Toolchain::find()?;
    let names: Vec<&str> = crates.iter().map(|guest| guest.name.as_str()).collect();
    let root = workspace::root();
    let modules = rust::core_modules(&toolchain, workspace::cargo(), &root, &names, &root.join("target"));
    let modules = modules.context("the metrics did not compile; cargo's messages are above")?;
    let file = |guest: &GuestCrate| {
        let library = guest.name.replace('-', "_");
        let module = modules.iter().find(|module| module.library == library);
        module.map(|module| module.file.clone()).with_context(|| format!("cargo made no .wasm file of {}", guest.name))
    };
    crates.iter().map(file).collect()
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
