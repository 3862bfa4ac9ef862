//! The log of records that were submitted again.
//!
//! A submission is first written to the redo log, with the place where its records will stand, then appended to their
//! file. A crash in between is made good when the log is opened, before the source reads: so a submission that was
//! acknowledged is there, one that was not is there whole or not at all, and none is there twice.

use super::{EVERYBODY, file_of};
use crate::durable;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

const REDO: &str = ".submitted";

/// Why nothing was submitted.
#[derive(Debug, thiserror::Error)]
pub enum AgainError {
    /// The folder is full.
    #[error("what was submitted again takes {bytes} bytes already, and may take {most}: start a new data folder")]
    Full {
        /// Bytes of records with those of this submission.
        bytes: u64,
        /// The limit.
        most: u64,
    },
    /// The file system refused.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// The log is not as it was written.
    #[error("{path} is damaged in line {line}: bring it back from a copy", path = path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
        /// The line.
        line: usize,
    },
}

/// Records that are to be read once more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submission {
    /// What they were submitted for: one that was submitted before is left out.
    pub id: String,
    /// The metric that alone is to have them; `None`: everybody.
    pub metric: Option<String>,
    /// The records, without line ends in them.
    pub records: Vec<Vec<u8>>,
}

/// What became of submissions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Submitted {
    /// Ids that are submitted now.
    pub now: Vec<String>,
    /// Ids that had been submitted before.
    pub before: Vec<String>,
    /// How many records were appended.
    pub records: usize,
}

/// A line of the redo log.
#[derive(Serialize, Deserialize)]
struct Entry {
    ids: Vec<String>,
    file: String,
    offset: u64,
    lines: String,
}

/// The log, open for writing.
pub struct AgainLog {
    folder: PathBuf,
    redo: File,
    ids: HashSet<String>,
    bytes: u64,
    most_bytes: u64,
    /// What is in the redo log and not yet, or not certainly, in its file.
    unfinished: Option<Entry>,
}

impl AgainLog {
    /// Opens the log in `folder`, made if it is missing, and finishes what a crash interrupted. To be called before the
    /// source starts. Records may take `most_bytes`.
    pub fn open(folder: &Path, most_bytes: u64) -> Result<Self, AgainError> {
        let told = |path: &Path| {
            let path = path.to_owned();
            move |error| AgainError::Io { path, error }
        };
        durable::create_folders(folder).map_err(told(folder))?;
        let everybody = folder.join(EVERYBODY);
        OpenOptions::new().create(true).append(true).open(&everybody).map_err(told(&everybody))?;
        let path = folder.join(REDO);
        let mut redo =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).map_err(told(&path))?;
        let mut text = String::new();
        redo.read_to_string(&mut text).map_err(told(&path))?;
        // A line without an end was never acknowledged, nor anything appended for it.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        redo.set_len(whole as u64).and_then(|()| redo.seek(SeekFrom::End(0))).map_err(told(&path))?;
        let (mut ids, mut bytes, mut last) = (HashSet::new(), 0, None);
        for (line, entry) in text[..whole].lines().enumerate() {
            let entry: Entry =
                serde_json::from_str(entry).map_err(|_| AgainError::Damaged { path: path.clone(), line: line + 1 })?;
            ids.extend(entry.ids.iter().cloned());
            bytes += entry.lines.len() as u64;
            last = Some(entry);
        }
        let mut log = Self { folder: folder.to_owned(), redo, ids, bytes, most_bytes, unfinished: last };
        log.finish()?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(told(folder))?;
        Ok(log)
    }

    /// Whether an id was submitted before.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Appends the records of those that were not submitted before. They are on disk when this returns.
    pub fn submit(&mut self, submissions: Vec<Submission>) -> Result<Submitted, AgainError> {
        self.finish()?;
        let mut submitted = Submitted::default();
        let mut by_file: Vec<(String, Vec<Submission>)> = Vec::new();
        for submission in submissions {
            if self.ids.contains(&submission.id) || submitted.now.contains(&submission.id) {
                submitted.before.push(submission.id);
                continue;
            }
            submitted.now.push(submission.id.clone());
            submitted.records += submission.records.len();
            let file = file_of(submission.metric.as_deref());
            match by_file.iter_mut().find(|(known, _)| *known == file) {
                Some((_, others)) => others.push(submission),
                None => by_file.push((file, vec![submission])),
            }
        }
        let length =
            |submission: &Submission| submission.records.iter().map(|record| record.len() as u64 + 1).sum::<u64>();
        let bytes = self.bytes + by_file.iter().flat_map(|(_, all)| all).map(length).sum::<u64>();
        if bytes > self.most_bytes {
            return Err(AgainError::Full { bytes, most: self.most_bytes });
        }
        for (file, all) in by_file {
            let offset = self.length_of(&file)?;
            let ids = all.iter().map(|submission| submission.id.clone()).collect();
            // Records that are not UTF-8 cannot be events: they would only be dead letters again.
            let lines = all.iter().flat_map(|submission| &submission.records);
            let lines = lines.map(|record| String::from_utf8_lossy(record).into_owned() + "\n").collect();
            self.append(Entry { ids, file, offset, lines })?;
        }
        Ok(submitted)
    }

    fn append(&mut self, entry: Entry) -> Result<(), AgainError> {
        let path = self.folder.join(REDO);
        let told = |error| AgainError::Io { path: path.clone(), error };
        let before = self.redo.metadata().map_err(told)?.len();
        let mut line = serde_json::to_vec(&entry).map_err(|error| told(error.into()))?;
        line.push(b'\n');
        let written = self.redo.write_all(&line).and_then(|()| self.redo.sync_all());
        if let Err(error) = written {
            // Half a line is cut when the log is opened; as much is done now.
            let _ = self.redo.set_len(before).and_then(|()| self.redo.seek(SeekFrom::End(0)));
            return Err(told(error));
        }
        self.ids.extend(entry.ids.iter().cloned());
        self.bytes += entry.lines.len() as u64;
        self.unfinished = Some(entry);
        self.finish()
    }

    /// Brings the last entry of the redo log into its file, as far as it is not there.
    fn finish(&mut self) -> Result<(), AgainError> {
        let Some(Entry { file, offset, lines, .. }) = &self.unfinished else { return Ok(()) };
        let length = self.length_of(file)?;
        let path = self.folder.join(file);
        let done = length.saturating_sub(*offset).min(lines.len() as u64) as usize;
        let append = || {
            let mut out = OpenOptions::new().create(true).append(true).open(&path)?;
            out.write_all(&lines.as_bytes()[done..])?;
            out.sync_all()?;
            File::open(&self.folder)?.sync_all()
        };
        append().map_err(|error| AgainError::Io { path: path.clone(), error })?;
        self.unfinished = None;
        Ok(())
    }

    fn length_of(&self, file: &str) -> Result<u64, AgainError> {
        let path = self.folder.join(file);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(AgainError::Io { path, error }),
        }
    }
}
