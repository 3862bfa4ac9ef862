//! `[job]`, `[data]`, `[state]`, `[watermark]`, `[tick]`, `[epoch]` and `[checkpoint]`: what runs, where it keeps its
//! data, and at which pace it goes forward.

use super::paths::check_name;
use super::section::Section;
use super::sink::read_store;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidemark_connectors::object_storage::ObjectStoreSettings;
use tidemark_dataflow::KeyGroups;
use tidemark_state::StateSettings;

/// Most workers of one process.
pub const MAX_WORKERS: i64 = 256;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// `[job]`: what runs.
#[derive(Clone, Debug)]
pub struct JobSettings {
    /// The job's name, in logs and telemetry.
    pub name: String,
    /// Shards of the key space, fixed when the job first runs.
    pub key_groups: KeyGroups,
    /// Worker threads.
    pub workers: usize,
    /// Whether raw events are cleansed, or those that are read are cleansed already.
    pub cleanse: bool,
    /// Whether metrics run, or cleansed events are all that is written.
    pub metrics: bool,
    /// How long what may recover, such as brokers that do not answer, is tried again before the job stops.
    pub patience: Duration,
}

impl JobSettings {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let name = section.text("name").unwrap_or_else(|| "tidemark".to_owned());
        if let Err(message) = check_name(&name) {
            section.mistake("name", message);
        }
        let key_groups = section.integer("key_groups", 1..=32_768).and_then(|count| u16::try_from(count).ok());
        let key_groups = key_groups.and_then(KeyGroups::new).unwrap_or(KeyGroups::DEFAULT);
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let workers = section.count_or("workers", 1..=MAX_WORKERS, cores.min(MAX_WORKERS as usize));
        let (cleanse, metrics) = Self::read_jobs(&mut section);
        let patience_s = section.count_or("patience_s", 0..=30 * DAY_MS / 1_000, 600) as u64;
        section.finish();
        Self { name, key_groups, workers, cleanse, metrics, patience: Duration::from_secs(patience_s) }
    }

    /// `jobs`: both by default. Metrics alone read cleansed events, of a topic of Kafka.
    fn read_jobs(section: &mut Section<'_>) -> (bool, bool) {
        let Some(jobs) = section.texts("jobs") else { return (true, true) };
        for job in jobs.iter().filter(|job| !["cleanse", "metrics"].contains(&job.as_str())) {
            section.mistake("jobs", format!("\"{job}\" is not a job: the jobs are \"cleanse\" and \"metrics\""));
        }
        if jobs.is_empty() {
            section.mistake("jobs", "is empty: write [\"cleanse\", \"metrics\"] or one of the two");
        }
        let has = |name: &str| jobs.iter().any(|job| job == name);
        (has("cleanse"), has("metrics"))
    }
}

/// `[data]`: the folder below which everything is kept.
#[derive(Clone, Debug)]
pub struct DataSettings {
    /// The folder; below it `state`, `checkpoints`, `modules`, `outbox` and `output`.
    pub dir: PathBuf,
    /// Compiled modules, if they are not kept below it: jobs may share them.
    pub modules: Option<PathBuf>,
}

impl DataSettings {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let dir = section.text("dir").map_or_else(|| PathBuf::from("./data"), PathBuf::from);
        let modules = section.text("modules").map(PathBuf::from);
        section.finish();
        Self { dir, modules }
    }

    /// Keyed state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Records that were submitted again: part of the input.
    #[must_use]
    pub fn again(&self) -> PathBuf {
        self.dir.join("again")
    }

    /// Compiled modules.
    #[must_use]
    pub fn modules(&self) -> PathBuf {
        self.modules.clone().unwrap_or_else(|| self.dir.join("modules"))
    }

    /// Rows on their way to Kafka.
    #[must_use]
    pub fn kafka_outbox(&self) -> PathBuf {
        self.dir.join("outbox").join("kafka")
    }

    /// Rows and events on their way to other nodes.
    #[must_use]
    pub fn exchange_outbox(&self) -> PathBuf {
        self.dir.join("outbox").join("exchange")
    }

    /// Blocks on their way to ClickHouse.
    #[must_use]
    pub fn clickhouse_outbox(&self) -> PathBuf {
        self.dir.join("outbox").join("clickhouse")
    }

    /// Files in the making whose place is an object store.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        self.dir.join("staging")
    }

    /// Tables.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.dir.join("output")
    }
}

/// `[state]`: memory of keyed state, as the state crate defines it. Its folder is part of `[data]`.
pub(super) fn read_state(mut section: Section<'_>) -> StateSettings {
    if section.value("path").is_some() {
        section.mistake("path", "is not set here: state lies below `data.dir`; leave it out");
    }
    let settings: StateSettings = section.rest();
    if let Err(mistakes) = settings.validate() {
        section.mistakes(mistakes.0);
    }
    settings
}

/// `[watermark]`: how far out of order events may be.
#[derive(Clone, Debug)]
pub struct WatermarkSettings {
    /// The watermark stands this much behind the newest event of a partition, in milliseconds.
    pub bound_ms: i64,
    /// A partition silent for this long, in milliseconds, no longer holds the others back; `None`: it always does.
    pub idle_ms: Option<i64>,
}

impl WatermarkSettings {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let bound_ms = section.integer_or("bound_ms", 0..=7 * DAY_MS, 5_000);
        let idle_ms = section.integer("idle_ms", 1..=7 * DAY_MS);
        section.finish();
        Self { bound_ms, idle_ms }
    }
}

/// `[tick]`: the most that one step of the engine takes in.
#[derive(Clone, Debug)]
pub struct TickSettings {
    /// Records.
    pub records: usize,
    /// Bytes.
    pub bytes: usize,
    /// For live sources, milliseconds after which a tick closes with what it has.
    pub interval_ms: u64,
}

impl TickSettings {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let records = section.count_or("records", 1..=1 << 20, 16_384);
        let bytes = section.count_or("bytes", 1..=1 << 30, 16 << 20);
        let interval_ms = section.count_or("interval_ms", 1..=MINUTE_MS, 20) as u64;
        section.finish();
        Self { records, bytes, interval_ms }
    }
}

/// `[epoch]`: how much work is committed as one step.
#[derive(Clone, Debug)]
pub struct EpochSettings {
    /// Bounded sources: records after which an epoch is committed. Not time, so that two runs over a file cut it alike.
    pub records: usize,
    /// Live sources: milliseconds after which an epoch is committed.
    pub interval_ms: u64,
    /// Changes of state that are held in memory at most, in bytes: with more, the epoch comes early.
    pub dirty_bytes: usize,
}

impl EpochSettings {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let records = section.count_or("records", 1..=1 << 40, 524_288);
        let interval_ms = section.count_or("interval_ms", 1..=60 * MINUTE_MS, 1_000) as u64;
        let dirty_mib = section.count_or("dirty_mib", 1..=1 << 20, 32);
        section.finish();
        Self { records, interval_ms, dirty_bytes: dirty_mib << 20 }
    }
}

/// `[checkpoint]`: copies of the state to go back to.
#[derive(Clone, Debug)]
pub struct CheckpointSettings {
    /// Epochs between two checkpoints.
    pub every: u64,
    /// Checkpoints that are kept.
    pub keep: usize,
    /// Where they and the tick log are kept: on another disk than the state, if that can be lost; `None`: in the data
    /// folder.
    pub dir: Option<PathBuf>,
    /// Where they and the tick log lie, if not below the data folder.
    pub store: Option<ObjectStoreSettings>,
}

impl CheckpointSettings {
    pub(super) fn read(mut section: Section<'_>, config_file: &Path) -> Self {
        let every = section.count_or("every", 1..=1 << 20, 60) as u64;
        let keep = section.count_or("keep", 1..=1_000, 3);
        let dir = section.text("dir").map(PathBuf::from);
        let store = read_store(&mut section, config_file);
        section.finish();
        Self { every, keep, dir, store }
    }
}
