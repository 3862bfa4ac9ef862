//! Buffers of earlier blocks, to be filled again when nobody needs them any more: fresh memory costs more than reading.

use bytes::Bytes;
use std::collections::VecDeque;

/// Buffers that wait.
const MOST: usize = 2;

/// Buffers that were handed out, oldest first.
#[derive(Default)]
pub(crate) struct Spent(VecDeque<Bytes>);

impl Spent {
    /// An empty buffer with room for `size` bytes: an old one if the oldest is free.
    pub(crate) fn take(&mut self, size: usize) -> Vec<u8> {
        let reusable = self.0.pop_front().and_then(|buffer| buffer.try_into_mut().ok());
        let mut buffer: Vec<u8> = reusable.map_or_else(Vec::new, Vec::from);
        buffer.clear();
        buffer.reserve(size);
        buffer
    }

    /// Keeps a buffer that a block was made of.
    pub(crate) fn give(&mut self, buffer: Bytes) {
        if self.0.len() < MOST {
            self.0.push_back(buffer);
        }
    }
}
