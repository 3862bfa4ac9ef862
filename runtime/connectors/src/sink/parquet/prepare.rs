//! Prepare: the epoch's rows, and what was merged meanwhile, become files in the staging folder, durable but not visible.

use super::file_name::FileName;
use super::file_writer::FileWriter;
use super::handle::{Handle, PreparedFile, staged_path, staging_folder};
use super::merging::{self, Merging, Round, merge_files};
use super::{ParquetSink, step};
use crate::durable::{self, Fingerprint};
use crate::side_by_side::side_by_side;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

impl ParquetSink {
    /// Stages everything that becomes visible with `epoch`. Can be repeated after an error.
    pub(super) fn stage(&mut self, epoch: Epoch) -> Result<Handle, PortError> {
        let mut staging = Staging::open(self.storage.scratch(), epoch)?;
        if self.pending.runs().is_empty() {
            let rows = self.pending.folders(&mut self.folders)?;
            let names: Vec<String> = rows.iter().map(|rows| rows.folder.clone()).collect();
            if !rows.is_empty() {
                staging.create()?;
            }
            let settings = &self.settings;
            // Epochs wait for this, and other threads do, too: files are written side by side.
            let written = side_by_side(rows, |place, rows| {
                let path = staged_path(&staging.folder, place);
                let writer = FileWriter::create(&path, rows.kind, rows.schema.clone(), settings)?;
                rows.write(writer)
            });
            for (folder, content) in names.iter().zip(written) {
                staging.add(folder, FileName::of_epoch(epoch), content?);
                self.reach_once(staging.handle.files.len(), step::PREPARE_STAGED);
            }
        } else {
            self.pending.spill(&mut self.folders, &self.settings)?;
            for (folder, (kind, runs)) in self.pending.runs() {
                let path = staging.next_path()?;
                let merged = merge_files(kind, runs, &path, &self.settings, &AtomicBool::new(false))?;
                let content = merged.map_err(|error| {
                    PortError::Stop(format!("rows spilled to disk are lost: {error}; check the disk and start again"))
                })?;
                let content = content.expect("it stays wanted");
                staging.add(folder, FileName::of_epoch(epoch), content);
                self.reach_once(staging.handle.files.len(), step::PREPARE_STAGED);
            }
        }
        self.stage_merged(&mut staging)?;
        self.storage.stage(&mut staging.handle)?;
        Ok(staging.handle)
    }

    fn reach_once(&self, files: usize, name: &'static str) {
        if files == 1 {
            (self.fail_point)(name);
        }
    }

    /// Stages what was merged since the last epoch.
    fn stage_merged(&mut self, staging: &mut Staging) -> Result<(), PortError> {
        if let Some(merging) = self.merging.take() {
            self.merged = Some(match merging.finish() {
                Ok(merged) => merged,
                Err(error) => {
                    // When the epoch is prepared again, so is this.
                    self.start_merging()?;
                    return Err(error);
                }
            });
        }
        let Some(merged) = &self.merged else { return Ok(()) };
        for file in &merged.files {
            let path = staging.next_path()?;
            // A second name: the first one is needed if the epoch has to be prepared again.
            let linked = fs::hard_link(&file.path, &path).or_else(|_| fs::copy(&file.path, &path).map(|_| ()));
            linked.map_err(|error| durable::port_error("link", &path, &error))?;
            staging.add(&file.folder, file.name, file.content.clone());
        }
        staging.handle.waiting.extend(merged.waiting.iter().cloned());
        self.unmergeable.extend(merged.unmergeable.iter().cloned());
        Ok(())
    }

    /// Merges what is due in the folders that the last epoch touched, in the background.
    pub(super) fn start_merging(&mut self) -> Result<(), PortError> {
        let folders: BTreeSet<String> = self.to_look_at.difference(&self.unmergeable).cloned().collect();
        // One round at a time: they use the same folder.
        (self.merging, self.merged) = (None, None);
        if folders.is_empty() || self.settings.compaction.files == 0 {
            return Ok(());
        }
        self.merging = Some(Merging::start(Round {
            storage: self.storage.clone(),
            settings: self.settings.clone(),
            fail_point: self.fail_point.clone(),
            folders,
        })?);
        Ok(())
    }

    /// The epoch is prepared: what was merged is part of it.
    pub(super) fn forget_merged(&mut self) -> Result<(), PortError> {
        if self.merged.take().is_some_and(|merged| !merged.files.is_empty()) {
            merging::forget(self.storage.scratch())?;
        }
        Ok(())
    }
}

/// The staging folder of an epoch, filled file by file. There is none on disk for an epoch without files.
pub(super) struct Staging {
    folder: PathBuf,
    pub(super) handle: Handle,
}

impl Staging {
    /// Starts empty, whatever an earlier attempt left.
    pub(super) fn open(scratch: &Path, epoch: Epoch) -> Result<Self, PortError> {
        let folder = staging_folder(scratch, epoch);
        durable::remove_folder(&folder).map_err(|error| durable::port_error("remove", &folder, &error))?;
        Ok(Self { folder, handle: Handle::new(epoch) })
    }

    fn create(&self) -> Result<(), PortError> {
        let created = durable::create_folders(&self.folder);
        created.map_err(|error| durable::port_error("create", &self.folder, &error))
    }

    /// Where the next file is to be written.
    pub(super) fn next_path(&self) -> Result<PathBuf, PortError> {
        if self.handle.files.is_empty() {
            self.create()?;
        }
        Ok(staged_path(&self.folder, self.handle.files.len()))
    }

    pub(super) fn add(&mut self, folder: &str, name: FileName, content: Fingerprint) {
        let (folder, name) = (folder.to_owned(), name.to_string());
        self.handle.files.push(PreparedFile { folder, name, content, upload: None });
    }
}
