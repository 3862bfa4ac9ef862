//! A job put together: configuration and modules become an engine with its real ports.
//!
//! Everything here creates or opens files, so it runs only behind a configuration without mistakes.

mod checkpoints;
mod recovery;
mod sinks;
mod source;
mod tick_log;

pub use checkpoints::SharedCheckpoints;
pub(crate) use checkpoints::savepoint_image;
pub(crate) use sinks::EXCHANGE;
pub(crate) use source::with_again;

use crate::config::Config;
use crate::live::LiveRows;
use crate::past::ArchivedPast;
use crate::row_store;
use crate::telemetry::KafkaWatch;
use anyhow::{Context as _, bail};
use checkpoints::JobCheckpoints;
use recovery::{Recovered, Recovery};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidemark_connectors::checkpoint::Checkpoints;
use tidemark_connectors::cleanse::{CleanseSettings, read_table_files};
use tidemark_connectors::module_store::{ModuleStore, ModuleStoreError};
use tidemark_connectors::source::again::AgainLog;
use tidemark_engine::deployment::Catalogue;
use tidemark_engine::fail_point::{Hook, no_hook};
use tidemark_engine::ids::Epoch;
use tidemark_engine::metric::MetricSpec;
use tidemark_engine::ports::History;
use tidemark_engine::telemetry::Telemetry;
use tidemark_engine::{Engine, EngineParts, EngineSettings, Patience, TickLimits};
use tidemark_query::catalogue::MetricTables;
use tidemark_state::StateInspector;

/// A job, opened where it was committed or anew.
pub struct OpenJob {
    /// What drives it.
    pub engine: Engine,
    /// A look at its state.
    pub state: StateInspector,
    /// Its rows as they become visible.
    pub live: LiveRows,
    /// Where records are submitted again; `None` where the source takes no more.
    pub again: Option<Arc<Mutex<AgainLog>>>,
    /// Where its checkpoints are kept.
    pub checkpoints: SharedCheckpoints,
    /// How far its connectors to Kafka are.
    pub kafka: KafkaWatch,
    recovery: Recovery,
    data: PathBuf,
}

impl OpenJob {
    /// Opens the job of `config`. An error says what is in the way and what to do.
    pub fn open(
        config: &Config,
        metrics: Vec<MetricSpec>,
        catalogue: Arc<dyn Catalogue>,
        telemetry: Arc<Telemetry>,
        hook: Hook,
    ) -> anyhow::Result<Self> {
        let data = &config.data;
        if let Some(piece) = &config.piece {
            recovery::drop_undone(&data.dir, piece.taken_back)?;
        }
        create_folder(&data.dir)?;
        // Cleansed events bring with them what the tables added.
        let tables = if config.job.cleanse { &config.cleanse.table[..] } else { &[] };
        let table_files = read_table_files(tables)?;
        let store = JobCheckpoints::open(config, hook.clone())?;
        let tick_log = tick_log::open(config)?;
        let Recovered { state, restored, recovery } = recovery::open(config, &store, &tick_log)?;
        let source = source::open(config)?;
        let mut sinks = sinks::open(config, &metrics, hook.clone())?;
        let kafka = KafkaWatch { source: source.kafka, sink: sinks.kafka };
        let live = LiveRows::default();
        if config.http.listen.is_some() {
            // The last: what others have not shown yet is not told to anybody.
            sinks.sinks.push(Box::new(live.tap()));
        }
        let checkpoints = store.store();
        let (source, again) = with_again(config, source.source)?;
        let inspector = state.inspector();
        let engine = Engine::open(EngineParts {
            settings: engine_settings(config, store.snapshot_folder()),
            metrics,
            catalogue,
            source,
            sinks: sinks.sinks,
            state: Box::new(state),
            checkpoints: Some(store.into_port()?),
            tick_log: Some(tick_log.into_port()),
            history: archived_past(config),
            tables: tables.iter().map(|table| table.spec()).collect(),
            table_files,
            restored,
            rewrite: false,
            telemetry,
            hook,
        })?;
        refuse_new_partitions(&engine)?;
        let again = again.map(|log| Arc::new(Mutex::new(log)));
        let data = data.dir.clone();
        let job = Self { engine, state: inspector, live, again, checkpoints, kafka, recovery, data };
        job.show_tables()?;
        Ok(job)
    }

    /// Lets queries know which metrics there are and what columns they have.
    pub fn show_tables(&self) -> anyhow::Result<()> {
        let columns = self.engine.progress().columns.clone();
        MetricTables::add(&self.data, columns).with_context(|| format!("cannot write into {}", self.data.display()))
    }

    /// To be called behind each commit: ends a recovery whose last epoch has been run again.
    pub fn committed(&mut self) -> anyhow::Result<()> {
        self.recovery.committed(self.engine.progress().epoch)
    }
}

/// The checkpoints of a job that does not run.
pub(crate) fn open_checkpoints(config: &Config) -> anyhow::Result<Checkpoints> {
    Ok(checkpoints::open(config, no_hook())?)
}

/// The modules of a job.
pub(crate) fn open_modules(config: &Config) -> Result<ModuleStore, ModuleStoreError> {
    match &config.checkpoint.store {
        None => ModuleStore::open(&config.module_store()),
        Some(store) => ModuleStore::open_store(&config.module_store(), store),
    }
}

/// Whether a job stopped in the middle of a recovery.
pub(crate) fn is_recovering(config: &Config) -> bool {
    recovery::marker(config).exists()
}

/// Ends a recovery that another state has made void.
pub(crate) fn end_recovery(config: &Config) -> anyhow::Result<()> {
    recovery::remove_marker(&recovery::marker(config))
}

/// Forgets what was decided behind `epoch`, of a job that does not run.
pub(crate) fn forget_ticks_after(config: &Config, epoch: Epoch) -> anyhow::Result<()> {
    Ok(tick_log::open(config)?.into_port().truncate_after(epoch)?)
}

/// The last epoch that was decided of a job that does not run.
pub(crate) fn last_tick(config: &Config) -> anyhow::Result<Option<Epoch>> {
    Ok(tick_log::open(config)?.last_epoch())
}

/// The ticks of a job that does not run, of the epochs after `epoch`.
pub(crate) fn read_ticks(config: &Config, epoch: Epoch) -> anyhow::Result<Vec<(Epoch, Vec<u8>)>> {
    Ok(tick_log::open(config)?.into_port().read_after(epoch)?)
}

/// Whether the tick log of a job that does not run still has its first epoch.
pub(crate) fn has_first_tick(config: &Config) -> anyhow::Result<bool> {
    Ok(tick_log::open(config)?.first_epoch()? == Some(Epoch(1)))
}

/// The events of the past, where they are kept.
pub(crate) fn archived_past(config: &Config) -> Option<Box<dyn History>> {
    if !config.archive.enabled || config.sinks.parquet.is_none() {
        return None;
    }
    let store = row_store::files(config, config.http.limits.sql_memory_bytes);
    // What the tables added is in the archive.
    let cleanse = CleanseSettings { table: Vec::new(), ..config.cleanse.clone() };
    Some(Box::new(ArchivedPast::new(store, cleanse)))
}

/// A run that has finished has closed every window: rows of a partition that it never saw would all be too late.
fn refuse_new_partitions(engine: &Engine) -> anyhow::Result<()> {
    let progress = engine.progress();
    let known = |name: &str| progress.partitions.iter().any(|partition| partition.name == name);
    if !progress.finished {
        return Ok(());
    }
    match engine.partitions().find(|name| !known(name)) {
        Some(new) => bail!(
            "the run over this data folder has finished, and {new} was not part of it: a finished run takes no more; \
             give this input a data folder of its own with --data DIR"
        ),
        None => Ok(()),
    }
}

/// How the engine of `config` runs.
pub(crate) fn engine_settings(config: &Config, snapshot_folder: &Path) -> EngineSettings {
    EngineSettings {
        key_groups: config.job.key_groups,
        workers: config.job.workers,
        tick: TickLimits {
            records: config.tick.records,
            block_bytes: config.tick.bytes,
            interval: Duration::from_millis(config.tick.interval_ms),
            // Who wrote cleansed events says how far event time has come, also where there are none.
            idle_after: config
                .watermark
                .idle_ms
                .filter(|_| config.job.cleanse)
                .map(|ms| Duration::from_millis(ms.unsigned_abs())),
        },
        epoch_records: config.epoch.records,
        epoch_interval: Duration::from_millis(config.epoch.interval_ms),
        epoch_dirty_bytes: config.epoch.dirty_bytes,
        watermark_bound_ms: config.watermark.bound_ms,
        // Cleansed events have lost their duplicates.
        dedup: config.dedup.filter(|_| config.job.cleanse),
        archive: config.archive.enabled
            || config.sinks.kafka.as_ref().is_some_and(|kafka| kafka.events.is_some())
            || config.piece.is_some() && config.job.cleanse,
        rows_from_elsewhere: config.piece.is_some(),
        checkpoint_every: config.checkpoint.every,
        shared: config.piece.is_some(),
        snapshot_folder: snapshot_folder.to_owned(),
        patience: Patience::new(config.job.patience),
    }
}

fn create_folder(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))
}
