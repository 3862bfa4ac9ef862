//! A trial: one module on the events of a file, through the real decoding, engine and sandbox, without disk, server or
//! configuration. What `tidemark test` runs.

mod compare;
mod events;
mod hints;
mod rows;
mod source;

pub use compare::Difference;
pub use events::{EventFile, EventsError};

use anyhow::Context as _;
use rows::RowSink;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use source::TrialSource;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tidemark_dataflow::KeyGroups;
use tidemark_engine::deployment::Deployment;
use tidemark_engine::fail_point::no_hook;
use tidemark_engine::guest::GuestFactory;
use tidemark_engine::ids::Digest;
use tidemark_engine::memory::{MemoryCatalogue, MemoryState};
use tidemark_engine::metric::{MetricSpec, Overrides};
use tidemark_engine::telemetry::Telemetry;
use tidemark_engine::{Engine, EngineParts, EngineSettings, Patience, Step, TickLimits};
use tidemark_wasm_host::{FuelMeter, Limits, Module, ModuleFactory, TelemetrySnapshot};

/// With watermarks of the file's own, events move none: they would have to come this far behind the newest one.
const UNBOUNDED_MS: i64 = 1 << 50;

/// How a trial runs.
#[derive(Clone, Debug)]
pub struct TrialSettings {
    /// The module's configuration, a JSON document.
    pub config: String,
    /// How far behind the newest event one may come, where the file has no watermarks of its own.
    pub bound_ms: i64,
    /// How long after its end a window can still change.
    pub allowed_lateness_ms: i64,
    /// Records of a tick. With one, rows are those of a runtime that takes record by record.
    pub tick_records: usize,
}

impl Default for TrialSettings {
    fn default() -> Self {
        Self { config: "{}".to_owned(), bound_ms: 5_000, allowed_lateness_ms: 0, tick_records: 1 }
    }
}

/// What came of a trial.
#[derive(Clone, Debug)]
pub struct TrialOutcome {
    /// Rows and dead letters, in the order in which they left the engine.
    pub rows: Vec<Value>,
    /// Events that the metric's filter accepted; of a join, on either side.
    pub accepted: u64,
    /// Sentences about events from which the author may have expected something else.
    pub hints: Vec<String>,
    /// Calls, rows and time of the sandbox.
    pub calls: TelemetrySnapshot,
}

/// Runs `module` on `events`.
pub fn run(module: &Module, events: &EventFile, settings: &TrialSettings) -> anyhow::Result<TrialOutcome> {
    let factory = configured(module, settings)?;
    let mut outcome = run_with(module, events, settings, factory.clone())?;
    outcome.calls = factory.telemetry().snapshot();
    Ok(outcome)
}

/// Runs `module` on `events` and returns the fuel that its calls use.
pub fn fuel(module: &Module, events: &EventFile, settings: &TrialSettings) -> anyhow::Result<u64> {
    let meter = FuelMeter::new(&*configured(module, settings)?)?;
    run_with(module, events, settings, meter.clone())?;
    Ok(meter.fuel())
}

fn configured(module: &Module, settings: &TrialSettings) -> anyhow::Result<Arc<ModuleFactory>> {
    let factory = module.factory(&settings.config, Limits::default());
    factory.map_err(|error| anyhow::anyhow!("the module {error}"))
}

fn run_with(
    module: &Module,
    events: &EventFile,
    settings: &TrialSettings,
    guest: Arc<dyn GuestFactory>,
) -> anyhow::Result<TrialOutcome> {
    let descriptor = module.descriptor();
    let overrides = Overrides { allowed_lateness_ms: Some(settings.allowed_lateness_ms), ..Overrides::default() };
    let config_digest = Digest(Sha256::digest(&settings.config).into());
    let deployment = Deployment { overrides, ..Deployment::new(&descriptor.name, module.digest()) };
    let spec = MetricSpec::new(descriptor, deployment, config_digest, guest);
    let spec = spec.map_err(|mistakes| anyhow::anyhow!("{}", mistakes.join("; ")))?;
    let catalogue = MemoryCatalogue::default();
    catalogue.add(spec.clone());
    let telemetry = Arc::new(Telemetry::default());
    let (sink, collected) = RowSink::new(descriptor);
    let (source, hints) = TrialSource::new(events, descriptor);
    let mut engine = Engine::open(EngineParts {
        settings: engine_settings(events, settings),
        metrics: vec![spec],
        catalogue: Arc::new(catalogue),
        source: Box::new(source),
        sinks: vec![Box::new(sink)],
        state: Box::new(MemoryState::new(KeyGroups::DEFAULT.count())),
        checkpoints: None,
        tick_log: None,
        history: None,
        tables: Vec::new(),
        table_files: Vec::new(),
        restored: false,
        rewrite: false,
        telemetry: telemetry.clone(),
        hook: no_hook(),
    })?;
    while engine.step().context("the trial ended early")? != Step::Finished {}
    engine.close()?;
    let accepted = telemetry.stage(&descriptor.name).rows_in.get();
    Ok(TrialOutcome {
        rows: collected.take(),
        accepted,
        hints: hints.sentences(accepted, descriptor),
        calls: TelemetrySnapshot::default(),
    })
}

fn engine_settings(events: &EventFile, settings: &TrialSettings) -> EngineSettings {
    EngineSettings {
        key_groups: KeyGroups::DEFAULT,
        workers: 1,
        tick: TickLimits { records: settings.tick_records.max(1), ..TickLimits::default() },
        // Nothing is kept, so there is nothing to commit before the end.
        epoch_records: usize::MAX,
        epoch_interval: Duration::MAX,
        epoch_dirty_bytes: usize::MAX,
        watermark_bound_ms: if events.has_watermarks() { UNBOUNDED_MS } else { settings.bound_ms },
        dedup: None,
        archive: false,
        rows_from_elsewhere: false,
        checkpoint_every: 0,
        shared: false,
        snapshot_folder: PathBuf::new(),
        patience: Patience::default(),
    }
}
