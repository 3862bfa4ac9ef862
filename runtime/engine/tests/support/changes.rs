//! Changes of the metrics at fixed moments, and metrics that show which version saw a row.

use super::faults::Random;
use super::{Pairs, World, descriptor, event, metric_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidemark_engine::deployment::{Change, ChangeError, Deployment, Origin};
use tidemark_engine::descriptor::{ColumnType, Descriptor, InputColumn, OutputColumn};
use tidemark_engine::guest::CloseReason;
use tidemark_engine::memory::{self, GroupView, MemoryEvent, NativeMetric, Reply, Row, output};
use tidemark_engine::metric::{MetricSpec, Overrides};
use tidemark_engine::{Engine, Step};

/// Changes by the epoch behind which they are made. One that a crash undid is made again.
#[derive(Clone, Default)]
pub struct Schedule(pub BTreeMap<u64, Vec<Change>>);

impl Schedule {
    /// Runs to the end, changing on the way. Returns how many changes took effect, and how many were refused.
    pub fn drive(&self, engine: &mut Engine) -> (usize, usize) {
        let (mut made, mut refused) = (0, 0);
        let mut last_refused = None;
        loop {
            let epoch = engine.progress().epoch.0;
            if let Some(changes) =
                self.0.get(&epoch).filter(|_| engine.at_epoch_boundary() && last_refused != Some(epoch))
            {
                match engine.change(changes.clone()) {
                    Ok(_) => {
                        made += 1;
                        continue;
                    }
                    Err(ChangeError::Refused(_)) => {
                        refused += 1;
                        last_refused = Some(epoch);
                    }
                    Err(ChangeError::Engine(error)) => panic!("{error}"),
                }
            }
            if engine.step().expect("steps") == Step::Finished {
                return (made, refused);
            }
        }
    }
}

/// Events of 20 keys over three partitions, out of order by up to `disorder` ms.
pub fn input(disorder: u64) -> Vec<Vec<MemoryEvent>> {
    let mut random = Random::new(7);
    let mut partition = |partition: i64| {
        let mut time = 0;
        let mut events = Vec::new();
        for number in 0..300 {
            time += random.below(12) as i64;
            let kind = ["left", "right", "status"][random.below(3) as usize];
            let key = format!("key-{}", random.below(20));
            let mut event = event(kind, &key, time - random.below(disorder + 1) as i64, partition * 1_000 + number);
            event.event["data"]["other"] = json!(format!("other-{}", random.below(4)));
            events.push(event);
        }
        events
    };
    (0..3).map(&mut partition).collect()
}

pub const TUMBLING: &str = "tumbling";

pub fn window(kind: &str) -> Value {
    match kind {
        TUMBLING => json!({ "kind": "tumbling", "size_ms": 130 }),
        "sliding" => json!({ "kind": "sliding", "size_ms": 200, "slide_ms": 70 }),
        "session" => json!({ "kind": "session", "gap_ms": 40 }),
        "keyed" => json!({ "kind": "key", "ttl_ms": 1_i64 << 40 }),
        "join" => json!({
            "kind": "interval-join", "left": { "type": ["left"] }, "right": { "type": ["right"] },
            "lower_ms": -50, "upper_ms": 100, "unmatched": "both",
        }),
        other => panic!("no window {other}"),
    }
}

pub const KINDS: [&str; 5] = [TUMBLING, "sliding", "session", "keyed", "join"];

/// Version `number` of a metric with each kind of window.
pub fn of_kind(kind: &str, number: u32) -> MetricSpec {
    match kind {
        "join" => version(number, kind, Arc::new(Pairs), &[], window(kind), 0),
        _ => version(number, kind, Arc::new(Signed(number)), &["status", "left"], window(kind), 30),
    }
}

/// A row without what tells versions and epochs apart.
pub fn unsigned((kind, mut row): Row) -> (String, String) {
    for name in ["epoch", "version", "digest", "seen_by", "closed_by", "row_id"] {
        row.as_object_mut().expect("a row").remove(name);
    }
    (format!("{kind:?}"), row.to_string())
}

/// Deploys a metric, and lets the catalogue of `world` know it.
pub fn deploy(world: &World, metric: MetricSpec) -> Change {
    world.catalogue.add(metric.clone());
    let deployment = Deployment { origin: Origin::Api, ..metric.deployment };
    Change::Deploy { deployment: Box::new(deployment), reset_state: false, past: None }
}

/// The same, paused.
pub fn pause(world: &World, metric: MetricSpec) -> Change {
    let Change::Deploy { mut deployment, reset_state, past } = deploy(world, metric) else { unreachable!() };
    deployment.paused = true;
    Change::Deploy { deployment, reset_state, past }
}

/// Version `version` of a metric.
pub fn version(
    number: u32,
    name: &str,
    native: Arc<dyn NativeMetric>,
    types: &[&str],
    window: Value,
    lateness_ms: i64,
) -> MetricSpec {
    let window = serde_json::from_value(window).expect("a window");
    let filter = if types.is_empty() { json!({}) } else { json!({ "type": types }) };
    let filter = serde_json::from_value(filter).expect("a filter");
    let descriptor = Descriptor { version: format!("{number}.0.0"), filter, ..descriptor(name, &*native, window) };
    metric_of(&descriptor, native, Overrides { allowed_lateness_ms: Some(lateness_ms), ..Overrides::default() })
}

/// Collects values, and which versions saw them.
pub struct Signed(pub u32);

impl NativeMetric for Signed {
    fn inputs(&self) -> Vec<InputColumn> {
        vec![memory::input("value", "data.value", ColumnType::Integer)]
    }

    fn output(&self) -> Vec<OutputColumn> {
        vec![
            output("values", ColumnType::Text),
            output("seen_by", ColumnType::Text),
            output("closed_by", ColumnType::Integer),
        ]
    }

    fn update(&self, state: &mut Value, group: &GroupView) -> Result<Reply, String> {
        let mut values = state["values"].as_array().cloned().unwrap_or_default();
        values.extend(group.rows.iter().map(|(time, row)| json!([time, row[0]])));
        values.sort_by_key(|value| (value[0].as_i64(), value[1].as_i64()));
        let mut seen_by = state["seen_by"].as_array().cloned().unwrap_or_default();
        if !seen_by.contains(&json!(self.0)) {
            seen_by.push(json!(self.0));
        }
        *state = json!({ "values": values, "seen_by": seen_by });
        Ok(Reply { rows: Vec::new(), timers: Vec::new() })
    }

    fn close(&self, state: &mut Value, _: &GroupView, _: CloseReason) -> Result<Reply, String> {
        let row = vec![json!(state["values"].to_string()), json!(state["seen_by"].to_string()), json!(self.0)];
        Ok(Reply { rows: vec![row], timers: Vec::new() })
    }

    fn merge(&self, left: Value, right: Value) -> Value {
        let both = |field: &str| {
            let mut all = left[field].as_array().cloned().unwrap_or_default();
            for value in right[field].as_array().into_iter().flatten() {
                if field == "values" || !all.contains(value) {
                    all.push(value.clone());
                }
            }
            all.sort_by_key(|value| (value[0].as_i64(), value[1].as_i64()));
            all
        };
        json!({ "values": both("values"), "seen_by": both("seen_by") })
    }
}
