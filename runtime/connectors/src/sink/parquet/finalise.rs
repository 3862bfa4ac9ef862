//! Finalise: staged files become visible, and what a merged file replaces is removed. Every step can be repeated, so
//! recovery does the same again for the committed epoch.

use super::file_name::{FileName, split_visible};
use super::handle::{Handle, PreparedFile};
use super::storage::Published;
use super::{ParquetSink, step};
use std::collections::BTreeSet;
use tidemark_engine::ports::PortError;

/// How far a file's content is trusted before it becomes visible.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// This process wrote it: its size.
    Size,
    /// It comes from before a crash: its checksum.
    Content,
}

impl ParquetSink {
    /// Makes the files of `handle` visible and removes what they replace.
    pub(super) fn publish(&mut self, handle: &Handle, check: Check) -> Result<(), PortError> {
        let mut touched = BTreeSet::new();
        let (count, first) = (handle.files.len(), handle.files.len().min(1));
        for places in [0..first, first..count] {
            if places.is_empty() {
                continue;
            }
            let published = self.storage.publish(handle, places.clone(), check)?;
            for (place, published) in places.clone().zip(published) {
                self.check_published(place, &handle.files[place], published)?;
                touched.insert(handle.files[place].folder.as_str());
            }
            if places.start == 0 {
                (self.fail_point)(step::FINALISE_PARTIAL);
            }
        }
        for folder in touched {
            // Before anything is removed: no crash may keep the removal and lose the new file.
            self.storage.settle(folder)?;
        }
        (self.fail_point)(step::FINALISE_RENAMED);
        let merged = handle.files.iter().filter(|file| file.is_merged());
        self.with_superseded.extend(merged.map(|file| file.folder.clone()));
        self.remove_superseded()?;
        if handle.files.is_empty() {
            return Ok(());
        }
        self.storage.forget_staged(handle.epoch)
    }

    fn check_published(&self, place: usize, file: &PreparedFile, published: Published) -> Result<(), PortError> {
        match published {
            Published::Visible => Ok(()),
            Published::Gone if self.is_superseded(file)? => Ok(()),
            Published::Damaged(name) => Err(PortError::Stop(format!(
                "{name} is not what the committed epoch wrote: the file is damaged; put it back from a copy, or run the job \
                 again from its input into an empty folder"
            ))),
            Published::Gone => Err(PortError::Stop(format!(
                "a file of the committed epoch is gone: {} exists neither there nor staged as {place:06}.parquet; put it \
                 back from a copy, or run the job again from its input into an empty folder",
                self.storage.describe(&file.folder, &file.name)
            ))),
        }
    }

    /// Whether the rows of `file` lie in a merged file by now.
    fn is_superseded(&self, file: &PreparedFile) -> Result<bool, PortError> {
        let own = FileName::parse(&file.name);
        let names = self.storage.files(&file.folder)?.into_iter().map(|file| file.name).chain(own);
        Ok(split_visible(names).1.iter().any(|name| Some(*name) == own))
    }

    /// Removes superseded files, unless readers may hold some: those with a later epoch, or at the next start.
    pub(super) fn remove_superseded(&mut self) -> Result<(), PortError> {
        let Self { storage, with_superseded, fail_point, .. } = self;
        let mut reached = false;
        for folder in with_superseded.clone() {
            let is_done = storage.remove_superseded(&folder, &mut || {
                if !std::mem::replace(&mut reached, true) {
                    fail_point(step::FINALISE_REPLACED);
                }
            })?;
            if is_done {
                with_superseded.remove(&folder);
            } else {
                tracing::debug!(folder, "readers may hold files that merged ones have replaced");
            }
        }
        Ok(())
    }
}
