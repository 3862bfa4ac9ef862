//! The events of a trial: a file of one JSON document per line, with watermarks between them where the author wants to
//! say when time passes: `{"watermark": 1700000100000}`.

use bytes::Bytes;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The most that is read: a trial holds everything in memory.
const MAX_BYTES: u64 = 256 << 20;

/// Why there are no events.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The file can't be read.
    #[error("cannot read the events {path}: {error}", path = .0.display(), error = .1)]
    Unreadable(PathBuf, std::io::Error),
    /// It is too large for a trial.
    #[error("{path} has {bytes} bytes, a trial takes {MAX_BYTES}: use a part of it, or `tidemark run`", path = .0.display(), bytes = .1)]
    TooLarge(PathBuf, u64),
    /// A watermark that is none.
    #[error("{path}:{line}: a watermark is a line like {{\"watermark\": 1700000100000}}, in milliseconds since 1970", path = .path.display())]
    Watermark {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: u64,
    },
}

/// A line that is not empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    /// Its number, from 1.
    pub(super) number: u64,
    pub(super) content: Content,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// An event, where it lies in the file.
    Event(Range<u32>),
    /// No further event is expected up to this moment.
    Watermark(i64),
}

/// A file of events.
#[derive(Clone, Debug)]
pub struct EventFile {
    pub(super) bytes: Bytes,
    pub(super) lines: Vec<Line>,
}

impl EventFile {
    /// Reads `path`.
    pub fn read(path: &Path) -> Result<Self, EventsError> {
        let unreadable = |error| EventsError::Unreadable(path.to_owned(), error);
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > MAX_BYTES {
            return Err(EventsError::TooLarge(path.to_owned(), size));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        Self::parse(bytes).map_err(|line| EventsError::Watermark { path: path.to_owned(), line })
    }

    /// The error is the line of a watermark that is none.
    fn parse(bytes: Vec<u8>) -> Result<Self, u64> {
        let mut lines = Vec::new();
        let (mut start, mut number) = (0_usize, 0);
        for text in bytes.split(|byte| *byte == b'\n') {
            number += 1;
            let trimmed = text.trim_ascii();
            let begin = start + (text.len() - text.trim_ascii_start().len());
            start += text.len() + 1;
            if trimmed.is_empty() {
                continue;
            }
            let range = begin as u32..(begin + trimmed.len()) as u32;
            let content = match watermark(trimmed) {
                Some(Some(time)) => Content::Watermark(time),
                Some(None) => return Err(number),
                None => Content::Event(range),
            };
            lines.push(Line { number, content });
        }
        Ok(Self { bytes: bytes.into(), lines })
    }

    /// Whether the file says when time passes.
    #[must_use]
    pub fn has_watermarks(&self) -> bool {
        self.lines.iter().any(|line| matches!(line.content, Content::Watermark(_)))
    }

    /// Number of events.
    #[must_use]
    pub fn events(&self) -> usize {
        self.lines.iter().filter(|line| matches!(line.content, Content::Event(_))).count()
    }

    /// The event in line `number`, as JSON.
    pub(super) fn event(&self, number: u64) -> Option<serde_json::Value> {
        let place = self.lines.binary_search_by_key(&number, |line| line.number).ok()?;
        let Content::Event(range) = &self.lines[place].content else { return None };
        serde_json::from_slice(&self.bytes[range.start as usize..range.end as usize]).ok()
    }
}

/// The time of a watermark: `None` for an event, `Some(None)` for what was meant to be one.
fn watermark(text: &[u8]) -> Option<Option<i64>> {
    // An event has a type; whatever has nothing but this one field is meant for us.
    let fields: serde_json::Map<String, serde_json::Value> =
        if text.starts_with(b"{\"watermark\"") || text.starts_with(b"{ \"watermark\"") {
            serde_json::from_slice(text).ok()?
        } else {
            return None;
        };
    (fields.len() == 1).then(|| fields["watermark"].as_i64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_numbers_and_watermarks_are_told_apart() {
        let text = "{\"type\":\"a\"}\n\n  {\"type\":\"b\"}\r\n{\"watermark\": 5}\n{\"watermark\":1,\"type\":\"c\"}";
        let file = EventFile::parse(text.into()).expect("parses");
        let numbers: Vec<u64> = file.lines.iter().map(|line| line.number).collect();
        assert_eq!(numbers, [1, 3, 4, 5]);
        assert_eq!(file.lines[2].content, Content::Watermark(5));
        assert_eq!((file.events(), file.has_watermarks()), (3, true));
        assert_eq!(file.event(3).expect("JSON")["type"], "b");
        assert_eq!(EventFile::parse(b"{\"watermark\": \"noon\"}".to_vec()).err(), Some(1));
    }
}
