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

use super::error::CheckpointError;
use crate::durable;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;
use xxhash_rust::xxh3::Xxh3Default;

const MARK: [u8; 4] = *b"TICK";
const HEADER: usize = 24;

/// Most bytes of one record.
pub const LARGEST_RECORD: usize = 64 << 20;

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

/// Records of a log, in order.
pub struct Records {
    from: Epoch,
    /// Segments to come, the next one last.
    paths: Vec<PathBuf>,
    segment: Option<Segment>,
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

/// A segment in memory: its size is bounded by [`SEGMENT_BYTES`] and the records of one epoch.
struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
    position: usize,
}

impl Segment {
    fn read(path: PathBuf) -> Result<Self, CheckpointError> {
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes));
        read.map_err(|error| CheckpointError::refused("read", &path, &error))?;
        Ok(Self { path, bytes, position: 0 })
    }

    /// The next whole record; `None` at the end or at a half-written one. Damage in between is an error.
    fn next_record(&mut self) -> Result<Option<(Epoch, Vec<u8>)>, CheckpointError> {
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

struct Scan {
    /// Bytes of whole records.
    end: u64,
    last: Option<Epoch>,
}

/// Walks through the records of a segment while their epochs are wanted.
fn scan(path: &Path, wanted: impl Fn(Epoch) -> bool) -> Result<Scan, CheckpointError> {
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

fn frame(epoch: Epoch, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("records are at most LARGEST_RECORD bytes");
    let mut frame = Vec::with_capacity(HEADER + content.len());
    frame.extend_from_slice(&MARK);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&epoch.0.to_le_bytes());
    frame.extend_from_slice(&checksum(epoch, content).to_le_bytes());
    frame.extend_from_slice(content);
    frame
}

/// The whole record at the start of `bytes`.
fn parse(bytes: &[u8]) -> Option<(Epoch, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let (mark, header) = header.split_first_chunk::<4>()?;
    let (length, header) = header.split_first_chunk::<4>()?;
    let (epoch, stated) = header.split_first_chunk::<8>()?;
    let content = rest.get(..u32::from_le_bytes(*length) as usize)?;
    let epoch = Epoch(u64::from_le_bytes(*epoch));
    let whole = *mark == MARK && stated == checksum(epoch, content).to_le_bytes();
    whole.then_some((epoch, content))
}

fn checksum(epoch: Epoch, content: &[u8]) -> u64 {
    let mut hash = Xxh3Default::new();
    hash.update(&epoch.0.to_le_bytes());
    hash.update(content);
    hash.digest()
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(log: &TickLog, from: u64) -> Vec<(u64, Vec<u8>)> {
        log.read_from(Epoch(from))
            .unwrap()
            .map(|record| record.map(|(epoch, content)| (epoch.0, content)).unwrap())
            .collect()
    }

    fn filled(folder: &Path, epochs: u64) -> TickLog {
        let mut log = TickLog::with_segment_bytes(folder, 200).unwrap();
        for epoch in 1..=epochs {
            log.append(Epoch(epoch), format!("tick {epoch}").as_bytes()).unwrap();
        }
        log.sync().unwrap();
        log
    }

    #[test]
    fn records_come_back_from_any_epoch_and_old_segments_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = filled(folder.path(), 40);
        assert!(log.segments.len() > 3);
        for from in [0, 1, 17, 40, 41] {
            let epochs: Vec<u64> = records(&log, from).iter().map(|(epoch, _)| *epoch).collect();
            assert_eq!(epochs, (from.max(1)..=40).collect::<Vec<_>>());
        }
        log.remove_before(Epoch(25)).unwrap();
        assert_eq!(records(&log, 25).len(), 16);
        assert!(log.segments[0] > Epoch(1) && log.segments[0] <= Epoch(25));
        let reopened = TickLog::open(folder.path()).unwrap();
        assert_eq!(reopened.last_epoch(), Some(Epoch(40)));
        assert_eq!(records(&reopened, 25), records(&log, 25));
    }

    #[test]
    fn epochs_that_were_not_committed_are_cut_and_appended_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = filled(folder.path(), 40);
        assert!(log.append(Epoch(20), b"again").is_err());
        log.cut_after(Epoch(19)).unwrap();
        assert_eq!(log.last_epoch(), Some(Epoch(19)));
        log.append(Epoch(20), b"again").unwrap();
        assert_eq!(records(&log, 19), [(19, b"tick 19".to_vec()), (20, b"again".to_vec())]);
        log.cut_after(Epoch(0)).unwrap();
        assert_eq!(records(&log, 0), []);
    }

    #[test]
    fn damage_before_the_end_is_an_error_that_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = TickLog::open(folder.path()).unwrap();
        for epoch in 1..=3 {
            log.append(Epoch(epoch), b"content").unwrap();
        }
        let path = log.path(Epoch(1));
        let whole = fs::read(&path).unwrap();
        for place in HEADER + 7..2 * (HEADER + 7) {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x10;
            fs::write(&path, damaged).unwrap();
            let error = TickLog::open(folder.path()).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("damaged at byte 31"), "byte {place}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_torn_tail_is_cut_at_the_last_whole_record(cut in 0_usize..150, garbage in proptest::collection::vec(any::<u8>(), 0..30)) {
            let folder = tempfile::tempdir().unwrap();
            let mut log = TickLog::open(folder.path()).unwrap();
            for epoch in 1..=4_u64 {
                log.append(Epoch(epoch), &vec![7; epoch as usize * 3]).unwrap();
            }
            let path = log.path(Epoch(1));
            let mut bytes = fs::read(&path).unwrap();
            bytes.truncate(cut);
            let whole = [27, 57, 90, 126].iter().take_while(|end| **end <= bytes.len()).count();
            bytes.extend(garbage);
            fs::write(&path, &bytes).unwrap();
            let mut log = TickLog::open(folder.path()).unwrap();
            prop_assert_eq!(records(&log, 0).len(), whole);
            log.append(Epoch(9), b"next").unwrap();
            prop_assert_eq!(records(&log, 0).last().cloned(), Some((9, b"next".to_vec())));
        }
    }
}
