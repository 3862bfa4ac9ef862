//! The tick log beside the checkpoints: what came from outside, epoch by epoch, so that the epochs since a checkpoint
//! can be re-run exactly.
//!
//! ```text
//! ticks/000000000101.log                        records of epoch 101 and later ones
//! record: "TICK" | length u32 | epoch u64 | XXH3-64 of epoch and content u64 | content     (little-endian)
//! ```
//!
//! A crash may leave the last record half written: opening cuts it off. What looks half written but has a whole record
//! behind it is damage, and an error. The content is the engine's affair.

mod record;
mod remote;
mod segment;
#[cfg(test)]
mod tests;

pub use record::LARGEST_RECORD;
pub use remote::StoreTickLog;
pub use segment::Records;

use super::error::CheckpointError;
use crate::durable;
use record::{HEADER, frame};
use segment::scan;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

/// Bytes after which the next epoch starts a new segment.
const SEGMENT_BYTES: u64 = 16 << 20;

/// An append-only log in a folder of segments.
pub struct TickLog {
    folder: PathBuf,
    segment_bytes: u64,
    /// First epochs of the segments, ascending; the last one is being written.
    segments: Vec<Epoch>,
    open: Option<OpenSegment>,
    last: Option<Epoch>,
}

struct OpenSegment {
    file: File,
    bytes: u64,
}

impl TickLog {
    /// Opens the log in `folder`, created if it is missing, and cuts a half-written record off its end.
    ///
    /// # Errors
    /// [`PortError::Stop`] where a record before the end is damaged.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        Self::with_segment_bytes(folder, SEGMENT_BYTES)
    }

    fn with_segment_bytes(folder: &Path, segment_bytes: u64) -> Result<Self, CheckpointError> {
        durable::create_folders(folder).map_err(|error| CheckpointError::refused("create", folder, &error))?;
        let names = durable::entries(folder).map_err(|error| CheckpointError::refused("list", folder, &error))?;
        let segments = names.iter().filter_map(|name| epoch_of_file_name(name)).collect();
        let mut log = Self { folder: folder.to_owned(), segment_bytes, segments, open: None, last: None };
        log.reopen()?;
        Ok(log)
    }

    /// Appends a record of `epoch`. Durable after [`Self::sync`].
    ///
    /// # Errors
    /// [`PortError::Stop`] for a record over [`LARGEST_RECORD`], and for an epoch before that of the last record: see
    /// [`Self::cut_after`].
    pub fn append(&mut self, epoch: Epoch, content: &[u8]) -> Result<(), CheckpointError> {
        if content.len() > LARGEST_RECORD {
            let requested = content.len();
            return stop(format!(
                "a tick log record takes {requested} bytes, limit {LARGEST_RECORD}: make epochs shorter"
            ));
        }
        if let Some(last) = self.last.filter(|last| epoch < *last) {
            return stop(format!("the tick log is at epoch {last}, and a record of epoch {epoch} came after it"));
        }
        let full = self.open.as_ref().is_none_or(|segment| segment.bytes >= self.segment_bytes);
        if full && self.last != Some(epoch) || self.open.is_none() {
            self.start_segment(epoch)?;
        }
        let path = self.path(self.segments.last().copied().unwrap_or(epoch));
        let segment = self.open.as_mut().expect("a segment was opened above");
        if let Err(error) = segment.file.write_all(&frame(epoch, content)) {
            // What was written of the record is torn: a later record must not follow it.
            let _ = segment.file.set_len(segment.bytes);
            return Err(CheckpointError::refused("append to", &path, &error));
        }
        segment.bytes += (HEADER + content.len()) as u64;
        self.last = Some(epoch);
        Ok(())
    }

    /// Makes every appended record durable.
    pub fn sync(&mut self) -> Result<(), CheckpointError> {
        let Some(segment) = &self.open else { return Ok(()) };
        segment.file.sync_data().map_err(|error| CheckpointError::refused("sync", &self.folder, &error))
    }

    /// The epoch of the last record.
    #[must_use]
    pub fn last_epoch(&self) -> Option<Epoch> {
        self.last
    }

    /// The epoch of the first record.
    pub fn first_epoch(&self) -> Result<Option<Epoch>, CheckpointError> {
        Ok(self.read_from(Epoch(0))?.next().transpose()?.map(|(epoch, _)| epoch))
    }

    /// The records of `from` and later epochs, in order, read as they are asked for.
    pub fn read_from(&self, from: Epoch) -> Result<Records, CheckpointError> {
        // A segment ends where the next one begins, so the last one that begins before `from` may have some of it, too.
        let first = self.segments.partition_point(|epoch| *epoch <= from).saturating_sub(1);
        let paths = self.segments[first..].iter().rev().map(|epoch| self.path(*epoch)).collect();
        Ok(Records { from, paths, segment: None })
    }

    /// Removes the records of epochs after `committed`: what was appended for epochs that were never committed.
    pub fn cut_after(&mut self, committed: Epoch) -> Result<(), CheckpointError> {
        if self.last.is_none_or(|last| last <= committed) {
            return Ok(());
        }
        while let Some(&first) = self.segments.last() {
            let path = self.path(first);
            let refused = |error: io::Error| CheckpointError::refused("shorten", &path, &error);
            if first > committed {
                durable::remove_file(&path).map_err(refused)?;
                self.segments.pop();
                continue;
            }
            let scan = scan(&path, |epoch| epoch <= committed)?;
            truncate(&path, scan.end).map_err(refused)?;
            break;
        }
        durable::sync_folder(&self.folder).map_err(|error| CheckpointError::refused("sync", &self.folder, &error))?;
        self.reopen()
    }

    /// Removes segments that hold only epochs before `epoch`, the oldest checkpoint's: nobody will re-run them.
    pub fn remove_before(&mut self, epoch: Epoch) -> Result<(), CheckpointError> {
        // The records of a segment end at the first of the next one, which must not be after `epoch`.
        while self.segments.len() > 1 && self.segments[1] <= epoch {
            let path = self.path(self.segments[0]);
            durable::remove_file(&path).map_err(|error| CheckpointError::refused("remove", &path, &error))?;
            self.segments.remove(0);
        }
        Ok(())
    }

    /// Opens the last segment for appending, behind its last whole record.
    fn reopen(&mut self) -> Result<(), CheckpointError> {
        (self.open, self.last) = (None, None);
        while let Some(&first) = self.segments.last() {
            let path = self.path(first);
            let refused = |error: io::Error| CheckpointError::refused("open", &path, &error);
            let found = scan(&path, |_| true)?;
            if found.end == 0 {
                durable::remove_file(&path).map_err(refused)?;
                self.segments.pop();
                continue;
            }
            truncate(&path, found.end).map_err(refused)?;
            let file = OpenOptions::new().append(true).open(&path).map_err(refused)?;
            (self.open, self.last) = (Some(OpenSegment { file, bytes: found.end }), found.last);
            break;
        }
        Ok(())
    }

    fn start_segment(&mut self, epoch: Epoch) -> Result<(), CheckpointError> {
        self.sync()?;
        let path = self.path(epoch);
        let created = OpenOptions::new().create_new(true).append(true).open(&path);
        let file = created.map_err(|error| CheckpointError::refused("create", &path, &error))?;
        durable::sync_folder(&self.folder).map_err(|error| CheckpointError::refused("sync", &self.folder, &error))?;
        self.open = Some(OpenSegment { file, bytes: 0 });
        self.segments.push(epoch);
        Ok(())
    }

    fn path(&self, first: Epoch) -> PathBuf {
        self.folder.join(format!("{:012}.log", first.0))
    }
}

fn truncate(path: &Path, length: u64) -> io::Result<()> {
    if fs::metadata(path)?.len() == length {
        return Ok(());
    }
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}

fn epoch_of_file_name(name: &str) -> Option<Epoch> {
    let epoch = Epoch(name.strip_suffix(".log")?.parse().ok()?);
    (name == format!("{:012}.log", epoch.0)).then_some(epoch)
}

fn stop<T>(message: String) -> Result<T, CheckpointError> {
    Err(PortError::Stop(message).into())
}
