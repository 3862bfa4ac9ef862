//! The outbox: the records of one epoch in a file, written while the epoch runs, read when it is published.
//!
//! ```text
//! file    magic  chunk*
//! chunk   length: u32  xxh3: u64  topic: text16  record*
//! record  key: bytes32, u32::MAX where there is none
//!         value: bytes32
//!         headers: u16  (name: text16  value: bytes32)*
//! ```
//!
//! Numbers are little-endian; `text16` and `bytes32` are preceded by their length. A chunk is read whole and checked
//! before any of it is used; that no chunk is missing is checked against the handle.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

const MAGIC: &[u8; 8] = b"TIDEOUT1";

/// A chunk is written when it has so many bytes.
const CHUNK: usize = 1 << 20;

/// The most bytes of a chunk: one call's rows may go beyond [`CHUNK`], and a reader trusts no length.
const MOST_OF_CHUNK: usize = 1 << 30;

/// Where there is no key.
const NO_KEY: u32 = u32::MAX;

/// What a file must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Content {
    /// Records.
    pub(super) records: u64,
    /// Bytes of the file.
    pub(super) bytes: u64,
    /// XXH3-128 of the file, 32 hexadecimal digits.
    pub(super) xxh3: String,
}

/// The records of the running epoch.
pub(super) struct OutboxWriter {
    file: Option<File>,
    /// The chunk in the making, without length and checksum.
    chunk: Vec<u8>,
    topic: String,
    /// Whole chunks that are not written yet: more than one only while the disk refuses.
    full: Vec<u8>,
    /// What was written so far. Behind it a refused attempt may have left something.
    written: u64,
    hash: Xxh3Default,
    records: u64,
}

/// One record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: &'a [u8],
    pub(super) headers: Vec<(&'a str, &'a [u8])>,
}

impl OutboxWriter {
    /// Writes nothing until there is something to write.
    pub(super) fn new() -> Self {
        Self {
            file: None,
            chunk: Vec::new(),
            topic: String::new(),
            full: Vec::new(),
            written: 0,
            hash: Xxh3Default::new(),
            records: 0,
        }
    }

    /// Adds a record, in memory. `topic` may name a partition, as `topic/7`: it goes there, whatever its key says.
    pub(super) fn add(&mut self, topic: &str, record: &Record<'_>) {
        if topic != self.topic || self.chunk.len() >= CHUNK {
            self.end_chunk();
            topic.clone_into(&mut self.topic);
        }
        if self.chunk.is_empty() {
            text16(&mut self.chunk, topic);
        }
        match record.key {
            Some(key) => bytes32(&mut self.chunk, key),
            None => self.chunk.extend_from_slice(&NO_KEY.to_le_bytes()),
        }
        bytes32(&mut self.chunk, record.value);
        self.chunk.extend_from_slice(&(record.headers.len() as u16).to_le_bytes());
        for (name, value) in &record.headers {
            text16(&mut self.chunk, name);
            bytes32(&mut self.chunk, value);
        }
        self.records += 1;
    }

    fn end_chunk(&mut self) {
        if self.chunk.is_empty() {
            return;
        }
        if self.written == 0 && self.full.is_empty() {
            self.full.extend_from_slice(MAGIC);
        }
        self.full.extend_from_slice(&(self.chunk.len() as u32).to_le_bytes());
        self.full.extend_from_slice(&xxh3_64(&self.chunk).to_le_bytes());
        self.full.append(&mut self.chunk);
    }

    /// Writes the chunks that are full to the file at `path`. Can be repeated after an error.
    pub(super) fn flush(&mut self, path: &Path) -> io::Result<()> {
        if self.full.is_empty() {
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(File::options().write(true).create(true).truncate(true).open(path)?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        // An attempt that failed may have written a part.
        file.set_len(self.written)?;
        file.seek(io::SeekFrom::Start(self.written))?;
        file.write_all(&self.full)?;
        self.hash.update(&self.full);
        self.written += self.full.len() as u64;
        self.full.clear();
        Ok(())
    }

    /// Makes everything durable. Can be repeated after an error, and after it. There is no file where there are no
    /// records.
    pub(super) fn finish(&mut self, path: &Path) -> io::Result<Content> {
        self.end_chunk();
        self.flush(path)?;
        if let Some(file) = &self.file {
            file.sync_all()?;
        }
        let xxh3 = if self.records == 0 { String::new() } else { format!("{:032x}", self.hash.digest128()) };
        Ok(Content { records: self.records, bytes: self.written, xxh3 })
    }
}

fn text16(out: &mut Vec<u8>, text: &str) {
    // Names of topics and headers are far shorter.
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn bytes32(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Why an outbox cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutboxError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is damaged at byte {0}")]
    Damaged(u64),
    #[error("it is not the one that was prepared")]
    Other,
}

/// Reads an outbox, chunk by chunk.
pub(super) struct OutboxReader {
    file: BufReader<File>,
    at: u64,
    records: u64,
    hash: Xxh3Default,
    chunk: Vec<u8>,
    expected: Content,
}

/// A chunk that was checked: records for one topic.
pub(super) struct Chunk<'a> {
    pub(super) topic: &'a str,
    rest: &'a [u8],
    /// Where the chunk ends in the file, for messages.
    end: u64,
    records: &'a mut u64,
}

impl OutboxReader {
    pub(super) fn open(path: &Path, expected: &Content) -> Result<Self, OutboxError> {
        let mut reader = Self {
            file: BufReader::with_capacity(CHUNK, File::open(path)?),
            at: 0,
            records: 0,
            hash: Xxh3Default::new(),
            chunk: Vec::new(),
            expected: expected.clone(),
        };
        let mut magic = [0; MAGIC.len()];
        reader.read(&mut magic)?;
        if &magic == MAGIC { Ok(reader) } else { Err(OutboxError::Damaged(0)) }
    }

    /// The next chunk; at the end, after everything was found to be there, none.
    pub(super) fn next(&mut self) -> Result<Option<Chunk<'_>>, OutboxError> {
        if self.at >= self.expected.bytes {
            let found = format!("{:032x}", self.hash.digest128());
            let is_whole = (self.at, self.records) == (self.expected.bytes, self.expected.records);
            let is_it = is_whole && found == self.expected.xxh3 && self.file.read(&mut [0])? == 0;
            return if is_it { Ok(None) } else { Err(OutboxError::Other) };
        }
        let begin = self.at;
        let (mut length, mut checksum) = ([0; 4], [0; 8]);
        self.read(&mut length)?;
        self.read(&mut checksum)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MOST_OF_CHUNK || length as u64 > self.expected.bytes {
            return Err(OutboxError::Damaged(begin));
        }
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.resize(length, 0);
        self.read(&mut chunk)?;
        self.chunk = chunk;
        if xxh3_64(&self.chunk) != u64::from_le_bytes(checksum) {
            return Err(OutboxError::Damaged(begin));
        }
        let mut rest = self.chunk.as_slice();
        let topic = take_text16(&mut rest).ok_or(OutboxError::Damaged(begin))?;
        Ok(Some(Chunk { topic, rest, end: self.at, records: &mut self.records }))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), OutboxError> {
        match self.file.read_exact(buffer) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(OutboxError::Damaged(self.at)),
            result => {
                result?;
                self.hash.update(buffer);
                self.at += buffer.len() as u64;
                Ok(())
            }
        }
    }
}

impl<'a> Chunk<'a> {
    /// The next record of the chunk.
    pub(super) fn next(&mut self) -> Result<Option<Record<'a>>, OutboxError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let record = take_record(&mut self.rest).ok_or(OutboxError::Damaged(self.end))?;
        *self.records += 1;
        Ok(Some(record))
    }
}

fn take_record<'a>(rest: &mut &'a [u8]) -> Option<Record<'a>> {
    let key = match take_number(rest)? {
        NO_KEY => None,
        length => Some(rest.split_off(..length as usize)?),
    };
    let value = take_bytes32(rest)?;
    let count = u16::from_le_bytes(rest.split_off(..2)?.try_into().ok()?);
    let headers = (0..count).map(|_| Some((take_text16(rest)?, take_bytes32(rest)?)));
    Some(Record { key, value, headers: headers.collect::<Option<_>>()? })
}

fn take_number(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(rest.split_off(..4)?.try_into().ok()?))
}

fn take_bytes32<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_number(rest)?;
    rest.split_off(..length as usize)
}

fn take_text16<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = u16::from_le_bytes(rest.split_off(..2)?.try_into().ok()?);
    std::str::from_utf8(rest.split_off(..usize::from(length))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    type Owned = (String, Option<Vec<u8>>, Vec<u8>, Vec<(String, Vec<u8>)>);

    fn read(path: &Path, content: &Content) -> Result<Vec<Owned>, OutboxError> {
        let mut reader = OutboxReader::open(path, content)?;
        let mut all = Vec::new();
        while let Some(mut chunk) = reader.next()? {
            let topic = chunk.topic.to_owned();
            while let Some(record) = chunk.next()? {
                let headers = record.headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec()));
                all.push((topic.clone(), record.key.map(<[u8]>::to_vec), record.value.to_vec(), headers.collect()));
            }
        }
        Ok(all)
    }

    fn written(path: &Path) -> (Content, Vec<Owned>) {
        let (mut writer, mut all) = (OutboxWriter::new(), Vec::new());
        let large = vec![b'v'; CHUNK / 2];
        for row in 0..8_u8 {
            let topic = if row == 3 { "other" } else { "rows" };
            let key = [row];
            let record = Record {
                key: (row != 2).then_some(&key),
                value: if row % 2 == 0 { &large } else { b"" },
                headers: if row % 2 == 0 { vec![("epoch", b"7"), ("", b"")] } else { vec![] },
            };
            writer.add(topic, &record);
            writer.flush(path).unwrap();
            let headers = record.headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
            all.push((topic.to_owned(), record.key.map(<[u8]>::to_vec), record.value.to_vec(), headers));
        }
        (writer.finish(path).unwrap(), all)
    }

    #[test]
    fn what_was_written_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let (content, all) = written(&path);
        assert_eq!((content.records, content.bytes), (8, fs::metadata(&path).unwrap().len()));
        assert!(read(&path, &content).unwrap() == all);
        let empty = OutboxWriter::new().finish(&folder.path().join("b")).unwrap();
        assert_eq!(empty, Content::default());
        assert!(!folder.path().join("b").exists());
    }

    #[test]
    fn no_damage_goes_unnoticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let (content, _) = written(&path);
        let sound = fs::read(&path).unwrap();
        let places = (0..64).chain((64..sound.len()).step_by(100_003)).chain([sound.len() - 1]);
        for place in places {
            let mut damaged = sound.clone();
            damaged[place] ^= 0x40;
            fs::write(&path, &damaged).unwrap();
            assert!(read(&path, &content).is_err(), "byte {place}");
            fs::write(&path, &sound[..place]).unwrap();
            assert!(read(&path, &content).is_err(), "cut at {place}");
        }
        fs::write(&path, [&sound[..], b"x"].concat()).unwrap();
        assert!(read(&path, &content).is_err());
    }

    #[test]
    fn a_refused_write_is_made_good() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("a");
        let mut writer = OutboxWriter::new();
        writer.add("rows", &Record { key: None, value: b"v", headers: vec![] });
        assert!(writer.finish(&path).is_err());
        fs::create_dir(folder.path().join("missing")).unwrap();
        let content = writer.finish(&path).unwrap();
        assert_eq!(read(&path, &content).unwrap().len(), 1);
        assert_eq!(writer.finish(&path).unwrap(), content);
    }
}
