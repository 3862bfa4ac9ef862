//! Five million live keys and as many timers within 1 GiB of resident memory.
//!
//! Writes them in epochs, updates random ones, drains timers, reopens, and prints what that took. Exits with 1 if the
//! peak of resident memory was above 1 GiB.
//!
//! `cargo run --release -p tidemark-state --example five_million_keys [KEYS]`

use std::process::ExitCode;
use std::time::Instant;
use tidemark_dataflow::{EventTime, KeyGroup, KeyGroups};
use tidemark_engine::ids::StageId;
use tidemark_engine::ports::{MetaBatch, PortError, StateBackend, StateKey, StateShard, Timer};
use tidemark_state::{RocksState, StateSettings};

const STAGE: StageId = StageId(1);
const MOST_KIB: u64 = 1 << 20;
/// When the engine would end an epoch early.
const EPOCH_BYTES: usize = 64 << 20;
const WORKERS: usize = 2;
const BATCH: u64 = 4096;

struct Job {
    state: RocksState,
    shards: Vec<Box<dyn StateShard>>,
}

impl Job {
    fn open(settings: &StateSettings) -> Result<Self, Box<dyn std::error::Error>> {
        let state = RocksState::open(settings, KeyGroups::DEFAULT)?;
        let shards = state.shards(WORKERS)?;
        Ok(Self { state, shards })
    }

    fn shard(&mut self, group: KeyGroup) -> &mut dyn StateShard {
        &mut *self.shards[KeyGroups::DEFAULT.worker_of(group, WORKERS)]
    }

    fn commit(&mut self) -> Result<(), PortError> {
        self.state.commit(&mut self.shards, &MetaBatch::default())
    }

    fn commit_if_large(&mut self) -> Result<(), PortError> {
        let dirty: usize = self.shards.iter().map(|shard| shard.dirty_bytes()).sum();
        if dirty > EPOCH_BYTES { self.commit() } else { Ok(()) }
    }

    /// Reads `numbers` as a tick would, all at once, then updates each one.
    fn update(&mut self, numbers: &[u64]) -> Result<(), PortError> {
        let keys: Vec<StateKey> = numbers.iter().map(|&number| key(number)).collect();
        for worker in 0..WORKERS {
            let own = |key: &&StateKey| KeyGroups::DEFAULT.worker_of(group_of(key), WORKERS) == worker;
            let own: Vec<StateKey> = keys.iter().filter(own).cloned().collect();
            self.shards[worker].prefetch(&own)?;
        }
        for (&number, key) in numbers.iter().zip(&keys) {
            let shard = self.shard(group_of(key));
            let mut value = shard.get(key)?.unwrap_or_default().to_vec();
            value.resize(24 + (number % 77) as usize, number as u8);
            value[0] = value[0].wrapping_add(1);
            shard.put(key, &value);
        }
        self.commit_if_large()
    }
}

/// Stage, key group, a window's start and a stream's name: 60 bytes.
fn key(number: u64) -> StateKey {
    let mixed = mix(number);
    let mut key = Vec::with_capacity(60);
    key.extend_from_slice(&STAGE.0.to_be_bytes());
    key.extend_from_slice(&KeyGroups::DEFAULT.of_hash(mixed).0.to_be_bytes());
    key.extend_from_slice(format!("{mixed:016x}-{:016x}-stream", mix(mixed)).as_bytes());
    key.extend_from_slice(&number.to_be_bytes());
    key.extend_from_slice(&[0; 8]);
    key.into_boxed_slice()
}

fn group_of(key: &[u8]) -> KeyGroup {
    KeyGroup(u16::from_be_bytes([key[2], key[3]]))
}

/// splitmix64.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Peak of resident memory so far, in KiB.
fn peak_kib() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn report(what: &str, count: u64, start: Instant) -> Result<(), Box<dyn std::error::Error>> {
    let seconds = start.elapsed().as_secs_f64();
    let rate = count as f64 / seconds;
    println!("{what:<32} {count:>9} in {seconds:>6.1} s = {rate:>9.0}/s   VmHWM {:>4} MiB", peak_kib()? >> 10);
    Ok(())
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let count: u64 = std::env::args().nth(1).map_or(Ok(5_000_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let settings = StateSettings::at(folder.path());
    let mut job = Job::open(&settings)?;

    let start = Instant::now();
    for first in (0..count).step_by(BATCH as usize) {
        let numbers: Vec<u64> = (first..count.min(first + BATCH)).collect();
        job.update(&numbers)?;
        for &number in &numbers {
            let key = key(number);
            let time = EventTime((mix(number) % 86_400_000) as i64);
            job.shard(group_of(&key)).set_timer(STAGE, group_of(&key), Timer { time, key });
        }
        job.commit_if_large()?;
    }
    job.commit()?;
    report("keys and timers written", count, start)?;

    let start = Instant::now();
    let updates = count / 5;
    for first in (0..updates).step_by(BATCH as usize) {
        let numbers: Vec<u64> = (first..updates.min(first + BATCH)).map(|number| mix(!number) % count).collect();
        job.update(&numbers)?;
    }
    job.commit()?;
    report("random keys read and updated", updates, start)?;

    let start = Instant::now();
    let mut drained = 0;
    for tick in 1..=500 {
        for shard in &mut job.shards {
            drained += shard.due(STAGE, EventTime(tick * 8_640), usize::MAX)?.len() as u64;
        }
    }
    job.commit()?;
    report("timers drained in 500 ticks", drained, start)?;

    let start = Instant::now();
    let nothing = 1_000_000;
    for _ in 0..nothing / WORKERS as u64 {
        for shard in &mut job.shards {
            assert!(shard.due(STAGE, EventTime(0), usize::MAX)?.is_empty());
        }
    }
    report("asked while none is due", nothing, start)?;

    println!("{:#?}", job.state.inspector().telemetry()?);
    drop(job);
    let start = Instant::now();
    let job = Job::open(&settings)?;
    let entries = job.state.inspector().telemetry()?;
    report("reopened; estimated entries", entries.estimated_keys, start)?;

    let peak = peak_kib()?;
    println!("keys {count}, timers {}, peak of resident memory {} MiB of 1024", count - drained, peak >> 10);
    Ok(if peak > MOST_KIB { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
