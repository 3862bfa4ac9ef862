//! One cached key: its bytes, its value's bytes, and how both relate to what is on disk.

/// The length of a value, or why there is none. Lengths are below 4 GiB, as RocksDB's own are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Extent(u32);

impl Extent {
    /// The key has no value.
    pub(crate) const ABSENT: Self = Self(u32::MAX);
    /// Nobody has looked.
    pub(crate) const UNKNOWN: Self = Self(u32::MAX - 1);

    pub(crate) fn of(value: Option<&[u8]>) -> Self {
        value.map_or(Self::ABSENT, |value| Self(length(value.len())))
    }

    /// The length, if there is a value.
    pub(crate) fn bytes(self) -> Option<usize> {
        if self == Self::ABSENT || self == Self::UNKNOWN { None } else { Some(self.0 as usize) }
    }
}

fn length(bytes: usize) -> u32 {
    let most = Extent::UNKNOWN.0 - 1;
    u32::try_from(bytes).ok().filter(|&bytes| bytes <= most).expect("keys and states are bounded far below 4 GiB")
}

/// What an entry's place in the slab is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// Nothing; on the free list.
    Free,
    /// The same as on disk; may be evicted.
    Clean,
    /// Changed since the last commit; pinned.
    Dirty,
}

/// A key and its value in one allocation, `key ‖ value ‖ spare`. 32 bytes without it.
pub(crate) struct Entry {
    bytes: Box<[u8]>,
    key_length: u32,
    value: Extent,
    /// The value on disk, as of the last commit.
    pub(crate) committed: Extent,
    pub(crate) usage: Use,
    /// Used since the clock's hand last came by.
    pub(crate) referenced: bool,
}

impl Entry {
    /// Spare room comes in steps of this many bytes, so that a value that grows a little stays where it is.
    const STEP: usize = 16;

    pub(crate) fn new(key: &[u8], value: Option<&[u8]>) -> Self {
        Self {
            bytes: buffer(key, value),
            key_length: length(key.len()),
            value: Extent::of(value),
            committed: Extent::UNKNOWN,
            usage: Use::Clean,
            referenced: false,
        }
    }

    pub(crate) fn free() -> Self {
        Self { usage: Use::Free, ..Self::new(&[], None) }
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.bytes[..self.key_length as usize]
    }

    pub(crate) fn value(&self) -> Option<&[u8]> {
        let length = self.value.bytes()?;
        Some(&self.bytes[self.key_length as usize..][..length])
    }

    pub(crate) fn value_length(&self) -> usize {
        self.value.bytes().unwrap_or(0)
    }

    pub(crate) fn set(&mut self, value: Option<&[u8]>) {
        if let Some(value) = value {
            let start = self.key_length as usize;
            match self.bytes[start..].get_mut(..value.len()) {
                Some(room) => room.copy_from_slice(value),
                None => self.bytes = buffer(self.key(), Some(value)),
            }
        }
        self.value = Extent::of(value);
    }

    /// The present value is the one on disk.
    pub(crate) fn commit(&mut self) {
        self.committed = self.value;
        self.usage = Use::Clean;
    }

    /// Bytes of memory that it takes, table and allocator included.
    pub(crate) fn footprint(&self) -> usize {
        Self::OVERHEAD + self.bytes.len()
    }

    /// The entry itself in a slab that may be half empty, its place in a table that may be half empty, and the
    /// allocator's header and rounding.
    const OVERHEAD: usize = 2 * size_of::<Self>() + 2 * 9 + 14;
}

fn buffer(key: &[u8], value: Option<&[u8]>) -> Box<[u8]> {
    let length = key.len() + value.map_or(0, <[u8]>::len);
    // A key without a value needs no room for one: most such keys stay without.
    let capacity = if value.is_some() { length.next_multiple_of(Entry::STEP) } else { length };
    let mut bytes = Vec::with_capacity(capacity);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(value.unwrap_or_default());
    bytes.resize(capacity, 0);
    bytes.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_grow_and_shrink_in_place_and_out_of_it() {
        let mut entry = Entry::new(b"key", Some(b"value"));
        for length in [0, 1, 13, 14, 100, 5] {
            let value = vec![7; length];
            entry.set(Some(&value));
            assert_eq!((entry.key(), entry.value()), (&b"key"[..], Some(&value[..])));
        }
        entry.set(None);
        assert_eq!(entry.value(), None);
        entry.set(Some(b""));
        assert_eq!(entry.value(), Some(&b""[..]), "an empty value is a value");
    }

    #[test]
    fn an_entry_is_four_words() {
        assert_eq!(size_of::<Entry>(), 32);
    }
}
