//! Deduplication: events whose id was seen before are dropped. Producers retry, and a retry repeats the id.
//!
//! Ids are remembered by their 128-bit fingerprint until the watermark is `window_ms` past the time of their event. What
//! an epoch adds is committed as one value per time bucket, so that a million ids cost a handful of writes.

use crate::ids::Epoch;
use crate::ports::{MetaBatch, PortError, StateBackend};
use crate::telemetry::Telemetry;
use hashbrown::HashTable;
use std::collections::BTreeMap;
use tidemark_dataflow::EventTime;

/// How duplicates are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DedupSettings {
    /// How long after its event an id is remembered, in ms of event time.
    pub window_ms: i64,
    /// Most ids remembered, about 50 bytes each. Beyond it the oldest are forgotten early, and counted.
    pub max_ids: usize,
}

const PREFIX: &[u8] = b"dedup/";
const BUCKETS_PER_WINDOW: i64 = 16;

#[derive(Default)]
struct Bucket {
    ids: Vec<u128>,
    /// Where the ids that are not committed yet begin.
    committed: usize,
    epochs: Vec<u64>,
}

/// The ids seen of late.
pub(crate) struct Dedup {
    settings: DedupSettings,
    bucket_ms: i64,
    seen: HashTable<u128>,
    buckets: BTreeMap<i64, Bucket>,
    dropped: Vec<Vec<u8>>,
}

impl Dedup {
    /// Continues from what was committed.
    pub(crate) fn open(settings: DedupSettings, state: &dyn StateBackend) -> Result<Self, PortError> {
        let bucket_ms = (settings.window_ms / BUCKETS_PER_WINDOW).max(1);
        let mut dedup =
            Self { settings, bucket_ms, seen: HashTable::new(), buckets: BTreeMap::new(), dropped: Vec::new() };
        for (key, value) in state.meta_prefix(PREFIX)? {
            let damaged = || PortError::Stop("the ids in state are damaged: restore the newest checkpoint".to_owned());
            let numbers = key.get(PREFIX.len()..).and_then(|rest| rest.split_first_chunk::<8>()).ok_or_else(damaged)?;
            let epoch = u64::from_be_bytes(numbers.1.try_into().map_err(|_| damaged())?);
            // Kept by bucket start in ms, so that another window length can read them.
            let start_ms = (u64::from_be_bytes(*numbers.0) ^ (1 << 63)) as i64;
            let bucket = dedup.buckets.entry(start_ms).or_default();
            bucket.epochs.push(epoch);
            for id in value.as_chunks::<16>().0 {
                let id = u128::from_le_bytes(*id);
                bucket.ids.push(id);
                bucket.committed = bucket.ids.len();
                insert(&mut dedup.seen, id);
            }
        }
        Ok(dedup)
    }

    /// Whether the event is new; remembers it. An event without id (0) is always new.
    #[inline]
    pub(crate) fn is_new(&mut self, id: u128, event_time: i64) -> bool {
        if id == 0 {
            return true;
        }
        if !insert(&mut self.seen, id) {
            return false;
        }
        let start = event_time.div_euclid(self.bucket_ms).saturating_mul(self.bucket_ms);
        self.buckets.entry(start).or_default().ids.push(id);
        true
    }

    /// Forgets ids that the watermark has left behind, and the oldest ones when there are too many.
    pub(crate) fn expire(&mut self, watermark: EventTime, telemetry: &Telemetry) {
        while let Some(entry) = self.buckets.first_entry() {
            let over = EventTime(*entry.key()).plus_ms(self.bucket_ms).plus_ms(self.settings.window_ms) <= watermark;
            let full = self.seen.len() > self.settings.max_ids;
            if !over && !full {
                return;
            }
            let (start, bucket) = entry.remove_entry();
            if !over {
                telemetry.ids_forgotten.add(bucket.ids.len() as u64);
            }
            for id in bucket.ids {
                if let Ok(entry) = self.seen.find_entry(hash(id), |seen| *seen == id) {
                    entry.remove();
                }
            }
            self.dropped.extend(bucket.epochs.into_iter().map(|epoch| meta_key(start, epoch)));
        }
    }

    /// Adds to a commit what changed since the last one.
    pub(crate) fn commit(&mut self, epoch: Epoch, meta: &mut MetaBatch) {
        meta.deletes.append(&mut self.dropped);
        for (start, bucket) in &mut self.buckets {
            let new = &bucket.ids[bucket.committed..];
            if !new.is_empty() {
                meta.puts.push((meta_key(*start, epoch.0), new.iter().flat_map(|id| id.to_le_bytes()).collect()));
                bucket.committed = bucket.ids.len();
                bucket.epochs.push(epoch.0);
            }
        }
    }
}

fn meta_key(start: i64, epoch: u64) -> Vec<u8> {
    [PREFIX, &((start as u64) ^ (1 << 63)).to_be_bytes(), &epoch.to_be_bytes()].concat()
}

#[inline]
fn hash(id: u128) -> u64 {
    // Ids are random (UUIDs) or hashes already; some UUID bits are fixed, so both halves are folded in.
    ((id as u64) ^ ((id >> 64) as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline]
fn insert(seen: &mut HashTable<u128>, id: u128) -> bool {
    match seen.entry(hash(id), |seen| *seen == id, |seen| hash(*seen)) {
        hashbrown::hash_table::Entry::Occupied(_) => false,
        hashbrown::hash_table::Entry::Vacant(place) => {
            place.insert(id);
            true
        }
    }
}
