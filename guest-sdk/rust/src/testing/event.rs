//! An event as a test writes it: an envelope in JSON.

use super::cell::Cell;
use crate::facts::{Condition, Filter};
use crate::json::JsonValue;
use crate::value::ColumnType;

pub(super) struct Event {
    pub(super) time_ms: i64,
    /// Its place in the input: what decides between events of one moment.
    pub(super) sequence: u64,
    envelope: JsonValue,
}

impl Event {
    pub(super) fn parse(line: &str, sequence: u64) -> Self {
        let parsed =
            JsonValue::parse(line).unwrap_or_else(|error| panic!("event {sequence} is no JSON: {error}: {line}"));
        let mut event = Self { time_ms: 0, sequence, envelope: unwrap_data(parsed) };
        let time =
            ["data.timestamp", "timestamp"].iter().find_map(|path| match event.cell(path, ColumnType::Integer) {
                Cell::Integer(time_ms) => Some(time_ms),
                _ => None,
            });
        event.time_ms = time.unwrap_or_else(|| panic!("event {sequence} has no timestamp: {line}"));
        event
    }

    pub(super) fn cell(&self, path: &str, kind: ColumnType) -> Cell {
        let found = path.split('.').try_fold(&self.envelope, |value, name| match value {
            JsonValue::Array(items) => items.get(name.parse::<usize>().ok()?),
            object => object.get(name),
        });
        found.map_or(Cell::Null, |value| Cell::read(value, kind))
    }

    pub(super) fn text(&self, path: &str) -> Option<String> {
        if let Cell::Text(text) = self.cell(path, ColumnType::Text) { Some(text) } else { None }
    }

    pub(super) fn passes(&self, filter: Filter) -> bool {
        filter.iter().all(|(path, condition)| {
            let text = self.text(path).unwrap_or_default();
            match condition {
                Condition::OneOf(texts) => texts.contains(&text.as_str()),
                Condition::Present => !text.is_empty(),
                Condition::Absent => text.is_empty(),
            }
        })
    }
}

/// `data` that is JSON in a string, as some streams carry it.
fn unwrap_data(envelope: JsonValue) -> JsonValue {
    let JsonValue::Object(mut members) = envelope else { panic!("an event is a JSON object: {envelope}") };
    for (name, value) in &mut members {
        if let ("data", JsonValue::Text(text)) = (name.as_str(), &*value)
            && let Ok(data) = JsonValue::parse(text)
        {
            *value = data;
        }
    }
    JsonValue::Object(members)
}
