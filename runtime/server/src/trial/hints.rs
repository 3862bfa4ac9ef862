//! What an author may not have meant: fields that are there but do not read as the declared type, and filters that no
//! event passes. Each names the line and the path.

use super::events::EventFile;
use arrow_array::Array as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tidemark_engine::batch::EventBatch;
use tidemark_engine::descriptor::{ColumnType, Condition, Descriptor, InputColumn};
use tidemark_engine::plan::ExtractionPlan;

/// Sentences that are kept; the rest is counted.
const MOST: usize = 10;
/// Letters of a value that are shown.
const SHOWN: usize = 40;

/// What was noticed so far. Clones share it.
#[derive(Clone)]
pub(super) struct Hints {
    events: Arc<EventFile>,
    inputs: Arc<[InputColumn]>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    unreadable: Vec<String>,
    more: usize,
    /// Event types and how often they came.
    types: BTreeMap<String, u64>,
}

impl Hints {
    pub(super) fn new(events: EventFile, descriptor: &Descriptor) -> Self {
        Self { events: Arc::new(events), inputs: descriptor.inputs.clone().into(), seen: Arc::default() }
    }

    /// Looks at decoded events.
    pub(super) fn see(&self, batch: &EventBatch, plan: &ExtractionPlan) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for row in 0..batch.rows() {
            if let Some(name) = batch.types.get(usize::from(batch.type_ids[row])) {
                *seen.types.entry(name.to_string()).or_default() += 1;
            }
            if batch.interest[row] == 0 {
                continue;
            }
            let line = batch.offsets[row].0;
            let mut event = None;
            for input in self.inputs.iter() {
                let slot = plan.slots().iter().position(|slot| slot.path == input.path && slot.kind == input.kind);
                if slot.is_none_or(|slot| !batch.columns[slot].is_null(row)) {
                    continue;
                }
                let event = event.get_or_insert_with(|| self.events.event(line).unwrap_or(Value::Null));
                let Some(value) = at(event, &input.path).filter(|value| !value.is_null()) else { continue };
                if seen.unreadable.len() == MOST {
                    seen.more += 1;
                    continue;
                }
                let (path, kind) = (&input.path, type_name(input.kind));
                let value = shortened(&value.to_string());
                seen.unreadable.push(format!("line {line}: `{path}` is {value}, which is no {kind}: read as null"));
            }
        }
    }

    /// Everything that was noticed, after the run; `accepted` events were for the metric.
    pub(super) fn sentences(&self, accepted: u64, descriptor: &Descriptor) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sentences = seen.unreadable.clone();
        if seen.more > 0 {
            sentences.push(format!("and {} fields more that do not read as their type", seen.more));
        }
        if accepted == 0 && !seen.types.is_empty() {
            let types: Vec<String> = seen.types.iter().map(|(name, count)| format!("{name} ({count})")).collect();
            let wanted = crate::describe::filter(&descriptor.filter);
            sentences.push(format!("no event passes the filter, {wanted}: the types here are {}", types.join(", ")));
            sentences.extend(self.first_refusal(descriptor));
        }
        sentences
    }

    /// Which condition the first event of a wanted type fails.
    fn first_refusal(&self, descriptor: &Descriptor) -> Option<String> {
        for line in &self.events.lines {
            let Some(event) = self.events.event(line.number) else { continue };
            let text = |path: &str| {
                at(&event, path).filter(|value| !value.is_null()).map(|value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                })
            };
            let holds = |path: &str, condition: &Condition| match condition {
                Condition::OneOf(texts) => text(path).is_some_and(|text| texts.contains(&text)),
                Condition::Present(wanted) => text(path).is_some_and(|text| !text.is_empty()) == *wanted,
            };
            if descriptor.filter.0.get("type").is_some_and(|condition| !holds("type", condition)) {
                continue;
            }
            let (path, _) = descriptor.filter.0.iter().find(|(path, condition)| !holds(path, condition))?;
            let found = text(path).map_or_else(|| "nothing".to_owned(), |text| shortened(&format!("{text:?}")));
            return Some(format!("line {}: `{path}` holds {found}", line.number));
        }
        None
    }
}

/// What stands at a path. `data` may be a text that holds JSON; then this finds nothing, and no hint is given.
fn at<'a>(event: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(event, |value, segment| match value {
        Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
        value => value.get(segment),
    })
}

const fn type_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Boolean => "boolean",
        ColumnType::Integer => "whole number",
        ColumnType::Float => "number",
        ColumnType::Text => "text",
        ColumnType::Json => "JSON",
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
