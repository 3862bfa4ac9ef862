//! One record of the log: how it is framed, and how a whole one is told from a torn one.

use tidemark_engine::ids::Epoch;
use xxhash_rust::xxh3::Xxh3Default;

/// The beginning of every record.
pub(super) const MARK: [u8; 4] = *b"TICK";

/// Bytes of a record before its content.
pub(super) const HEADER: usize = 24;

/// Most bytes of the content of one record.
pub const LARGEST_RECORD: usize = 64 << 20;

/// The record as it is written. `content` is at most [`LARGEST_RECORD`] bytes.
pub(super) fn frame(epoch: Epoch, content: &[u8]) -> Vec<u8> {
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
pub(super) fn parse(bytes: &[u8]) -> Option<(Epoch, &[u8])> {
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
