//! Rust: the crates that authors install. Their tests are cargo's, with all others, and so are the metrics.

use super::{Sdk, Source};
use crate::process::run;
use crate::workspace;
use anyhow::{Result, bail};

/// The SDK, and what it depends on.
const CRATES: [&str; 3] = ["tidemark-metric", "tidemark-metric-macros", "tidemark-dataflow"];

struct Rust;

/// It runs this chore.
pub(super) fn find() -> Result<Box<dyn Sdk>> {
    Ok(Box::new(Rust))
}

impl Sdk for Rust {
    fn test(&self) -> Result<()> {
        Ok(())
    }

    /// The crates as a registry would have them, which build without the rest of the workspace.
    fn package(&self) -> Result<()> {
        let mut package = workspace::cargo();
        package.args(["package", "--quiet", "--allow-dirty"]);
        run(package.args(CRATES.map(|name| format!("--package={name}"))))
    }

    fn sources(&self) -> &'static [Source] {
        &[]
    }

    fn component(&self, source: &Source) -> Result<Vec<u8>> {
        bail!("{} is a crate: cargo builds it", source.path)
    }
}
