//! Reading while the sink writes: which files hold each row exactly once, and keeping them for as long as they are read.

use super::file_name::{FileName, split_visible};
use super::layout::{decode_partition_value, partition_value, table_folder};
use super::locks::hold_for_reading;
use crate::durable;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use tidemark_engine::output::TableKind;

/// What to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Selection<'a> {
    /// The archive.
    Events,
    /// The rows of every metric.
    Metrics,
    /// The rows of one metric.
    Metric(&'a str),
    /// Dead letters.
    DeadLetters,
}

/// A hold on a folder: no file that [`ReadHold::files`] named is removed while it lives.
///
/// It costs the writer nothing but the space of files that merged ones have replaced, so hold it for a query, not for a
/// service's life.
#[derive(Debug)]
pub struct ReadHold {
    root: PathBuf,
    _lock: Option<File>,
}

impl ReadHold {
    /// Takes hold of the sink's folder `root`, waiting at most while the sink removes a few files.
    pub fn take(root: &Path) -> io::Result<Self> {
        Ok(Self { root: root.to_owned(), _lock: hold_for_reading(root)? })
    }

    /// The files that hold each finalised row of `selection` exactly once, sorted by path; none for a folder that does
    /// not exist.
    pub fn files(&self, selection: Selection<'_>) -> io::Result<Vec<PathBuf>> {
        let kind = match selection {
            Selection::Events => TableKind::Events,
            Selection::Metrics | Selection::Metric(_) => TableKind::Metric(String::new()),
            Selection::DeadLetters => TableKind::DeadLetters,
        };
        let (table, depth) = table_folder(&kind);
        let mut folders = leaf_folders(&self.root, table, depth)?;
        if let Selection::Metric(name) = selection {
            let ending = format!("/metric={}", partition_value(name));
            folders.retain(|folder| folder.ends_with(&ending));
        }
        let mut files = Vec::new();
        for folder in folders {
            let path = self.root.join(folder);
            // While files are only added, a listing names everything that was there when it began: either a merged
            // file or all that it replaces, if not both.
            let names = durable::entries(&path)?;
            let (visible, _) = split_visible(names.iter().filter_map(|name| FileName::parse(name)));
            files.extend(visible.iter().map(|name| path.join(name.to_string())));
        }
        Ok(files)
    }

    /// The metrics that have rows, sorted.
    pub fn metric_names(&self) -> io::Result<Vec<String>> {
        let folders = leaf_folders(&self.root, "metrics", 2)?;
        let encoded = folders.iter().filter_map(|folder| folder.rsplit_once("/metric=").map(|(_, name)| name));
        Ok(encoded.map(decode_partition_value).collect::<BTreeSet<_>>().into_iter().collect())
    }
}

/// The files that hold each finalised row of `selection` exactly once, at this moment. While a sink writes, one of them
/// may be gone when it is opened later: take a [`ReadHold`] for a query.
pub fn visible_files(root: &Path, selection: Selection<'_>) -> io::Result<Vec<PathBuf>> {
    ReadHold::take(root)?.files(selection)
}

/// The folders `depth` levels below `folder` of the root, all relative to it, sorted.
fn leaf_folders(root: &Path, folder: &str, depth: usize) -> io::Result<Vec<String>> {
    let mut level = vec![folder.to_owned()];
    for _ in 0..depth {
        let mut next = Vec::new();
        for folder in &level {
            let names = durable::entries(&root.join(folder))?;
            let partitions = names.iter().filter(|name| name.contains('='));
            next.extend(partitions.map(|name| format!("{folder}/{name}")));
        }
        level = next;
    }
    level.retain(|folder| root.join(folder).is_dir());
    Ok(level)
}
