//! Prepare: the epoch's rows, and what is due to be merged, become synced files in the staging folder.

use super::compaction::{self, StoredFile};
use super::file_name::{FileName, split_visible};
use super::file_writer::FileWriter;
use super::handle::{Handle, PreparedFile, STAGING, staged_path, staging_folder};
use super::layout::kind_of_folder;
use super::merge::{self, InputError, Merge};
use super::{ParquetSink, step};
use crate::durable::{self, Fingerprint};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

impl ParquetSink {
    /// Stages everything that becomes visible with `epoch`. Can be repeated after an error.
    pub(super) fn stage(&mut self, epoch: Epoch) -> Result<Handle, PortError> {
        let mut staging = Staging::open(&self.root, epoch)?;
        if self.pending.runs().is_empty() {
            for rows in self.pending.folders(&mut self.folders)? {
                let path = staging.next_path()?;
                let writer = FileWriter::create(&path, rows.kind, rows.schema.clone(), &self.settings)?;
                staging.add(&rows.folder, FileName::of_epoch(epoch), rows.write(writer)?);
                self.reach_once(staging.handle.files.len(), step::PREPARE_STAGED);
            }
        } else {
            self.pending.spill(&mut self.folders, &self.settings)?;
            for (folder, (kind, runs)) in self.pending.runs() {
                let path = staging.next_path()?;
                let content = self.merge(kind, runs, &path)?.map_err(|error| {
                    PortError::Stop(format!("rows spilled to disk are lost: {error}; check the disk and start again"))
                })?;
                staging.add(folder, FileName::of_epoch(epoch), content);
                self.reach_once(staging.handle.files.len(), step::PREPARE_STAGED);
            }
        }
        self.stage_merged(&mut staging)?;
        staging.finish()
    }

    fn reach_once(&self, files: usize, name: &'static str) {
        if files == 1 {
            (self.fail_point)(name);
        }
    }

    /// Stages what is due to be merged in the folders that the last epoch touched.
    fn stage_merged(&mut self, staging: &mut Staging) -> Result<(), PortError> {
        let mut merged_bytes = 0;
        let mut merged_files = 0;
        for folder in self.to_look_at.clone() {
            let Some(kind) = kind_of_folder(&folder) else { continue };
            let inputs = match self.due_in(&folder) {
                Ok(Some(inputs)) => inputs,
                Ok(None) => continue,
                Err(error) => {
                    self.leave_unmerged(&folder, &error);
                    continue;
                }
            };
            let bytes: u64 = inputs.iter().map(|file| file.bytes).sum();
            if merged_files > 0 && merged_bytes + bytes > self.settings.compaction.epoch_bytes {
                staging.handle.waiting.insert(folder);
                continue;
            }
            let (Some(name), path) = (compaction::merged_name(&inputs), staging.next_path()?) else { continue };
            let paths: Vec<PathBuf> = inputs.iter().map(|file| self.path_of(&folder, file.name)).collect();
            match self.merge(&kind, &paths, &path)? {
                Ok(content) => staging.add(&folder, name, content),
                Err(error) => {
                    durable::remove_file(&path).map_err(|error| durable::port_error("remove", &path, &error))?;
                    self.leave_unmerged(&folder, &error);
                    continue;
                }
            }
            merged_bytes += bytes;
            merged_files += 1;
            self.reach_once(merged_files, step::PREPARE_MERGED);
        }
        Ok(())
    }

    fn due_in(&self, folder: &str) -> Result<Option<Vec<StoredFile>>, InputError> {
        if self.unmergeable.contains(folder) {
            return Ok(None);
        }
        let path = self.root.join(folder);
        let files = stored_files(&path).map_err(|source| InputError::Open { path, source })?;
        compaction::plan(&files, &self.settings.compaction, |name| merge::schema_of(&self.path_of(folder, name)))
    }

    /// A damaged old file must not keep new rows from being written.
    fn leave_unmerged(&mut self, folder: &str, error: &InputError) {
        tracing::warn!(folder, %error, "small files of this folder stay as they are until the next start");
        self.unmergeable.insert(folder.to_owned());
    }

    fn path_of(&self, folder: &str, name: FileName) -> PathBuf {
        self.root.join(folder).join(name.to_string())
    }

    /// Merges sorted files into a new one. The outer error is one of writing, the inner one of reading.
    fn merge(
        &self,
        kind: &TableKind,
        inputs: &[PathBuf],
        output: &Path,
    ) -> Result<Result<Fingerprint, InputError>, PortError> {
        let mut merge = match Merge::open(kind, inputs) {
            Ok(merge) => merge,
            Err(error) => return Ok(Err(error)),
        };
        let mut writer = FileWriter::create(output, kind, merge.schema().clone(), &self.settings)?;
        loop {
            match merge.next_chunk() {
                Ok(Some(rows)) => writer.write(&rows)?,
                Ok(None) => return writer.finish().map(Ok),
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

/// The visible files of a folder, in epoch order.
fn stored_files(folder: &Path) -> std::io::Result<Vec<StoredFile>> {
    let names = durable::entries(folder)?;
    let (visible, _) = split_visible(names.iter().filter_map(|name| FileName::parse(name)));
    let stored = visible.into_iter().map(|name| {
        let bytes = fs::metadata(folder.join(name.to_string()))?.len();
        Ok(StoredFile { name, bytes })
    });
    stored.collect()
}

/// The staging folder of an epoch, filled file by file. There is none on disk for an epoch without files.
struct Staging {
    root: PathBuf,
    folder: PathBuf,
    handle: Handle,
}

impl Staging {
    /// Starts empty, whatever an earlier attempt left.
    fn open(root: &Path, epoch: Epoch) -> Result<Self, PortError> {
        let folder = staging_folder(root, epoch);
        durable::remove_folder(&folder).map_err(|error| durable::port_error("remove", &folder, &error))?;
        Ok(Self { root: root.to_owned(), folder, handle: Handle::new(epoch) })
    }

    /// Where the next file is to be written.
    fn next_path(&self) -> Result<PathBuf, PortError> {
        if self.handle.files.is_empty() {
            let created = durable::create_folders(&self.folder);
            created.map_err(|error| durable::port_error("create", &self.folder, &error))?;
        }
        Ok(staged_path(&self.folder, self.handle.files.len()))
    }

    fn add(&mut self, folder: &str, name: FileName, content: Fingerprint) {
        self.handle.files.push(PreparedFile { folder: folder.to_owned(), name: name.to_string(), content });
    }

    /// Makes the folder's entries durable.
    fn finish(self) -> Result<Handle, PortError> {
        if !self.handle.files.is_empty() {
            for folder in [&self.folder, &self.root.join(STAGING)] {
                durable::sync_folder(folder).map_err(|error| durable::port_error("sync", folder, &error))?;
            }
        }
        Ok(self.handle)
    }
}

/// Superseded files of a folder: what a merged file there made redundant.
pub(super) fn superseded_files(folder: &Path) -> std::io::Result<BTreeSet<FileName>> {
    let names = durable::entries(folder)?;
    let (_, superseded) = split_visible(names.iter().filter_map(|name| FileName::parse(name)));
    Ok(superseded.into_iter().collect())
}
