//! A job on in-memory ports: what the engine's tests have in common.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod changes;
pub mod faults;
pub mod natives;
pub mod oracle;
pub mod script;

use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tidemark_dataflow::KeyGroups;
use tidemark_engine::deployment::Deployment;
use tidemark_engine::descriptor::{ColumnType, Descriptor, Filter, InputColumn, OutputColumn, Side, WindowSpec};
use tidemark_engine::fail_point::{Hook, no_hook};
use tidemark_engine::guest::CloseReason;
use tidemark_engine::ids::Digest;
use tidemark_engine::memory::{
    GroupView, MemoryCatalogue, MemoryEvent, MemoryHistory, MemorySink, MemorySource, MemoryState, MemoryTickLog,
    NativeFactory, NativeMetric, Reply, input, output,
};
use tidemark_engine::metric::{MetricSpec, Overrides};
use tidemark_engine::telemetry::Telemetry;
use tidemark_engine::{DedupSettings, Engine, EngineError, EngineParts, EngineSettings, Patience, Step, TickLimits};
use xxhash_rust::xxh3::xxh3_128;

pub const KEY_GROUPS: u16 = 16;

/// Keeps the values of a window, in the order in which they came, and emits them as a text.
pub struct Collect;

impl NativeMetric for Collect {
    fn inputs(&self) -> Vec<InputColumn> {
        vec![input("value", "data.value", ColumnType::Integer)]
    }

    fn output(&self) -> Vec<OutputColumn> {
        vec![output("count", ColumnType::Integer), output("values", ColumnType::Text)]
    }

    fn update(&self, state: &mut Value, group: &GroupView) -> Result<Reply, String> {
        if group.rows.iter().any(|(_, row)| row[0] == json!(666)) {
            return Err("cursed".to_owned());
        }
        let mut values = state.as_array().cloned().unwrap_or_default();
        values.extend(group.rows.iter().map(|(time, row)| json!([time, row[0]])));
        values.sort_by_key(|value| value[0].as_i64());
        *state = Value::Array(values);
        Ok(Reply::default())
    }

    fn close(&self, state: &mut Value, _: &GroupView, _: CloseReason) -> Result<Reply, String> {
        let values = state.as_array().cloned().unwrap_or_default();
        let row = vec![json!(values.len()), json!(Value::Array(values).to_string())];
        Ok(Reply { rows: vec![row], timers: Vec::new() })
    }

    fn merge(&self, left: Value, right: Value) -> Value {
        let mut values = left.as_array().cloned().unwrap_or_default();
        values.extend(right.as_array().cloned().unwrap_or_default());
        Value::Array(values)
    }
}

/// Emits the values of both sides of a pair, or of the lonely one.
pub struct Pairs;

impl NativeMetric for Pairs {
    fn inputs(&self) -> Vec<InputColumn> {
        let side =
            |side, name: &str| InputColumn { side: Some(side), ..input(name, "data.value", ColumnType::Integer) };
        vec![side(Side::Left, "left"), side(Side::Right, "right")]
    }

    fn output(&self) -> Vec<OutputColumn> {
        vec![output("left", ColumnType::Integer), output("right", ColumnType::Integer)]
    }

    fn update(&self, _: &mut Value, group: &GroupView) -> Result<Reply, String> {
        Ok(Reply { rows: vec![group.rows[0].1.clone()], timers: Vec::new() })
    }

    fn close(&self, _: &mut Value, group: &GroupView, _: CloseReason) -> Result<Reply, String> {
        Ok(Reply { rows: vec![group.rows[0].1.clone()], timers: Vec::new() })
    }
}

/// Counts a key's rows up to a moment: 50 ms after each row by timer, and at expiry, then negated.
pub struct Counter;

impl NativeMetric for Counter {
    fn inputs(&self) -> Vec<InputColumn> {
        vec![input("value", "data.value", ColumnType::Integer)]
    }

    fn output(&self) -> Vec<OutputColumn> {
        vec![output("count", ColumnType::Integer)]
    }

    fn update(&self, state: &mut Value, group: &GroupView) -> Result<Reply, String> {
        let mut times = state.as_array().cloned().unwrap_or_default();
        times.extend(group.rows.iter().map(|(time, _)| json!(time)));
        *state = Value::Array(times);
        Ok(Reply { rows: Vec::new(), timers: group.rows.iter().map(|(time, _)| time + 50).collect() })
    }

    fn close(&self, state: &mut Value, group: &GroupView, reason: CloseReason) -> Result<Reply, String> {
        // Rows that are newer than the timer may or may not have come yet: a metric that wants the same rows from any
        // order of arrival must not look at them.
        let times = state.as_array().cloned().unwrap_or_default();
        let count = times.iter().filter(|time| time.as_i64() <= Some(group.time)).count() as i64;
        let sign = if reason == CloseReason::Expired { -1 } else { 1 };
        Ok(Reply { rows: vec![vec![json!(sign * count)]], timers: Vec::new() })
    }
}

/// A metric `name` over events of type `types`; none: of every type.
pub fn metric(name: &str, native: Arc<dyn NativeMetric>, types: &[&str], window: Value) -> MetricSpec {
    metric_with(name, native, types, window, Overrides::default())
}

pub fn metric_with(
    name: &str,
    native: Arc<dyn NativeMetric>,
    types: &[&str],
    window: Value,
    overrides: Overrides,
) -> MetricSpec {
    let window: WindowSpec = serde_json::from_value(window).expect("a window");
    let filter = if types.is_empty() { json!({}) } else { json!({ "type": types }) };
    let filter = serde_json::from_value(filter).expect("a filter");
    let descriptor = Descriptor { filter, ..descriptor(name, &*native, window) };
    metric_of(&descriptor, native, overrides)
}

/// What a native metric says of itself: every type, keyed by `data.key`.
pub fn descriptor(name: &str, native: &dyn NativeMetric, window: WindowSpec) -> Descriptor {
    Descriptor {
        describe: 1,
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        doc: String::new(),
        inputs: native.inputs(),
        filter: Filter::default(),
        key: "data.key".to_owned(),
        window,
        output: native.output(),
        state_version: 1,
        config_schema: Value::Null,
        mergeable: true,
    }
}

/// A native metric by its description. The digest tells versions apart.
pub fn metric_of(descriptor: &Descriptor, native: Arc<dyn NativeMetric>, overrides: Overrides) -> MetricSpec {
    let words = serde_json::to_string(descriptor).expect("a description is JSON");
    let digest = Digest(
        [xxh3_128(words.as_bytes()).to_le_bytes(), [descriptor.state_version as u8; 16]]
            .concat()
            .try_into()
            .expect("32"),
    );
    let deployment = Deployment { overrides, ..Deployment::new(&descriptor.name, digest) };
    MetricSpec::new(descriptor, deployment, Digest([0; 32]), NativeFactory::new(native)).expect("a sound metric")
}

pub fn event(kind: &str, key: &str, time: i64, value: i64) -> MemoryEvent {
    MemoryEvent { time, event: json!({ "type": kind, "data": { "key": key, "value": value } }) }
}

/// Everything that outlives an engine.
#[derive(Clone)]
pub struct World {
    pub partitions: Vec<Vec<MemoryEvent>>,
    pub state: MemoryState,
    pub sink: MemorySink,
    pub tick_log: MemoryTickLog,
    pub catalogue: MemoryCatalogue,
    pub workers: usize,
    pub tick_records: usize,
    pub epoch_records: usize,
    pub bound_ms: i64,
    pub restored: bool,
}

impl World {
    pub fn new(partitions: Vec<Vec<MemoryEvent>>) -> Self {
        Self {
            partitions,
            state: MemoryState::new(KEY_GROUPS),
            sink: MemorySink::default(),
            tick_log: MemoryTickLog::default(),
            catalogue: MemoryCatalogue::default(),
            workers: 1,
            tick_records: 7,
            epoch_records: 20,
            bound_ms: 100,
            restored: false,
        }
    }

    pub fn open(
        &self,
        metrics: Vec<MetricSpec>,
        hook: Hook,
        telemetry: &Arc<Telemetry>,
    ) -> Result<Engine, EngineError> {
        Engine::open(self.parts(metrics, hook, telemetry))
    }

    pub fn parts_with_key_groups(&self, key_groups: u16, metrics: Vec<MetricSpec>) -> EngineParts {
        let mut parts = self.parts(metrics, no_hook(), &Arc::default());
        parts.settings.key_groups = KeyGroups::new(key_groups).expect("enough");
        parts
    }

    pub fn parts(&self, metrics: Vec<MetricSpec>, hook: Hook, telemetry: &Arc<Telemetry>) -> EngineParts {
        metrics.iter().for_each(|metric| self.catalogue.add(metric.clone()));
        EngineParts {
            settings: EngineSettings {
                key_groups: KeyGroups::new(KEY_GROUPS).expect("enough"),
                workers: self.workers,
                tick: TickLimits { records: self.tick_records, ..TickLimits::default() },
                epoch_records: self.epoch_records,
                epoch_interval: Duration::from_secs(1),
                epoch_dirty_bytes: usize::MAX,
                watermark_bound_ms: self.bound_ms,
                dedup: Some(DedupSettings { window_ms: 60_000, max_ids: 10_000 }),
                archive: true,
                rows_from_elsewhere: false,
                checkpoint_every: 0,
                shared: false,
                snapshot_folder: "unused".into(),
                patience: Patience::default(),
            },
            metrics,
            catalogue: Arc::new(self.catalogue.clone()),
            source: Box::new(MemorySource::new(self.partitions.clone())),
            sinks: vec![Box::new(self.sink.clone())],
            state: Box::new(self.state.clone()),
            checkpoints: None,
            tick_log: Some(Box::new(self.tick_log.clone())),
            history: Some(Box::new(MemoryHistory::new(self.partitions.clone(), self.sink.clone()))),
            tables: Vec::new(),
            table_files: Vec::new(),
            restored: self.restored,
            rewrite: false,
            telemetry: telemetry.clone(),
            hook,
        }
    }

    /// Steps until the process dies at the fail point `point` when it is reached for the `nth` time; `false`: the
    /// source ended before.
    pub fn run_until_death(&self, metrics: Vec<MetricSpec>, point: &'static str, nth: usize) -> bool {
        let hook = deadly_hook(point, nth);
        dies(|| {
            let mut engine = self.open(metrics, hook, &Arc::default()).expect("opens");
            while engine.step().expect("steps") != Step::Finished {}
        })
    }

    /// Runs to the end and returns the sink.
    pub fn run(&self, metrics: Vec<MetricSpec>) -> MemorySink {
        let mut engine = self.open(metrics, no_hook(), &Arc::default()).expect("opens");
        while engine.step().expect("steps") != Step::Finished {}
        self.sink.clone()
    }
}

struct Killed;

/// Kills the process, as far as a test can, when `point` is reached for the `nth` time.
pub fn deadly_hook(point: &'static str, nth: usize) -> Hook {
    let reached = AtomicUsize::new(0);
    Arc::new(move |name: &'static str| {
        if name == point && reached.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            // Unlike a panic, this prints nothing: it is what is wanted.
            resume_unwind(Box::new(Killed));
        }
    })
}

/// Whether `life` ends by a [`deadly_hook`].
pub fn dies(life: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(life)) {
        Ok(()) => false,
        Err(death) if death.is::<Killed>() => true,
        Err(panic) => resume_unwind(panic),
    }
}

/// Rows without the column that depends on where epochs end.
pub fn without_epochs(rows: Vec<Value>) -> Vec<Value> {
    let strip = |mut row: Value| {
        if let Some(row) = row.as_object_mut() {
            row.remove("epoch");
        }
        row
    };
    rows.into_iter().map(strip).collect()
}
