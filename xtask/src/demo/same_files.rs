//! Whether two folders hold the same Parquet files.

use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Compares names and bytes of all Parquet files below `one` and `other`; returns how many there are.
pub(super) fn compare(one: &Path, other: &Path) -> Result<usize> {
    let (ours, theirs) = (files(one)?, files(other)?);
    if let Some(file) = ours.symmetric_difference(&theirs).next() {
        bail!("only one of {} and {} has {}", one.display(), other.display(), file.display());
    }
    for file in &ours {
        let read =
            |folder: &Path| fs::read(folder.join(file)).with_context(|| format!("cannot read {}", file.display()));
        ensure!(
            read(one)? == read(other)?,
            "{} differs between {} and {}",
            file.display(),
            one.display(),
            other.display()
        );
    }
    ensure!(!ours.is_empty(), "no Parquet files below {}", one.display());
    Ok(ours.len())
}

/// The Parquet files below `folder`, as seen from it.
fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in next.read_dir().with_context(|| format!("cannot read {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension() == Some("parquet".as_ref()) {
                found.insert(path.strip_prefix(folder).expect("found below it").to_owned());
            }
        }
    }
    Ok(found)
}
