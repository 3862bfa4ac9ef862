//! Whether two folders hold the same Parquet files.

use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Compares names and bytes of all Parquet files below `one` and `other`; returns how many there are.
pub(super) fn compare(one: &Path, other: &Path) -> Result<usize> {
    let (ours, theirs) = (files(one), files(other));
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

/// The Parquet files below `folder` that readers see, as seen from it: none where the folder is not there.
pub(super) fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        // Folders come and go while a job runs.
        for entry in next.read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if path.is_dir() && !is_hidden {
                waiting.push(path);
            } else if path.extension() == Some("parquet".as_ref()) {
                found.insert(path.strip_prefix(folder).expect("found below it").to_owned());
            }
        }
    }
    found
}
