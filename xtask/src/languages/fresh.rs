//! What is out of date: files that were made before what they were made of.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Folders that tools leave behind in those of sources.
const LEFT_BEHIND: [&str; 5] = ["target", "node_modules", "__pycache__", ".venv", "build"];

/// Whether `made` is there and newer than every file in `inputs`.
pub(super) fn is_newer(made: &Path, inputs: &[PathBuf]) -> bool {
    changed(made).is_some_and(|made| inputs.iter().all(|input| newest(input).is_some_and(|newest| newest < made)))
}

/// When the newest file in `path`, or the file `path`, was changed.
fn newest(path: &Path) -> Option<SystemTime> {
    if !path.is_dir() {
        return changed(path);
    }
    let entries = fs::read_dir(path).ok()?.flatten().map(|entry| entry.path());
    let is_source = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        !path.is_symlink() && !LEFT_BEHIND.contains(&name) && !name.ends_with(".egg-info")
    };
    entries.filter(is_source).filter_map(|entry| newest(&entry)).max()
}

fn changed(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::Duration;

    #[test]
    fn one_newer_file_is_enough() {
        let folder = std::env::temp_dir().join(format!("tidemark-fresh-{}", std::process::id()));
        fs::create_dir_all(folder.join("in/target")).expect("a folder");
        let at = |name: &str, seconds: u64| {
            let file = File::create(folder.join(name)).expect("a file");
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).expect("its time");
        };
        at("in/a", 1);
        at("in/target/left", 9);
        at("made", 5);
        let (made, inputs) = (folder.join("made"), [folder.join("in")]);
        assert!(is_newer(&made, &inputs));
        at("in/b", 6);
        assert!(!is_newer(&made, &inputs));
        assert!(!is_newer(&folder.join("not-there"), &inputs));
        fs::remove_dir_all(&folder).expect("cleans up");
    }
}
