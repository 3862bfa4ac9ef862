//! Plays a case on the real engine, with its ports in memory, and keeps the rows and the states.

use crate::cases::Case;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidemark_dataflow::KeyGroups;
use tidemark_engine::deployment::Deployment;
use tidemark_engine::descriptor::{Condition, Descriptor, Filter};
use tidemark_engine::fail_point::no_hook;
use tidemark_engine::guest::{CloseReason, Folded, Guest, GuestBatch, GuestError, GuestFactory, VarBytes};
use tidemark_engine::ids::Digest;
use tidemark_engine::memory::{MemoryCatalogue, MemoryEvent, MemorySink, MemorySource, MemoryState, Row};
use tidemark_engine::metric::{MetricSpec, Overrides};
use tidemark_engine::output::TableKind;
use tidemark_engine::{Engine, EngineParts, EngineSettings, Patience, Step, TickLimits};

/// What came of a case, in canonical form: one JSON object a line.
#[derive(PartialEq, Eq, Debug)]
pub struct Played {
    /// Rows and dead letters, in the order in which they came.
    pub rows: String,
    /// The last state of each group that `update` returned, in hexadecimal digits, by key and window.
    pub states: String,
}

/// Plays `case` with the metric that `descriptor` describes and `guests` makes.
pub fn play(case: &Case, descriptor: &Descriptor, guests: Arc<dyn GuestFactory>) -> Result<Played, String> {
    let states = States::default();
    let guests = Arc::new(Recorder { guests, states: states.clone() });
    let settings = &case.settings;
    let overrides = Overrides {
        window: settings.window.clone(),
        filter: Some(as_events(&descriptor.filter)),
        allowed_lateness_ms: Some(settings.allowed_lateness_ms),
        ..Overrides::default()
    };
    let (digest, config) = (Digest([1; 32]), Digest([2; 32]));
    let deployment = Deployment { overrides, ..Deployment::new(&descriptor.name, digest) };
    let metric = MetricSpec::new(descriptor, deployment, config, guests);
    let metric = metric.map_err(|mistakes| mistakes.join("; "))?;
    let catalogue = MemoryCatalogue::default();
    catalogue.add(metric.clone());
    let sink = MemorySink::default();
    let key_groups = 16;
    let mut engine = Engine::open(EngineParts {
        settings: EngineSettings {
            key_groups: KeyGroups::new(key_groups).expect("enough"),
            workers: 1,
            tick: TickLimits { records: settings.tick_records, ..TickLimits::default() },
            epoch_records: 1_000_000,
            epoch_interval: Duration::from_secs(1),
            epoch_dirty_bytes: usize::MAX,
            watermark_bound_ms: settings.bound_ms,
            dedup: None,
            archive: false,
            rows_from_elsewhere: false,
            checkpoint_every: 0,
            shared: false,
            snapshot_folder: "unused".into(),
            patience: Patience::default(),
        },
        metrics: vec![metric],
        catalogue: Arc::new(catalogue),
        source: Box::new(MemorySource::new(vec![case.events.iter().map(as_event).collect()])),
        sinks: vec![Box::new(sink.clone())],
        state: Box::new(MemoryState::new(key_groups)),
        checkpoints: None,
        tick_log: None,
        history: None,
        tables: Vec::new(),
        table_files: Vec::new(),
        restored: false,
        rewrite: false,
        telemetry: Arc::default(),
        hook: no_hook(),
    })
    .map_err(|error| error.to_string())?;
    while engine.step().map_err(|error| error.to_string())? != Step::Finished {}
    let rows = sink.rows().iter().map(|row| format!("{}\n", shown(row))).collect();
    let states = states.lock().unwrap_or_else(PoisonError::into_inner);
    let state = |((key, start), bytes): (&(String, i64), &Vec<u8>)| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}\n", json!({ "key": key, "window_start": start, "state": hex }))
    };
    Ok(Played { rows, states: states.iter().map(state).collect() })
}

/// Rows of other metrics, which the case has and no metric of the job makes, under a name that the engine takes for that of
/// an event.
fn as_event(event: &MemoryEvent) -> MemoryEvent {
    let mut event = event.clone();
    if let Some(metric) = event.event["type"].as_str().and_then(|name| name.strip_prefix("metric.")) {
        event.event["type"] = json!(format!("row-of.{metric}"));
    }
    event
}

/// The filter for such events.
fn as_events(filter: &Filter) -> Filter {
    let mut filter = filter.clone();
    if let Some(Condition::OneOf(types)) = filter.0.get_mut("type") {
        types.iter_mut().for_each(|name| *name = name.replace("metric.", "row-of."));
    }
    filter
}

/// A row without what depends on the file of the module and on epochs.
fn shown((kind, row): &Row) -> Value {
    let object: Map<String, Value> = match kind {
        TableKind::DeadLetters => ["reason", "detail", "key", "event_time", "window_start", "window_end"]
            .map(|name| (name.to_owned(), row[name].clone()))
            .into_iter()
            .collect(),
        _ => {
            let left_out = ["epoch", "row_id", "digest", "config_digest"];
            let columns = row.as_object().into_iter().flatten();
            let columns = columns.filter(|(name, _)| !left_out.contains(&name.as_str()));
            columns.map(|(name, value)| (name.clone(), value.clone())).collect()
        }
    };
    Value::Object(object)
}

/// Bytes by key and start of the window.
type States = Arc<Mutex<BTreeMap<(String, i64), Vec<u8>>>>;

/// Instances that write down the states that they return.
struct Recorder {
    guests: Arc<dyn GuestFactory>,
    states: States,
}

impl GuestFactory for Recorder {
    fn instantiate(&self) -> Result<Box<dyn Guest>, GuestError> {
        Ok(Box::new(Recorded { guest: self.guests.instantiate()?, states: self.states.clone() }))
    }
}

struct Recorded {
    guest: Box<dyn Guest>,
    states: States,
}

impl Guest for Recorded {
    fn update(&mut self, batch: &GuestBatch) -> Result<Folded, GuestError> {
        let folded = self.guest.update(batch)?;
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        for group in 0..batch.groups.len() {
            let key = String::from_utf8_lossy(batch.groups.keys.get(group)).into_owned();
            let state = folded.states.get(group);
            if !state.is_empty() {
                states.insert((key, batch.groups.window_starts[group]), state.to_vec());
            }
        }
        Ok(folded)
    }

    fn close(&mut self, batch: &GuestBatch, reason: CloseReason) -> Result<Folded, GuestError> {
        self.guest.close(batch, reason)
    }

    fn merge(&mut self, left: &VarBytes, right: &VarBytes) -> Result<Folded, GuestError> {
        self.guest.merge(left, right)
    }

    fn migrate(&mut self, states: &VarBytes, from: u32) -> Result<Folded, GuestError> {
        self.guest.migrate(states, from)
    }
}
