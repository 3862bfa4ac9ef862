//! Prepare: the epoch's rows, and what is due to be merged, become files in the staging folder, durable but not
//! visible.

use super::compaction::{self, StoredFile};
use super::file_name::{FileName, split_visible};
use super::file_writer::FileWriter;
use super::handle::{Handle, PreparedFile, staged_path, staging_folder};
use super::layout::kind_of_folder;
use super::merge::{self, InputError, Merge};
use super::{ParquetSink, step};
use crate::durable::{self, Fingerprint};
use std::path::{Path, PathBuf};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

impl ParquetSink {
    /// Stages everything that becomes visible with `epoch`. Can be repeated after an error.
    pub(super) fn stage(&mut self, epoch: Epoch) -> Result<Handle, PortError> {
        let mut staging = Staging::open(self.storage.scratch(), epoch)?;
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
        self.storage.forget_read()?;
        self.storage.stage(&mut staging.handle)?;
        Ok(staging.handle)
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
                // A store that is away will be there when the epoch is prepared again.
                Err(InputError::Storage(PortError::Retry(message))) => return Err(PortError::Retry(message)),
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
            let paths = inputs.iter().map(|file| self.storage.read(&folder, file.name));
            let paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
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
        let mut files = self.storage.files(folder)?;
        let visible = split_visible(files.iter().map(|file| file.name)).0;
        files.retain(|file| visible.contains(&file.name));
        files.sort_unstable_by_key(|file| file.name);
        compaction::plan(&files, &self.settings.compaction, |name| merge::schema_of(&self.storage.read(folder, name)?))
    }

    /// A damaged old file must not keep new rows from being written.
    fn leave_unmerged(&mut self, folder: &str, error: &InputError) {
        tracing::warn!(folder, %error, "small files of this folder stay as they are until the next start");
        self.unmergeable.insert(folder.to_owned());
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

/// The staging folder of an epoch, filled file by file. There is none on disk for an epoch without files.
struct Staging {
    folder: PathBuf,
    handle: Handle,
}

impl Staging {
    /// Starts empty, whatever an earlier attempt left.
    fn open(scratch: &Path, epoch: Epoch) -> Result<Self, PortError> {
        let folder = staging_folder(scratch, epoch);
        durable::remove_folder(&folder).map_err(|error| durable::port_error("remove", &folder, &error))?;
        Ok(Self { folder, handle: Handle::new(epoch) })
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
        let (folder, name) = (folder.to_owned(), name.to_string());
        self.handle.files.push(PreparedFile { folder, name, content, upload: None });
    }
}
