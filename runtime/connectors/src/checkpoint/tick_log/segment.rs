//! Reading segments: record by record, telling a torn end from damage.

use super::record::{HEADER, MARK, parse};
use super::stop;
use crate::checkpoint::error::CheckpointError;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use tidemark_engine::ids::Epoch;

/// Records of a log, in order.
pub struct Records {
    pub(super) from: Epoch,
    /// Segments to come, the next one last.
    pub(super) paths: Vec<PathBuf>,
    pub(super) segment: Option<Segment>,
}

impl Iterator for Records {
    type Item = Result<(Epoch, Vec<u8>), CheckpointError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(segment) = &mut self.segment {
                match segment.next_record() {
                    Ok(Some((epoch, _))) if epoch < self.from => continue,
                    Ok(Some(record)) => return Some(Ok(record)),
                    Err(error) => return Some(Err(error)),
                    Ok(None) => self.segment = None,
                }
            }
            match Segment::read(self.paths.pop()?) {
                Ok(segment) => self.segment = Some(segment),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// A segment in memory: its size is bounded by [`super::SEGMENT_BYTES`] and the records of one epoch.
pub(super) struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
    position: usize,
}

impl Segment {
    pub(super) fn read(path: PathBuf) -> Result<Self, CheckpointError> {
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes));
        read.map_err(|error| CheckpointError::refused("read", &path, &error))?;
        Ok(Self { path, bytes, position: 0 })
    }

    /// The next whole record; `None` at the end or at a half-written one. Damage in between is an error.
    pub(super) fn next_record(&mut self) -> Result<Option<(Epoch, Vec<u8>)>, CheckpointError> {
        let rest = &self.bytes[self.position..];
        if let Some((epoch, content)) = parse(rest) {
            let content = content.to_vec();
            self.position += HEADER + content.len();
            return Ok(Some((epoch, content)));
        }
        let later = (1..rest.len()).find(|&start| rest[start..].starts_with(&MARK) && parse(&rest[start..]).is_some());
        match later {
            None => Ok(None),
            Some(distance) => stop(format!(
                "the tick log {} is damaged at byte {}, {distance} bytes before the next whole record: put the file back \
                 from a copy; without it, only epochs before the damage can be re-run",
                self.path.display(),
                self.position
            )),
        }
    }
}

/// What a segment holds.
pub(super) struct Scan {
    /// Bytes of whole records.
    pub(super) end: u64,
    /// The epoch of the last of them.
    pub(super) last: Option<Epoch>,
}

/// Walks through the records of a segment while their epochs are wanted.
pub(super) fn scan(path: &Path, wanted: impl Fn(Epoch) -> bool) -> Result<Scan, CheckpointError> {
    let mut segment = Segment::read(path.to_owned())?;
    let mut found = Scan { end: 0, last: None };
    while let Some((epoch, _)) = segment.next_record()? {
        if !wanted(epoch) {
            break;
        }
        found = Scan { end: segment.position as u64, last: Some(epoch) };
    }
    Ok(found)
}
