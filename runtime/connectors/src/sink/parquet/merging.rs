//! Merging in the background: what is due once an epoch is finalised is merged by a thread of its own while the rows of
//! the next one come, and becomes visible together with them.
//!
//! Which files are merged is decided by [`compaction`] from committed files alone, and nobody else changes those, so it
//! makes no difference when the thread gets to it. The merged files wait in a folder beside the staged ones; a run that
//! was killed finds them there, removes them and merges again.

use super::compaction::{self, StoredFile};
use super::file_name::{FileName, split_visible};
use super::file_writer::FileWriter;
use super::layout::kind_of_folder;
use super::merge::{self, InputError, Merge};
use super::settings::ParquetSettings;
use super::step;
use super::storage::Storage;
use crate::durable::{self, Fingerprint};
use crate::fail_point::FailPoint;
use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

/// The folder of merged files, below the scratch folder.
const MERGED: &str = "merged";

/// A merged file that is not visible yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MergedFile {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Where it belongs.
    pub(super) folder: String,
    pub(super) name: FileName,
    pub(super) content: Fingerprint,
}

/// What came of a round of merging.
#[derive(Default)]
pub(super) struct Merged {
    pub(super) files: Vec<MergedFile>,
    /// Folders in which more is due than one epoch does.
    pub(super) waiting: BTreeSet<String>,
    /// Folders with a file that cannot be read.
    pub(super) unmergeable: BTreeSet<String>,
}

/// What a round needs to know.
pub(super) struct Round {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) settings: ParquetSettings,
    pub(super) fail_point: FailPoint,
    /// Where to look.
    pub(super) folders: BTreeSet<String>,
}

/// A round under way.
pub(super) struct Merging {
    thread: Option<JoinHandle<Result<Merged, PortError>>>,
    is_unwanted: Arc<AtomicBool>,
    scratch: PathBuf,
}

impl Merging {
    pub(super) fn start(round: Round) -> Result<Self, PortError> {
        let is_unwanted = Arc::new(AtomicBool::new(false));
        let (told, scratch) = (is_unwanted.clone(), round.storage.scratch().to_owned());
        let thread = std::thread::Builder::new().name("parquet-merging".to_owned());
        let thread = thread.spawn(move || round.run(&told));
        let thread = thread.map_err(|error| PortError::Stop(format!("cannot start a thread for merging: {error}")))?;
        Ok(Self { thread: Some(thread), is_unwanted, scratch })
    }

    /// Waits for the end of the round.
    pub(super) fn finish(mut self) -> Result<Merged, PortError> {
        let thread = self.thread.take().expect("taken only here and when it is dropped");
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Drop for Merging {
    fn drop(&mut self) {
        self.is_unwanted.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it would have said, nobody wants to know any more.
            let _ = thread.join();
            // It may have come to its end before it was told. What stays is removed at the next start.
            let _ = forget(&self.scratch);
        }
    }
}

/// Removes what a round left.
pub(super) fn forget(scratch: &Path) -> Result<(), PortError> {
    let folder = scratch.join(MERGED);
    durable::remove_folder(&folder).map_err(|error| durable::port_error("remove", &folder, &error))
}

/// Merges sorted files into a new one. The outer error is one of writing, the inner one of reading. Gives up, with
/// `None`, when the file is unwanted.
pub(super) fn merge_files(
    kind: &TableKind,
    inputs: &[PathBuf],
    output: &Path,
    settings: &ParquetSettings,
    is_unwanted: &AtomicBool,
) -> Result<Result<Option<Fingerprint>, InputError>, PortError> {
    let mut merge = match Merge::open(kind, inputs) {
        Ok(merge) => merge,
        Err(error) => return Ok(Err(error)),
    };
    let mut writer = FileWriter::create(output, kind, merge.schema().clone(), settings)?;
    while !is_unwanted.load(Ordering::Relaxed) {
        match merge.next_chunk() {
            Ok(Some(rows)) => writer.write(&rows)?,
            Ok(None) => return writer.finish().map(|content| Ok(Some(content))),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(None))
}

impl Round {
    fn run(self, is_unwanted: &AtomicBool) -> Result<Merged, PortError> {
        let scratch = self.storage.scratch().to_owned();
        forget(&scratch)?;
        let mut merged = Merged::default();
        let result = self.merge_all(&scratch.join(MERGED), &mut merged, is_unwanted);
        self.storage.forget_read()?;
        if is_unwanted.load(Ordering::Relaxed) {
            forget(&scratch)?;
        }
        result.map(|()| merged)
    }

    fn merge_all(&self, into: &Path, merged: &mut Merged, is_unwanted: &AtomicBool) -> Result<(), PortError> {
        let mut bytes = 0;
        for folder in &self.folders {
            let Some(kind) = kind_of_folder(folder) else { continue };
            let inputs = match self.due_in(folder) {
                Ok(Some(inputs)) => inputs,
                Ok(None) => continue,
                // A store that is away will be there when this is tried again.
                Err(InputError::Storage(error @ PortError::Retry(_))) => return Err(error),
                Err(error) => {
                    merged.leave(folder, &error);
                    continue;
                }
            };
            let due: u64 = inputs.iter().map(|file| file.bytes).sum();
            if !merged.files.is_empty() && bytes + due > self.settings.compaction.epoch_bytes {
                merged.waiting.insert(folder.clone());
                continue;
            }
            let Some(name) = compaction::merged_name(&inputs) else { continue };
            durable::create_folders(into).map_err(|error| durable::port_error("create", into, &error))?;
            let path = into.join(format!("{:06}.parquet", merged.files.len()));
            let paths = inputs.iter().map(|file| self.storage.read(folder, file.name));
            let paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
            match merge_files(&kind, &paths, &path, &self.settings, is_unwanted)? {
                Ok(Some(content)) => merged.files.push(MergedFile { path, folder: folder.clone(), name, content }),
                Ok(None) => return Ok(()),
                Err(error) => {
                    durable::remove_file(&path).map_err(|error| durable::port_error("remove", &path, &error))?;
                    merged.leave(folder, &error);
                    continue;
                }
            }
            bytes += due;
            if merged.files.len() == 1 {
                (self.fail_point)(step::MERGE_WRITTEN);
            }
        }
        Ok(())
    }

    fn due_in(&self, folder: &str) -> Result<Option<Vec<StoredFile>>, InputError> {
        let mut files = self.storage.files(folder)?;
        let visible = split_visible(files.iter().map(|file| file.name)).0;
        files.retain(|file| visible.contains(&file.name));
        files.sort_unstable_by_key(|file| file.name);
        compaction::plan(&files, &self.settings.compaction, |name| merge::schema_of(&self.storage.read(folder, name)?))
    }
}

impl Merged {
    /// A damaged old file must not keep new rows from being written.
    fn leave(&mut self, folder: &str, error: &InputError) {
        tracing::warn!(folder, %error, "small files of this folder stay as they are until the next start");
        self.unmergeable.insert(folder.to_owned());
    }
}
