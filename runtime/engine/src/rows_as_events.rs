//! A metric's rows as events of type `metric.<name>`, for the metrics that read them.

use crate::batch::{EventBatch, RawRecords};
use crate::descriptor::ColumnType;
use crate::ids::{Offset, Partition, Tick};
use crate::output::arrow_type;
use crate::plan::{ExtractionPlan, Slot};
use crate::stage::Stage;
use crate::stage::call::json_value;
use crate::stage::emission::StageRows;
use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, StringArray, new_null_array};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Rows of one tick and stage that fit below a tick's number in an offset.
const ROWS_PER_TICK_BITS: u32 = 28;

impl StageRows {
    /// The rows as a batch of events. `type`, `timestamp` and `data.<output column>` can be read, and `data.key`.
    pub(crate) fn as_events(&self, stage: &Stage, plan: &ExtractionPlan, tick: Tick) -> EventBatch {
        let (count, name) = (self.len(), stage.spec.event_type());
        let first = tick.0 << ROWS_PER_TICK_BITS;
        EventBatch {
            partition: Partition(u32::MAX - u32::from(stage.id.0)),
            start: Offset(first),
            end: Offset(first + count as u64),
            records: count,
            offsets: (0..count as u64).map(|row| Offset(first + row)).collect(),
            event_times: self.times.clone(),
            ids: vec![0; count],
            interest: vec![plan.interest_by_name(&name); count],
            columns: plan.slots().iter().map(|slot| self.slot(stage, &name, slot)).collect(),
            type_ids: vec![0; count],
            types: vec![name.as_str().into()],
            raw: self.records(stage, &name),
            ..EventBatch::default()
        }
    }

    fn slot(&self, stage: &Stage, name: &str, slot: &Slot) -> ArrayRef {
        let count = self.len();
        match slot.path.as_str() {
            "type" if slot.kind == ColumnType::Text => Arc::new(StringArray::from(vec![name; count])),
            "data.key" if slot.kind == ColumnType::Text => Arc::new(self.keys.clone()),
            "timestamp" => convert((0..count).map(|row| json!(self.times[row])), slot.kind),
            path => {
                let column = path
                    .strip_prefix("data.")
                    .and_then(|wanted| stage.spec.output.iter().position(|output| output.name == wanted));
                match column {
                    None => new_null_array(&arrow_type(slot.kind), count),
                    Some(index) if stage.spec.output[index].kind == slot.kind => self.columns[index].clone(),
                    Some(index) => convert((0..count).map(|row| json_value(&self.columns[index], row)), slot.kind),
                }
            }
        }
    }

    /// The rows as envelopes, for dead letters.
    fn records(&self, stage: &Stage, name: &str) -> RawRecords {
        let (mut buffer, mut ranges) = (Vec::new(), Vec::with_capacity(self.len()));
        for row in 0..self.len() {
            let outputs = stage.spec.output.iter().zip(&self.columns);
            let data: Map<String, Value> =
                outputs.map(|(output, column)| (output.name.clone(), json_value(column, row))).collect();
            let start = buffer.len() as u32;
            let envelope = json!({ "type": name, "timestamp": self.times[row].to_string(), "data": data });
            buffer.extend_from_slice(envelope.to_string().as_bytes());
            ranges.push(start..buffer.len() as u32);
        }
        RawRecords { buffer: buffer.into(), ranges }
    }
}

/// Reads values as a type, by the rules of [`ColumnType`].
pub(crate) fn convert(values: impl Iterator<Item = Value>, kind: ColumnType) -> ArrayRef {
    match kind {
        ColumnType::Boolean => {
            let mut column = BooleanBuilder::new();
            values.for_each(|value| column.append_option(value.as_bool()));
            Arc::new(column.finish())
        }
        ColumnType::Integer => {
            let mut column = Int64Builder::new();
            values.for_each(|value| column.append_option(integer(&value)));
            Arc::new(column.finish())
        }
        ColumnType::Float => {
            let mut column = Float64Builder::new();
            values.for_each(|value| {
                column.append_option(value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()));
            });
            Arc::new(column.finish())
        }
        ColumnType::Text => {
            let mut column = StringBuilder::new();
            values.for_each(|value| match value {
                Value::String(text) => column.append_value(text),
                Value::Number(_) | Value::Bool(_) => column.append_value(value.to_string()),
                _ => column.append_null(),
            });
            Arc::new(column.finish())
        }
        ColumnType::Json => {
            let mut column = StringBuilder::new();
            values.for_each(|value| column.append_option((!value.is_null()).then(|| value.to_string())));
            Arc::new(column.finish())
        }
    }
}

fn integer(value: &Value) -> Option<i64> {
    let whole = |float: f64| (float.fract() == 0.0 && float.abs() < 9.2e18).then_some(float as i64);
    value
        .as_i64()
        .or_else(|| value.as_f64().and_then(whole))
        .or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()))
}
