//! Key groups: the fixed shards of the key space, the unit of ownership, snapshot and move.

/// One shard of the key space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct KeyGroup(pub u16);

/// How many key groups a job has. Set when the job is created and never changed: the assignment of keys depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyGroups(u16);

impl KeyGroups {
    /// The number used when the configuration is silent.
    pub const DEFAULT: Self = Self(64);

    /// `count` key groups, 1 to 32,768; `None` outside that range.
    #[must_use]
    pub const fn new(count: u16) -> Option<Self> {
        if count == 0 || count > 32_768 { None } else { Some(Self(count)) }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.0
    }

    /// The key group of a key whose stable 64-bit hash is `hash` (XXH3 of the key bytes).
    #[must_use]
    #[inline]
    pub const fn of_hash(self, hash: u64) -> KeyGroup {
        // The high half: hash maps use the low bits, and a key group must not thin them out.
        KeyGroup(((hash >> 32) % self.0 as u64) as u16)
    }

    /// The worker, of `workers`, that owns `group`: contiguous ranges, as even as can be.
    #[must_use]
    pub const fn worker_of(self, group: KeyGroup, workers: usize) -> usize {
        group.0 as usize * workers / self.0 as usize
    }
}
