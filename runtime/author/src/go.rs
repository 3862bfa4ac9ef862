//! Metrics in Go: the SDK's own command makes the component, with nothing but Go.

use crate::process::{self, find};
use crate::{BuildError, Project};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The command of the SDK that builds. A project requires the SDK's module for its metric already.
const BUILDER: &str = "github.com/tidemark/tidemark/guest-sdk/go/cmd/tidemark-go";

/// Where Go's own archive is unpacked, as its instructions say.
const USUAL: &str = "/usr/local/go/bin/go";

/// The oldest minor version of Go 1 that the SDK compiles with.
const LEAST_MINOR: u32 = 26;

/// A Go that is new enough.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The `go` command.
    pub go: PathBuf,
}

impl Toolchain {
    /// The one on the search path, else the one in the usual place.
    pub fn find() -> Result<Self, BuildError> {
        let remedy = format!("install Go 1.{LEAST_MINOR} or newer (https://go.dev/doc/install) and put it on the PATH");
        let go = find("go").or_else(|| Some(PathBuf::from(USUAL)).filter(|go| go.is_file()));
        let go = go.ok_or_else(|| BuildError::missing("Go", &remedy))?;
        let version = process::output_of(Command::new(&go).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local"))?;
        let version = version.trim();
        // From 1.21 on Go fetches the version that a module asks for.
        if minor(version).is_some_and(|minor| minor >= LEAST_MINOR) || minor(version).is_none_or(|minor| minor >= 21) {
            return Ok(Self { go });
        }
        Err(BuildError::missing(format!("a newer Go than {version}"), remedy))
    }
}

/// Makes a component of the main package `package` of the module in `folder`; `.` is the one there.
pub fn component(toolchain: &Toolchain, folder: &Path, package: &str) -> Result<Vec<u8>, BuildError> {
    let scratch = tempfile::tempdir().map_err(BuildError::file(&std::env::temp_dir()))?;
    let out = scratch.path().join("metric.wasm");
    let mut command = Command::new(&toolchain.go);
    command.current_dir(folder).args(["run", BUILDER, "build", "-o"]).arg(&out).arg(package);
    process::run(command.stdout(Stdio::null()))?;
    fs::read(&out).map_err(BuildError::file(&out))
}

/// The same for a project.
pub(crate) fn project(project: &Project) -> Result<Vec<u8>, BuildError> {
    component(&Toolchain::find()?, &project.folder, ".")
}

/// The 26 of `go1.26.8`.
fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(minor("go1.26.8"), Some(26));
        assert_eq!(minor("go1.26rc1"), Some(26));
        assert_eq!(minor("devel +abc"), None);
    }
}
