//! Recovery: after it the storage shows the committed epoch and nothing later, as an undisturbed run would have left it.

use super::file_name::{FileName, split_visible};
use super::layout::table_folder;
use super::storage::Storage;
use super::{ParquetSink, step};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

impl ParquetSink {
    /// Removes what epochs after `committed` left: staged and spilled files, and files in place, of which there are
    /// some only where state went back to an older checkpoint.
    pub(super) fn remove_leftovers(&mut self, committed: Epoch) -> Result<(), PortError> {
        self.storage.forget_all_staged()?;
        (self.fail_point)(step::RECOVER_CLEARED);
        for kind in [TableKind::Events, TableKind::Metric(String::new()), TableKind::DeadLetters] {
            let (table, depth) = table_folder(&kind);
            for folder in data_folders(&*self.storage, table, depth)? {
                self.remove_later_files(&folder, committed)?;
            }
        }
        self.remove_superseded()
    }

    fn remove_later_files(&mut self, folder: &str, committed: Epoch) -> Result<(), PortError> {
        let files: Vec<FileName> = self.storage.files(folder)?.into_iter().map(|file| file.name).collect();
        let (visible, superseded) = split_visible(files.iter().copied());
        if let Some(file) = files.iter().find(|file| file.last > committed)
            && committed == Epoch(0)
        {
            return Err(refused(&self.storage.describe(folder, &file.to_string()), *file));
        }
        let is_mixed = |file: &&FileName| file.first <= committed && file.last > committed;
        // What is superseded has no row that is not in a visible file.
        for &name in superseded.iter().filter(is_mixed) {
            self.storage.remove(folder, name)?;
        }
        for &name in visible.iter().filter(is_mixed) {
            self.cut(folder, name, committed)?;
        }
        let later: Vec<FileName> = files.iter().copied().filter(|file| file.first > committed).collect();
        for &name in &later {
            let file = self.storage.describe(folder, &name.to_string());
            tracing::warn!(file, epoch = committed.0, "removing rows of epochs after the committed one");
            self.storage.remove(folder, name)?;
        }
        if !later.is_empty() && later.len() == files.len() {
            self.storage.remove_empty(folder)?;
        }
        if !split_visible(files).1.is_empty() {
            self.with_superseded.insert(folder.to_owned());
        }
        Ok(())
    }
}

/// The folders `depth` levels below `folder`, all relative to the root, sorted.
fn data_folders(storage: &dyn Storage, folder: &str, depth: usize) -> Result<Vec<String>, PortError> {
    let mut level = vec![folder.to_owned()];
    for _ in 0..depth {
        let mut next = Vec::new();
        for folder in &level {
            let partitions = storage.folders(folder)?.into_iter().filter(|name| name.contains('='));
            next.extend(partitions.map(|name| format!("{folder}/{name}")));
        }
        level = next;
    }
    Ok(level)
}

/// Without any committed epoch the files are not this job's.
fn refused(path: &str, file: FileName) -> PortError {
    PortError::Stop(format!(
        "{path} holds rows up to epoch {}, but the job's state has no committed epoch: the state was lost or the folder \
         belongs to another job; restore the state, or choose an empty folder",
        file.last
    ))
}
