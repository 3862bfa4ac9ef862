//! Where things are: the root of the workspace, and cargo.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian keeps ccache under the names of the compilers.
const CCACHE: &str = "/usr/lib/ccache";

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().expect("xtask lies in a folder of the workspace").to_owned()
}

/// The cargo that runs this chore, started in the root of the workspace, with ccache before the C++ compiler.
///
/// It must not see what `cargo run` has told this program of itself: build scripts that look at it would run again, and a
/// build from a chore and one by hand would each throw away half of what the other has compiled.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    let told = |name: &str| {
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)) {
        command.env_remove(name);
    }
    if let Some(path) = path_with_ccache() {
        command.env("PATH", path);
    }
    command
}

/// The search path with [`CCACHE`] in front; `None` where there is no ccache or it is there already.
fn path_with_ccache() -> Option<OsString> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let is_wanted = Path::new(CCACHE).is_dir() && !folders.contains(&PathBuf::from(CCACHE));
    is_wanted.then(|| std::env::join_paths([PathBuf::from(CCACHE)].into_iter().chain(folders)).ok()).flatten()
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from))
}

/// A file that a release build made: `tidemark`, or `examples/boundary`.
pub(crate) fn built(name: &str) -> PathBuf {
    target().join("release").join(name)
}
