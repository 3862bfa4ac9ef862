//! Chunks on any processor, and the reference that tests compare the others with.

use super::{CHUNK, Classes};

pub(super) fn classify(chunk: &[u8; CHUNK]) -> Classes {
    let collect = |wanted: fn(u8) -> bool| {
        chunk.iter().enumerate().fold(0, |bits, (at, &byte)| bits | u64::from(wanted(byte)) << at)
    };
    Classes {
        quotes: collect(|byte| byte == b'"'),
        backslashes: collect(|byte| byte == b'\\'),
        blanks: collect(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')),
        operators: collect(|byte| matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',')),
        controls: collect(|byte| byte < 0x20),
        high: collect(|byte| byte >= 0x80),
    }
}
