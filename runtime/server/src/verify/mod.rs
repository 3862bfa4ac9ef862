//! Verifying and replaying: rows are derived again from the archive, with the very modules and configurations of then, and
//! compared with those that were written, or written elsewhere.
//!
//! What runs is the engine itself: it starts from the oldest checkpoint that is kept or, for the whole of a job, from nothing.
//! It takes the ticks that the tick log tells and the events that the archive has, makes the changes of the metrics where
//! they were made, and writes to a sink that compares, or to Parquet files of their own. So late rows, refirings, keys, joins, swaps and another number of workers are no special cases, nor is where the events came
//! from: what a cleansed topic says of the watermark is in the tick log. Rows of before the start cannot be derived: the
//! ticks that made them are forgotten.

mod compare;
mod source;
mod write;

pub use compare::{Counts, Report, Selection};

use crate::catalogue::JobCatalogue;
use crate::config::Config;
use crate::modules::Registry;
use crate::row_store;
use crate::telemetry::Exporter;
use crate::wiring;
use anyhow::{Context as _, bail};
use compare::Comparing;
use source::ArchiveSource;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tidemark_connectors::cleanse::{CleanseSettings, read_table_files};
use tidemark_engine::fail_point::no_hook;
use tidemark_engine::ids::Epoch;
use tidemark_engine::memory::MemoryTickLog;
use tidemark_engine::ports::{Sink, TickLog as _};
use tidemark_engine::progress::Progress;
use tidemark_engine::telemetry::Telemetry;
use tidemark_engine::tick_log::EpochRecord;
use tidemark_engine::{Engine, EngineParts};
use tidemark_query::catalogue::MetricTables;
use tidemark_state::{RocksState, StateSettings};
use tidemark_wasm_host::Host;
pub use write::Replayed;
use write::Writing;

/// Memory of a question about the archive or the rows.
const QUERY_BYTES: usize = 1 << 30;

/// Derives the rows that `selection` names again and compares them. `scratch` is an empty folder for the state. The job
/// must not run meanwhile.
pub fn verify(config: &Config, host: Host, selection: Selection, scratch: &Path) -> anyhow::Result<Report> {
    let store = row_store::files(config, QUERY_BYTES);
    let (mut report, derived) = (None, store.clone());
    run_again(config, host, scratch, selection.whole, |since| {
        let shared = Arc::new(Mutex::new(Report::new(since, selection)));
        report = Some(shared.clone());
        Ok(Box::new(Comparing::new(derived, shared)))
    })?;
    let report = report.and_then(Arc::into_inner).context("the comparison has ended")?;
    let mut report = report.into_inner().map_err(|_| anyhow::anyhow!("the comparison failed"))?;
    report.count_underivable(&*store)?;
    Ok(report)
}

/// Derives the rows that `selection` names again and writes them into the new data folder `into`. Returns how many.
/// `scratch` and the job are as in [`verify`].
pub fn replay(
    config: &Config,
    host: Host,
    selection: Selection,
    scratch: &Path,
    into: &Path,
) -> anyhow::Result<Replayed> {
    if into.exists() {
        bail!("{} is there already: name a folder that is not", into.display());
    }
    let (mut written, metric) = (None, selection.metric.clone());
    let known = MetricTables::read(&config.data.dir)?.metrics;
    let Some(columns) = known.get(&metric).cloned() else {
        let names: Vec<String> = known.into_keys().collect();
        bail!("this job has had no metric {metric}; there are {}", names.join(", "));
    };
    run_again(config, host, scratch, selection.whole, |since| {
        let sink = Writing::open(into, config.sinks.parquet.clone().unwrap_or_default(), selection, since)?;
        MetricTables::add(into, [(metric, columns)])?;
        written = Some(sink.written());
        Ok(Box::new(sink))
    })?;
    let written = written.context("nothing was run")?;
    Ok(*written.lock().map_err(|_| anyhow::anyhow!("the sink failed"))?)
}

/// Runs the epochs again that the tick log has since the oldest checkpoint, or since the job began where the `whole` is
/// wanted, into the sink that `sink` makes for what comes after that epoch.
fn run_again(
    config: &Config,
    host: Host,
    scratch: &Path,
    whole: bool,
    sink: impl FnOnce(Epoch) -> anyhow::Result<Box<dyn Sink>>,
) -> anyhow::Result<()> {
    if !config.archive.enabled || config.sinks.parquet.is_none() {
        bail!("rows are derived from the archive, which this job does not keep: turn on [archive] and [sink.parquet]");
    }
    let checkpoints = wiring::open_checkpoints(config)?;
    let folder = scratch.join("state");
    if whole && !wiring::has_first_tick(config)? {
        bail!(
            "the tick log no longer has the job's first epoch: leave out --whole, to begin with the oldest checkpoint"
        );
    }
    if let Some(oldest) = checkpoints.oldest()?.filter(|_| !whole) {
        checkpoints.restore(oldest, &folder).context("the oldest checkpoint cannot be restored")?;
    }
    let settings = StateSettings { path: folder, ..config.state.clone() };
    let state = RocksState::open(&settings, config.job.key_groups)?;
    let progress = Progress::load(&state)?.unwrap_or_else(|| Progress::new(config.job.key_groups.count()));
    let records = wiring::read_ticks(config, progress.epoch)?;
    if let Some((first, _)) = records.first().filter(|(first, _)| first.0 != progress.epoch.0 + 1) {
        bail!("the tick log begins with epoch {first}, but the oldest state is of epoch {}", progress.epoch);
    }
    let decoded: Vec<(Epoch, EpochRecord)> = records
        .iter()
        .map(|(epoch, record)| Ok((*epoch, EpochRecord::decode(*epoch, record)?)))
        .collect::<anyhow::Result<_>>()?;
    // Cleansed events bring with them what the tables added.
    let tables = if config.job.cleanse { config.cleanse.table.clone() } else { Vec::new() };
    let cleanse = CleanseSettings { table: tables.clone(), ..config.cleanse.clone() };
    let archive = row_store::files(config, QUERY_BYTES);
    let archive = ArchiveSource::new(archive, cleanse, !config.job.cleanse, &progress, &decoded);
    let (source, _) = wiring::with_again(config, Box::new(archive))?;
    let mut log = MemoryTickLog::default();
    for (epoch, record) in &records {
        log.append(*epoch, record)?;
    }
    let sink = sink(progress.epoch)?;
    let telemetry = Arc::new(Telemetry::default());
    let exporter = Arc::new(Exporter::new(&config.job.name, telemetry.clone()));
    let modules = wiring::open_modules(config)?;
    let registry = Arc::new(Registry::new(modules, host, Vec::new()));
    let mut engine_settings = wiring::engine_settings(config, scratch);
    // What is not compared need not be made.
    engine_settings.archive = false;
    engine_settings.checkpoint_every = 0;
    let mut engine = Engine::open(EngineParts {
        settings: engine_settings,
        metrics: Vec::new(),
        catalogue: Arc::new(JobCatalogue::new(registry, exporter)),
        source,
        sinks: vec![sink],
        state: Box::new(state),
        checkpoints: None,
        tick_log: Some(Box::new(log)),
        history: wiring::archived_past(config),
        tables: tables.iter().map(|table| table.spec()).collect(),
        table_files: read_table_files(&tables)?,
        restored: true,
        rewrite: true,
        telemetry,
        hook: no_hook(),
    })?;
    while engine.is_rerunning() {
        engine.step()?;
    }
    Ok(())
}
