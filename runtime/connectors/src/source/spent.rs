//! Buffers of earlier blocks, to be filled again when nobody needs them any more: fresh memory costs more than reading.

use bytes::Bytes;

/// Most buffers that wait: as many as are on their way through decoding and a tick.
const MOST: usize = 5;

/// Buffers that were handed out.
#[derive(Default)]
pub(crate) struct Spent(Vec<Bytes>);

impl Spent {
    /// An empty buffer with room for `size` bytes: an old one if any is free.
    pub(crate) fn take(&mut self, size: usize) -> Vec<u8> {
        let unused = self.0.iter().position(Bytes::is_unique);
        let reusable = unused.and_then(|place| self.0.swap_remove(place).try_into_mut().ok());
        let mut buffer: Vec<u8> = reusable.map_or_else(Vec::new, Vec::from);
        buffer.clear();
        buffer.reserve(size);
        buffer
    }

    /// Keeps a buffer that a block was made of.
    pub(crate) fn give(&mut self, buffer: Bytes) {
        if self.0.len() < MOST {
            self.0.push(buffer);
        }
    }
}
