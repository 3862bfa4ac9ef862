//! Metrics whose rows show what the engine did: for golden cases and for comparisons with an oracle.

use serde_json::{Value, json};
use tidemark_engine::descriptor::{ColumnType, InputColumn, OutputColumn};
use tidemark_engine::guest::CloseReason;
use tidemark_engine::memory::{GroupView, NativeMetric, Reply, input, output};

/// Keeps the values of one path in the order in which they came, and emits them when the window ends. Fails on 666.
pub struct Gather {
    pub path: String,
    pub kind: ColumnType,
}

impl Gather {
    pub fn values() -> Self {
        Self { path: "data.value".to_owned(), kind: ColumnType::Integer }
    }
}

impl NativeMetric for Gather {
    fn inputs(&self) -> Vec<InputColumn> {
        vec![input("value", &self.path, self.kind)]
    }

    fn output(&self) -> Vec<OutputColumn> {
        vec![output("count", ColumnType::Integer), output("values", ColumnType::Json)]
    }

    fn update(&self, state: &mut Value, group: &GroupView) -> Result<Reply, String> {
        let mut values = state.as_array().cloned().unwrap_or_default();
        for (_, row) in &group.rows {
            if row[0] == json!(666) {
                return Err("cursed".to_owned());
            }
            values.push(row[0].clone());
        }
        *state = Value::Array(values);
        Ok(Reply::default())
    }

    fn close(&self, state: &mut Value, _: &GroupView, _: CloseReason) -> Result<Reply, String> {
        let values = state.as_array().cloned().unwrap_or_default();
        Ok(Reply { rows: vec![vec![json!(values.len()), Value::Array(values)]], timers: Vec::new() })
    }

    fn merge(&self, left: Value, right: Value) -> Value {
        let values = [left, right].into_iter().flat_map(|side| side.as_array().cloned().unwrap_or_default());
        Value::Array(values.collect())
    }
}

/// Does what its rows say (`data.do`): `set` a state, `timers` at these times, `on` a timer's time do something else,
/// `emit` a row, `fail`. Emits a row for every timer and expiry.
pub struct Program;

impl Program {
    fn run(state: &mut Value, orders: &Value, reply: &mut Reply) -> Result<(), String> {
        if let Some(message) = orders["fail"].as_str() {
            return Err(message.to_owned());
        }
        if let Some(new) = orders.get("set") {
            *state = if new.is_null() { Value::Null } else { json!({ "value": new, "on": state["on"] }) };
        }
        if let Some(on) = orders["on"].as_object() {
            let mut all = state["on"].as_object().cloned().unwrap_or_default();
            all.extend(on.clone());
            *state = json!({ "value": state["value"], "on": all });
        }
        if let Some(text) = orders.get("emit") {
            reply.rows.push(vec![json!("update"), text.clone()]);
        }
        reply.timers.extend(orders["timers"].as_array().into_iter().flatten().filter_map(Value::as_i64));
        Ok(())
    }
}

impl NativeMetric for Program {
    fn inputs(&self) -> Vec<InputColumn> {
        vec![input("do", "data.do", ColumnType::Json)]
    }

    fn output(&self) -> Vec<OutputColumn> {
        vec![output("why", ColumnType::Text), output("value", ColumnType::Json)]
    }

    fn update(&self, state: &mut Value, group: &GroupView) -> Result<Reply, String> {
        let mut reply = Reply::default();
        for (_, row) in &group.rows {
            let orders: Value = serde_json::from_str(row[0].as_str().unwrap_or("{}")).map_err(|e| e.to_string())?;
            Self::run(state, &orders, &mut reply)?;
        }
        Ok(reply)
    }

    fn close(&self, state: &mut Value, group: &GroupView, reason: CloseReason) -> Result<Reply, String> {
        let why = if reason == CloseReason::Expired { "expired" } else { "timer" };
        let mut reply = Reply { rows: vec![vec![json!(why), state["value"].clone()]], timers: Vec::new() };
        let orders = state["on"][group.time.to_string()].clone();
        Self::run(state, &orders, &mut reply)?;
        Ok(reply)
    }
}

/// Counts; state version 1 is a number. Fails on 666.
pub struct CountV1;

/// Counts; state version 2 is an object, and there is no way from 3.
pub struct CountV2;

fn count_output() -> Vec<OutputColumn> {
    vec![output("count", ColumnType::Integer)]
}

impl NativeMetric for CountV1 {
    fn inputs(&self) -> Vec<InputColumn> {
        vec![input("value", "data.value", ColumnType::Integer)]
    }

    fn output(&self) -> Vec<OutputColumn> {
        count_output()
    }

    fn update(&self, state: &mut Value, group: &GroupView) -> Result<Reply, String> {
        if group.rows.iter().any(|(_, row)| row[0] == json!(666)) {
            return Err("cursed".to_owned());
        }
        *state = json!(state.as_i64().unwrap_or(0) + group.rows.len() as i64);
        Ok(Reply::default())
    }

    fn close(&self, state: &mut Value, _: &GroupView, _: CloseReason) -> Result<Reply, String> {
        Ok(Reply { rows: vec![vec![state.clone()]], timers: Vec::new() })
    }
}

impl NativeMetric for CountV2 {
    fn inputs(&self) -> Vec<InputColumn> {
        CountV1.inputs()
    }

    fn output(&self) -> Vec<OutputColumn> {
        count_output()
    }

    fn update(&self, state: &mut Value, group: &GroupView) -> Result<Reply, String> {
        *state = json!({ "count": state["count"].as_i64().unwrap_or(0) + group.rows.len() as i64 });
        Ok(Reply::default())
    }

    fn close(&self, state: &mut Value, _: &GroupView, _: CloseReason) -> Result<Reply, String> {
        Ok(Reply { rows: vec![vec![state["count"].clone()]], timers: Vec::new() })
    }

    fn migrate(&self, state: Value, from: u32) -> Result<Value, String> {
        match state.as_i64() {
            Some(3) => Err("unlucky".to_owned()),
            Some(count) if from == 1 => Ok(json!({ "count": count })),
            _ => Err(format!("not a state of version {from}: {state}")),
        }
    }
}

/// Sets a timer 30 ms after each row and, from some timers, another one; emits how many rows had come up to it. If it
/// is `forgetful`, it drops its state now and then.
pub struct Chain {
    pub forgetful: bool,
}

impl NativeMetric for Chain {
    fn inputs(&self) -> Vec<InputColumn> {
        vec![input("value", "data.value", ColumnType::Integer)]
    }

    fn output(&self) -> Vec<OutputColumn> {
        count_output()
    }

    fn update(&self, state: &mut Value, group: &GroupView) -> Result<Reply, String> {
        if group.rows.iter().any(|(_, row)| row[0] == json!(666)) {
            return Err("cursed".to_owned());
        }
        let mut times = state.as_array().cloned().unwrap_or_default();
        times.extend(group.rows.iter().map(|(time, _)| json!(time)));
        *state = Value::Array(times);
        Ok(Reply { rows: Vec::new(), timers: group.rows.iter().map(|(time, _)| time + 30).collect() })
    }

    fn close(&self, state: &mut Value, group: &GroupView, reason: CloseReason) -> Result<Reply, String> {
        let times = state.as_array().into_iter().flatten();
        let count = times.filter(|time| time.as_i64() <= Some(group.time)).count();
        if self.forgetful && group.time % 7 == 0 {
            *state = Value::Null;
        }
        let again = reason == CloseReason::Timer && group.time % 3 != 0;
        Ok(Reply { rows: vec![vec![json!(count)]], timers: again.then_some(group.time + 17).into_iter().collect() })
    }
}
