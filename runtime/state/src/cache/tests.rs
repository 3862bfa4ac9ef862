//! The cache's promises: the budget, pinning, what a key costs, and that counting changes does not depend on caching.

use super::*;

fn key(number: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[4..8].copy_from_slice(&number.to_be_bytes());
    key
}

fn changed(cache: &Cache) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    cache.changes().map(|entry| (entry.key().to_vec(), entry.value().map(<[u8]>::to_vec))).collect()
}

#[test]
fn clean_entries_stay_within_the_budget() {
    let mut cache = Cache::new(64 << 10);
    for number in 0..10_000 {
        cache.insert_committed(&key(number), Some(&[1; 40]));
        assert!(cache.bytes() <= 64 << 10, "{} bytes after {number} keys", cache.bytes());
    }
    assert!(cache.entries() > 300, "a full cache is used: {} entries", cache.entries());
    assert_eq!(cache.counters.evictions, 10_000 - cache.entries() as u64);
}

#[test]
fn dirty_entries_are_pinned_beyond_the_budget_until_committed() {
    let mut cache = Cache::new(64 << 10);
    for number in 0..5_000 {
        cache.write(&key(number), Some(&[2; 40]));
    }
    for number in 5_000..10_000 {
        cache.insert_committed(&key(number), Some(&[1; 40]));
        assert!(cache.bytes() <= cache.pinned_bytes() + (64 << 10));
    }
    assert_eq!(changed(&cache).len(), 5_000, "no change is ever dropped");
    cache.committed();
    assert!(cache.bytes() <= 64 << 10, "{} bytes after the commit", cache.bytes());
    assert_eq!(changed(&cache).len(), 0);
}

#[test]
fn entries_in_use_survive_a_scan() {
    let mut cache = Cache::new(64 << 10);
    cache.insert_committed(&key(0), Some(b"hot"));
    for number in 1..10_000 {
        cache.insert_committed(&key(number), Some(&[1; 40]));
        let hot = cache.find(&key(0)).expect("the hot key stays");
        assert_eq!(cache.value(hot), Some(&b"hot"[..]));
    }
}

#[test]
fn what_was_evicted_leaves_no_trace() {
    let mut cache = Cache::new(1 << 10);
    for number in 0..1_000 {
        cache.insert_committed(&key(number), None);
    }
    let found: Vec<u32> = (0..1_000).filter(|&number| cache.find(&key(number)).is_some()).collect();
    assert_eq!(found.len(), cache.entries());
    for number in found {
        let place = cache.find(&key(number)).expect("found before");
        assert_eq!(cache.value(place), None);
    }
}

#[test]
fn an_entry_larger_than_the_budget_is_served_once() {
    let mut cache = Cache::new(1 << 10);
    let place = cache.insert_committed(&key(1), Some(&[3; 5_000]));
    assert_eq!(cache.value(place).map(<[u8]>::len), Some(5_000));
    cache.insert_committed(&key(2), Some(b"small"));
    assert!(cache.find(&key(1)).is_none());
    assert!(cache.bytes() <= 1 << 10);
}

#[test]
fn change_bytes_count_each_key_once_and_ignore_what_was_cached() {
    let mut cold = Cache::new(1 << 20);
    let mut warm = Cache::new(1 << 20);
    for number in 0..50 {
        warm.insert_committed(&key(number), Some(&[9; 70]));
    }
    for cache in [&mut cold, &mut warm] {
        for number in 0..100 {
            cache.write(&key(number), Some(&[1; 10]));
            cache.write(&key(number), Some(&[2; 24]));
            if number % 2 == 0 {
                cache.write(&key(number), None);
            }
        }
    }
    assert_eq!(cold.change_bytes(), 100 * 12 + 50 * 24);
    assert_eq!(warm.change_bytes(), cold.change_bytes());
    cold.committed();
    assert_eq!(cold.change_bytes(), 0);
}

#[test]
fn changes_come_in_key_order() {
    let mut cache = Cache::new(1 << 20);
    for number in [5, 1, 4, 2, 3] {
        cache.write(&key(number), Some(b"v"));
    }
    cache.write(&key(4), None);
    let changes = changed(&cache);
    assert!(changes.is_sorted());
    assert_eq!(changes[3], (key(4).to_vec(), None));
}
