//! Recovery: after it the folder shows the committed epoch and nothing later, as an undisturbed run would have left it.

use super::file_name::{FileName, split_visible};
use super::handle::STAGING;
use super::layout::table_folder;
use super::{ParquetSink, step};
use crate::durable;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

impl ParquetSink {
    /// Removes what epochs after `committed` left: staged and spilled files, and files in place, of which there are
    /// some only where state went back to an older checkpoint.
    pub(super) fn remove_leftovers(&mut self, committed: Epoch) -> Result<(), PortError> {
        let staging = self.root.join(STAGING);
        let names = durable::entries(&staging).map_err(|error| durable::port_error("list", &staging, &error))?;
        for name in names.iter().filter(|name| !name.ends_with(".lock")) {
            let path = staging.join(name);
            durable::remove_folder(&path).map_err(|error| durable::port_error("remove", &path, &error))?;
        }
        (self.fail_point)(step::RECOVER_CLEARED);
        for folder in data_folders(&self.root).map_err(|error| durable::port_error("list", &self.root, &error))? {
            self.remove_later_files(&folder, committed)?;
        }
        self.remove_superseded()
    }

    fn remove_later_files(&mut self, folder: &str, committed: Epoch) -> Result<(), PortError> {
        let path = self.root.join(folder);
        let names = durable::entries(&path).map_err(|error| durable::port_error("list", &path, &error))?;
        let files: Vec<FileName> = names.iter().filter_map(|name| FileName::parse(name)).collect();
        if let Some(file) = files.iter().find(|file| file.last > committed) {
            refuse_mixed(&path, *file, committed)?;
        }
        let later: Vec<&FileName> = files.iter().filter(|file| file.first > committed).collect();
        for name in &later {
            let file = path.join(name.to_string());
            tracing::warn!(file = %file.display(), epoch = committed.0, "removing rows of epochs after the committed one");
            durable::remove_file(&file).map_err(|error| durable::port_error("remove", &file, &error))?;
        }
        if !later.is_empty() && later.len() == names.len() {
            remove_empty_folders(&self.root, &path)?;
        }
        if !split_visible(files).1.is_empty() {
            self.with_superseded.insert(folder.to_owned());
        }
        Ok(())
    }
}

/// Later epochs are cut off file by file, which is impossible where one file holds earlier rows, too; and without any
/// committed epoch the files are not this job's.
fn refuse_mixed(folder: &Path, file: FileName, committed: Epoch) -> Result<(), PortError> {
    let path = folder.join(file.to_string());
    if committed == Epoch(0) {
        return Err(PortError::Stop(format!(
            "{} holds rows up to epoch {}, but the job's state has no committed epoch: the state was lost or the folder \
             belongs to another job; restore the state, or choose an empty folder",
            path.display(),
            file.last
        )));
    }
    if file.first <= committed {
        return Err(PortError::Stop(format!(
            "{} holds rows of epochs {} to {}, and state goes back to epoch {committed}: the later rows cannot be cut \
             off; restore a checkpoint of epoch {} or later, or move the folder away and run the job again from its input",
            path.display(),
            file.first,
            file.last,
            file.last
        )));
    }
    Ok(())
}

fn remove_empty_folders(root: &Path, folder: &Path) -> Result<(), PortError> {
    let below_root = folder.ancestors().take_while(|ancestor| *ancestor != root);
    for empty in below_root {
        match fs::remove_dir(empty) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(()),
            Err(error) => return Err(durable::port_error("remove", empty, &error)),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Every folder that may hold data files, relative to the root.
fn data_folders(root: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for kind in [TableKind::Events, TableKind::Metric(String::new()), TableKind::DeadLetters] {
        let (table, depth) = table_folder(&kind);
        found.extend(leaf_folders(root, table, depth)?);
    }
    Ok(found)
}

/// The folders `depth` levels below `folder`, all relative to the root, sorted.
pub(super) fn leaf_folders(root: &Path, folder: &str, depth: usize) -> io::Result<Vec<String>> {
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
    level.retain(|folder| PathBuf::from(root).join(folder).is_dir());
    Ok(level)
}
