//! Changes of the metrics at fixed moments, and metrics that show which version saw a row.

use super::{World, descriptor, metric_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidemark_engine::deployment::{Change, ChangeError, Deployment, Origin};
use tidemark_engine::descriptor::{ColumnType, Descriptor, InputColumn, OutputColumn};
use tidemark_engine::guest::CloseReason;
use tidemark_engine::memory::{GroupView, NativeMetric, Reply, input, output};
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

/// Deploys a metric, and lets the catalogue of `world` know it.
pub fn deploy(world: &World, metric: MetricSpec) -> Change {
    world.catalogue.add(metric.clone());
    let deployment = Deployment { origin: Origin::Api, ..metric.deployment };
    Change::Deploy { deployment: Box::new(deployment), reset_state: false }
}

/// The same, paused.
pub fn pause(world: &World, metric: MetricSpec) -> Change {
    let Change::Deploy { mut deployment, reset_state } = deploy(world, metric) else { unreachable!() };
    deployment.paused = true;
    Change::Deploy { deployment, reset_state }
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
        vec![input("value", "data.value", ColumnType::Integer)]
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
