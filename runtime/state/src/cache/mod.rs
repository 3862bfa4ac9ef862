//! The hot part of a shard's state: what was read or written lately, under a byte budget.
//!
//! Written back, not through: changed entries stay pinned until the commit, clean ones leave by the clock algorithm
//! (second chance). Keys without a value are entries like others, so that a key that comes and goes between two commits,
//! or is asked for again and again without being there, costs RocksDB nothing. Knows nothing of RocksDB.

mod entry;

pub(crate) use entry::{Entry, Extent};

use entry::Use;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// What a cache did since it was made, for telemetry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct CacheCounters {
    /// Reads that found their key in memory.
    pub(crate) hits: u64,
    /// Keys that had to be read from RocksDB.
    pub(crate) misses: u64,
    /// Clean entries dropped for lack of room.
    pub(crate) evictions: u64,
}

/// An entry's place. Holds until the next insertion; for as long as the entry is dirty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place(u32);

#[derive(Debug)]
struct Bucket {
    place: Place,
    /// Kept so that growing the table and comparing keys rarely touches the entries.
    hash: u32,
}

pub(crate) struct Cache {
    table: HashTable<Bucket>,
    slab: Vec<Entry>,
    free: Vec<Place>,
    dirty: Vec<Place>,
    hand: usize,
    budget: usize,
    clean_bytes: usize,
    dirty_footprint: usize,
    change_bytes: usize,
    pub(crate) counters: CacheCounters,
}

impl Cache {
    pub(crate) fn new(budget: usize) -> Self {
        Self {
            table: HashTable::new(),
            slab: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            hand: 0,
            budget,
            clean_bytes: 0,
            dirty_footprint: 0,
            change_bytes: 0,
            counters: CacheCounters::default(),
        }
    }

    /// Where `key` is, if it is here.
    pub(crate) fn find(&mut self, key: &[u8]) -> Option<Place> {
        self.find_hashed(key, hash(key))
    }

    fn find_hashed(&mut self, key: &[u8], hash: u32) -> Option<Place> {
        let slab = &self.slab;
        let same = |bucket: &Bucket| bucket.hash == hash && slab[bucket.place.0 as usize].key() == key;
        let place = self.table.find(spread(hash), same)?.place;
        self.slab[place.0 as usize].referenced = true;
        Some(place)
    }

    /// The value of the entry at `place`.
    pub(crate) fn value(&self, place: Place) -> Option<&[u8]> {
        self.slab[place.0 as usize].value()
    }

    /// Keeps what was read from disk. The key must not be here.
    pub(crate) fn insert_committed(&mut self, key: &[u8], value: Option<&[u8]>) -> Place {
        let mut entry = Entry::new(key, value);
        entry.commit();
        self.make_room(entry.footprint());
        self.clean_bytes += entry.footprint();
        self.insert(entry, hash(key))
    }

    /// Sets or, with `None`, deletes the value of `key`.
    pub(crate) fn write(&mut self, key: &[u8], value: Option<&[u8]>) {
        let hash = hash(key);
        match self.find_hashed(key, hash) {
            Some(place) => self.overwrite(place, value),
            None => {
                let mut entry = Entry::new(key, value);
                entry.usage = Use::Dirty;
                entry.referenced = true;
                self.dirty_footprint += entry.footprint();
                self.change_bytes += key.len() + entry.value_length();
                let place = self.insert(entry, hash);
                self.dirty.push(place);
            }
        }
        self.make_room(0);
    }

    fn overwrite(&mut self, place: Place, value: Option<&[u8]>) {
        let entry = &mut self.slab[place.0 as usize];
        if entry.usage == Use::Dirty {
            self.dirty_footprint -= entry.footprint();
            self.change_bytes -= entry.key().len() + entry.value_length();
        } else {
            self.clean_bytes -= entry.footprint();
            entry.usage = Use::Dirty;
            self.dirty.push(place);
        }
        entry.set(value);
        self.dirty_footprint += entry.footprint();
        self.change_bytes += entry.key().len() + entry.value_length();
    }

    /// Changed entries, by key.
    pub(crate) fn changes(&self) -> impl Iterator<Item = &Entry> {
        let slab = &self.slab;
        let key = |place: Place| slab[place.0 as usize].key();
        // RocksDB's memtable takes keys faster in order: each insertion starts where the last one ended. The first bytes
        // decide most comparisons, without a look at the entries.
        let mut order: Vec<(u128, Place)> = self.dirty.iter().map(|&place| (first_bytes(key(place)), place)).collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| key(a.1).cmp(key(b.1))));
        order.into_iter().map(|(_, place)| &slab[place.0 as usize])
    }

    /// The changes are on disk: nothing is pinned any longer.
    pub(crate) fn committed(&mut self) {
        for place in self.dirty.drain(..) {
            let entry = &mut self.slab[place.0 as usize];
            entry.commit();
            // What was deleted is rarely asked for again.
            entry.referenced &= entry.value().is_some();
        }
        self.clean_bytes += self.dirty_footprint;
        self.dirty_footprint = 0;
        self.change_bytes = 0;
        self.make_room(0);
    }

    /// Bytes of changed keys and of their values: of each key once, however often it changed. Depends on nothing but
    /// the changes since the last commit, above all not on what happened to be in memory.
    pub(crate) fn change_bytes(&self) -> usize {
        self.change_bytes
    }

    /// Bytes of memory taken, clean and dirty.
    pub(crate) fn bytes(&self) -> usize {
        self.clean_bytes + self.dirty_footprint
    }

    /// Bytes of memory taken by entries that must stay until the commit.
    pub(crate) fn pinned_bytes(&self) -> usize {
        self.dirty_footprint
    }

    /// Keys in memory, with and without a value.
    pub(crate) fn entries(&self) -> usize {
        self.table.len()
    }

    fn insert(&mut self, entry: Entry, hash: u32) -> Place {
        let place = match self.free.pop() {
            Some(place) => {
                self.slab[place.0 as usize] = entry;
                place
            }
            None => {
                let place = Place(u32::try_from(self.slab.len()).expect("a cache holds fewer than 2^32 keys"));
                self.slab.push(entry);
                place
            }
        };
        self.table.insert_unique(spread(hash), Bucket { place, hash }, |bucket| spread(bucket.hash));
        place
    }

    /// Evicts clean entries until `bytes` more fit. Never an entry inserted afterwards.
    fn make_room(&mut self, bytes: usize) {
        // Dirty entries may take more than the whole budget. A quarter of it stays for clean ones nevertheless: it keeps
        // what is read but not written in memory, and the hand from going round among pinned entries.
        let allowance = self.budget.saturating_sub(self.dirty_footprint).max(self.budget / 4);
        while self.clean_bytes > 0 && self.clean_bytes + bytes > allowance {
            let place = Place(self.hand as u32);
            self.hand = (self.hand + 1) % self.slab.len();
            let entry = &mut self.slab[place.0 as usize];
            match entry.usage {
                Use::Clean if entry.referenced => entry.referenced = false,
                Use::Clean => self.evict(place),
                Use::Free | Use::Dirty => {}
            }
        }
    }

    fn evict(&mut self, place: Place) {
        let entry = std::mem::replace(&mut self.slab[place.0 as usize], Entry::free());
        self.clean_bytes -= entry.footprint();
        self.counters.evictions += 1;
        let bucket = self.table.find_entry(spread(hash(entry.key())), |bucket| bucket.place == place);
        bucket.expect("every entry in use is in the table").remove();
        self.free.push(place);
    }
}

fn hash(key: &[u8]) -> u32 {
    (xxh3_64(key) >> 32) as u32
}

/// The first bytes of `key`, as a number that orders like them.
fn first_bytes(key: &[u8]) -> u128 {
    let mut first = [0; size_of::<u128>()];
    let length = key.len().min(first.len());
    first[..length].copy_from_slice(&key[..length]);
    u128::from_be_bytes(first)
}

/// A table wants 64 bits, of which it uses the lowest for the place and the topmost seven for a tag.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[cfg(test)]
mod tests;
