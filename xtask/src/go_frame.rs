//! `cargo xtask go-frame`: makes `guest-sdk/go/frame/frame.wasm`, the component into which the Go SDK puts the core
//! module of a metric, of the contract and of two texts beside it. Whoever builds a metric in Go needs no Rust that way.

use crate::workspace;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The modules of which the placeholder imports the functions of WASI: Go imports some of them twice.
const WASI: [&str; 2] = ["wasi_snapshot_preview1", "wasi_snapshot_preview1_again"];

/// Writes the frame.
pub(crate) fn run() -> Result<()> {
    let (file, frame) = (file(), frame(&workspace::root())?);
    fs::write(&file, &frame).with_context(|| format!("cannot write {}", file.display()))?;
    println!("{}: {} bytes", file.display(), frame.len());
    Ok(())
}

/// Fails if the frame is not the one that the contract and the texts make.
pub(crate) fn check() -> Result<()> {
    let file = file();
    let found = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    ensure!(found == frame(&workspace::root())?, "{} is out of date: cargo xtask go-frame", file.display());
    Ok(())
}

fn file() -> PathBuf {
    workspace::root().join("guest-sdk/go/frame/frame.wasm")
}

fn frame(root: &Path) -> Result<Vec<u8>> {
    let folder = root.join("guest-sdk/go/frame");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(root.join("wit")).context("the contract cannot be read")?;
    let world = resolve.select_world(&[package], Some("metric-module"))?;
    let mut hole = wat::parse_file(folder.join("hole.wat"))?;
    embed_component_metadata(&mut hole, &resolve, world, StringEncoding::UTF8)?;
    let wasi = wat::parse_file(folder.join("wasi.wat"))?;

    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&hole).context("hole.wat does not fit the contract")?;
    for module in WASI {
        encoder.adapter(module, &wasi).context("wasi.wat")?;
    }
    encoder.encode()
}
