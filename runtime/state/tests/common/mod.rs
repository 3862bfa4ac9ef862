//! What the tests share: small settings, keys, and reading everything back.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::{Path, PathBuf};
use tidemark_dataflow::{EventTime, KeyGroup, KeyGroups};
use tidemark_engine::ids::StageId;
use tidemark_engine::ports::{MetaBatch, StateBackend, StateShard, Timer};
use tidemark_state::{RocksState, StateSettings};

/// Few enough for several to share a worker, more than most worker counts.
pub(crate) fn key_groups() -> KeyGroups {
    KeyGroups::new(5).expect("five is allowed")
}

/// Buffers so small that evictions and flushes happen.
pub(crate) fn settings(path: &Path) -> StateSettings {
    StateSettings {
        cache_bytes: 4 << 10,
        block_cache_bytes: 1 << 20,
        write_buffer_bytes: 64 << 10,
        ..StateSettings::at(path)
    }
}

pub(crate) fn open(path: &Path) -> RocksState {
    RocksState::open(&settings(path), key_groups()).expect("the database opens")
}

/// A key of state: stage, key group, item.
pub(crate) fn key(stage: u16, group: u16, item: u16) -> Box<[u8]> {
    [stage, group, item].iter().flat_map(|part| part.to_be_bytes()).collect()
}

pub(crate) fn timer(time: i64, key: &[u8]) -> Timer {
    Timer { time: EventTime(time), key: key.into() }
}

pub(crate) fn worker_of(group: u16, workers: usize) -> usize {
    key_groups().worker_of(KeyGroup(group), workers)
}

pub(crate) fn commit(state: &mut RocksState, shards: &mut [Box<dyn StateShard>]) {
    state.commit(shards, &MetaBatch::default()).expect("the commit succeeds");
}

/// Every committed entry.
pub(crate) fn content(state: &RocksState) -> Vec<(Box<[u8]>, Vec<u8>)> {
    state.inspector().scan_prefix(&[], usize::MAX).expect("the scan succeeds")
}

pub(crate) fn due(shard: &mut Box<dyn StateShard>, stage: u16, until: i64, limit: usize) -> Vec<(u16, i64, Box<[u8]>)> {
    let due = shard.due(StageId(stage), EventTime(until), limit).expect("timers can be read");
    due.into_iter().map(|(group, timer)| (group.0, timer.time.0, timer.key)).collect()
}

/// Files of a folder with an extension, by name.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

/// The write-ahead log that has the latest commits.
pub(crate) fn log(folder: &Path) -> PathBuf {
    files(folder, "log").pop().expect("a database has a log")
}
