//! Finalise: staged files are renamed into place, and what a merged file replaces is removed. Every step can be
//! repeated, so recovery does the same again for the committed epoch.

use super::file_name::{FileName, split_visible};
use super::handle::{Handle, PreparedFile, staged_path, staging_folder};
use super::prepare::superseded_files;
use super::{ParquetSink, step};
use crate::durable::{self, Fingerprint};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use tidemark_engine::ports::PortError;

/// How far a file's content is trusted before it becomes visible.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// This process wrote and synced it: its size.
    Size,
    /// It comes from before a crash: its checksum.
    Content,
}

impl ParquetSink {
    /// Makes the files of `handle` visible and removes what they replace.
    pub(super) fn publish(&mut self, handle: &Handle, check: Check) -> Result<(), PortError> {
        let staging = staging_folder(&self.root, handle.epoch);
        let mut touched = BTreeSet::new();
        for (place, file) in handle.files.iter().enumerate() {
            self.publish_file(&staged_path(&staging, place), file, check)?;
            touched.insert(file.folder.as_str());
            if place == 0 {
                (self.fail_point)(step::FINALISE_PARTIAL);
            }
        }
        for folder in touched {
            // Before anything is removed: no crash may keep the removal and lose the rename.
            let path = self.root.join(folder);
            durable::sync_folder(&path).map_err(|error| durable::port_error("sync", &path, &error))?;
        }
        (self.fail_point)(step::FINALISE_RENAMED);
        let merged = handle.files.iter().filter(|file| file.is_merged());
        self.with_superseded.extend(merged.map(|file| file.folder.clone()));
        self.remove_superseded()?;
        durable::remove_folder(&staging).map_err(|error| durable::port_error("remove", &staging, &error))
    }

    fn publish_file(&self, staged: &Path, file: &PreparedFile, check: Check) -> Result<(), PortError> {
        let target = file.target(&self.root);
        let from = if staged.exists() { staged } else { target.as_path() };
        let found = match (check, fs::metadata(from)) {
            (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                return if self.is_superseded(file) { Ok(()) } else { Err(lost(staged, &target)) };
            }
            (Check::Size, metadata) => metadata.map(|found| found.len() == file.content.bytes),
            (Check::Content, _) => Fingerprint::of_file(from).map(|found| found == file.content),
        };
        if !found.map_err(|error| durable::port_error("read", from, &error))? {
            return Err(PortError::Stop(format!(
                "{} is not what the committed epoch wrote: the file is damaged; put it back from a copy, or run \
                 the job again from its input into an empty folder",
                from.display()
            )));
        }
        if from == staged {
            let folder = self.root.join(&file.folder);
            durable::create_folders(&folder).map_err(|error| durable::port_error("create", &folder, &error))?;
            fs::rename(staged, &target).map_err(|error| durable::port_error("rename to", &target, &error))?;
        }
        Ok(())
    }

    /// Whether the rows of `file` lie in a merged file by now.
    fn is_superseded(&self, file: &PreparedFile) -> bool {
        let names = durable::entries(&self.root.join(&file.folder)).unwrap_or_default();
        let own = FileName::parse(&file.name);
        let with_own = names.iter().filter_map(|name| FileName::parse(name)).chain(own);
        split_visible(with_own).1.iter().any(|name| Some(*name) == own)
    }

    /// Removes superseded files, unless a reader holds the folder: then with a later epoch, or at the next start.
    pub(super) fn remove_superseded(&mut self) -> Result<(), PortError> {
        if self.with_superseded.is_empty() {
            return Ok(());
        }
        let Self { root, locks, with_superseded, fail_point, .. } = self;
        let locked = locks.try_exclude_readers().map_err(|error| durable::port_error("lock", root, &error))?;
        let Some(_guard) = locked else {
            tracing::debug!(folders = with_superseded.len(), "readers hold files that merged ones have replaced");
            return Ok(());
        };
        let mut reached = false;
        while let Some(folder) = with_superseded.first() {
            let path = root.join(folder);
            let names = superseded_files(&path).map_err(|error| durable::port_error("list", &path, &error))?;
            for name in names {
                let file = path.join(name.to_string());
                durable::remove_file(&file).map_err(|error| durable::port_error("remove", &file, &error))?;
                if !std::mem::replace(&mut reached, true) {
                    fail_point(step::FINALISE_REPLACED);
                }
            }
            with_superseded.pop_first();
        }
        Ok(())
    }
}

fn lost(staged: &Path, target: &Path) -> PortError {
    PortError::Stop(format!(
        "a file of the committed epoch is gone: neither {} nor {} exists; put it back from a copy, \
         or run the job again from its input into an empty folder",
        staged.display(),
        target.display()
    ))
}
