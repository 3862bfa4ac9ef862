//! Doing something again whenever a file of a folder changes: looked at now and then, so that it works on every file
//! system and needs nothing of the system.

use crate::exit::Failure;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);

/// Folders that tools write into, whose changes are not the author's.
const NOT_THE_AUTHORS: [&str; 7] = ["target", "node_modules", ".venv", ".git", "__pycache__", "build", "dist"];

/// Files that are looked at; in a folder with more, the rest is not watched.
const MOST_FILES: usize = 10_000;

/// Does `work`, and again after every change below `folder`. Ends with the process.
pub(super) fn forever(folder: &Path, work: &mut dyn FnMut()) -> Result<(), Failure> {
    loop {
        let before = look(folder);
        work();
        eprintln!("watching {} for changes", folder.display());
        // What `work` itself has written does not count.
        let mut last = look(folder);
        if changed_by_author(&before, &last) {
            continue;
        }
        loop {
            thread::sleep(PAUSE);
            let now = look(folder);
            if now != last {
                break;
            }
            last = now;
        }
    }
}

/// Whether a file that was there before `work` is another one now.
fn changed_by_author(before: &Files, after: &Files) -> bool {
    before.iter().any(|(path, time)| after.get(path).is_none_or(|now| now != time))
}

type Files = BTreeMap<PathBuf, Option<SystemTime>>;

/// The author's files below `folder` and when they changed.
fn look(folder: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                if !NOT_THE_AUTHORS.iter().any(|other| name == *other) {
                    folders.push(path);
                }
            } else if path.extension().is_none_or(|extension| extension != "wasm" && extension != "unfinished") {
                files.insert(path, metadata.modified().ok());
            }
            if files.len() >= MOST_FILES {
                return files;
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_authors_files_are_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["metric.c", "golden/rows.ndjson", "target/debug/x", "a.wasm", "node_modules/x/index.js"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, "").expect("a file");
        }
        let seen: Vec<String> = look(folder.path())
            .keys()
            .map(|path| path.strip_prefix(folder.path()).expect("below").display().to_string())
            .collect();
        assert_eq!(seen, ["golden/rows.ndjson", "metric.c"]);
    }
}
