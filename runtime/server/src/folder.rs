//! Folders that go.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Removes a folder with all that is in it; one that is not there is removed already. The error names the folder.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::new(error.kind(), format!("cannot remove {}: {error}", folder.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_removed_and_what_cannot_be_is_named() {
        let parent = tempfile::tempdir().expect("a folder");
        let (folder, file) = (parent.path().join("folder"), parent.path().join("file"));
        fs::create_dir(&folder).and_then(|()| fs::write(folder.join("inside"), "")).expect("a full folder");
        fs::write(&file, "").expect("a file");
        remove(&folder).expect("it goes");
        remove(&folder).expect("it has gone");
        assert!(!folder.exists());
        let error = remove(&file.join("below")).expect_err("no folder can be below a file");
        assert!(error.to_string().contains("file/below"), "{error}");
    }
}
