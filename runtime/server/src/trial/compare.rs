//! Rows compared with those that were expected, in the author's words: which row, which column, what was expected and what
//! came, and which events it was made of.

use super::events::{Content, EventFile};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tidemark_engine::descriptor::Descriptor;

/// Differences that are told; the rest is counted.
const MOST: usize = 10;
/// Lines of events that are named.
const LINES: usize = 12;

/// How rows differ from those that were expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Sentences, one per row that differs.
    pub sentences: Vec<String>,
}

impl Difference {
    /// Of the rows that came to those of `expected`, a file of one row per line; `None` if they are the same.
    ///
    /// # Errors
    /// A line of `expected` that is not JSON.
    pub fn find(
        expected: &str,
        got: &[Value],
        events: &EventFile,
        descriptor: &Descriptor,
    ) -> Result<Option<Self>, String> {
        let mut rows = Vec::new();
        for (number, line) in (1..).zip(expected.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let row: Value = serde_json::from_str(line).map_err(|error| format!("line {number}: not JSON: {error}"))?;
            rows.push((number, row));
        }
        // Written and read once: texts of floats are compared as they were read from the file.
        let got: Vec<Value> = got.iter().filter_map(|row| serde_json::from_str(&row.to_string()).ok()).collect();
        let mut unclaimed: BTreeMap<String, VecDeque<usize>> = BTreeMap::new();
        for (place, row) in got.iter().enumerate() {
            unclaimed.entry(identity(row)).or_default().push_back(place);
        }
        let with_events = |sentence: String, row: &Value| match made_of(row, events, descriptor) {
            Some(made_of) => format!("{sentence}\n    {made_of}"),
            None => sentence,
        };
        let mut sentences = Vec::new();
        let mut places = Vec::new();
        for (number, expected) in &rows {
            match unclaimed.get_mut(&identity(expected)).and_then(VecDeque::pop_front) {
                Some(place) => {
                    places.push((place, *number));
                    let difference = row_difference(*number, expected, &got[place]);
                    sentences.extend(difference.map(|sentence| with_events(sentence, &got[place])));
                }
                None => {
                    let sentence = format!("line {number}: expected {expected}, but there is no such row");
                    sentences.push(with_events(sentence, expected));
                }
            }
        }
        for place in unclaimed.into_values().flatten().collect::<BTreeSet<_>>() {
            sentences.push(with_events(format!("not expected: {}", got[place]), &got[place]));
        }
        if sentences.is_empty()
            && let Some([(_, before), (_, number)]) = places.array_windows().find(|[(one, _), (two, _)]| one > two)
        {
            sentences
                .push(format!("the same rows in another order: that of line {number} comes before that of {before}"));
        }
        let more = sentences.len().saturating_sub(MOST);
        sentences.truncate(MOST);
        if more > 0 {
            sentences.push(format!("and {more} rows more"));
        }
        Ok((!sentences.is_empty()).then_some(Self { sentences }))
    }
}

/// What makes a row the one that it is, whatever is in its columns. Several rows may have the same.
fn identity(row: &Value) -> String {
    let parts = ["dead_letter", "line", "key", "window_start", "window_end"].map(|name| row.get(name));
    parts.map(|part| part.map_or_else(String::new, Value::to_string)).join(" ")
}

fn row_difference(number: usize, expected: &Value, got: &Value) -> Option<String> {
    let (Value::Object(expected), Value::Object(got)) = (expected, got) else {
        return Some(format!("line {number}: expected {expected}, but a row is an object: {got}"));
    };
    let mut cells = Vec::new();
    for (name, value) in got {
        match expected.get(name) {
            None => cells.push(format!("`{name}`: got {value}, which the expected row does not have")),
            Some(wanted) if !same(wanted, value) => cells.push(format!("`{name}`: expected {wanted}, got {value}")),
            Some(_) => {}
        }
    }
    let missing = expected.iter().filter(|(name, _)| !got.contains_key(*name));
    cells.extend(missing.map(|(name, wanted)| format!("`{name}`: expected {wanted}, but there is no such column")));
    if cells.is_empty() {
        return None;
    }
    let of = got.get("key").map_or_else(String::new, |key| format!(" (key {key})"));
    Some(format!("line {number}{of}:\n    {}", cells.join("\n    ")))
}

/// Equal values; a whole number is equal to the same float.
fn same(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::Number(expected), Value::Number(got)) => {
            expected == got || expected.as_f64() == got.as_f64() && !(expected.is_i64() && got.is_i64())
        }
        (Value::Array(expected), Value::Array(got)) => {
            expected.len() == got.len() && expected.iter().zip(got).all(|(expected, got)| same(expected, got))
        }
        (Value::Object(expected), Value::Object(got)) => {
            expected.len() == got.len()
                && expected.iter().all(|(name, value)| got.get(name).is_some_and(|got| same(value, got)))
        }
        (expected, got) => expected == got,
    }
}

/// The lines of the events with the row's key and within its window, as far as a look at their text tells.
fn made_of(row: &Value, events: &EventFile, descriptor: &Descriptor) -> Option<String> {
    let key = row.get("key")?.as_str()?;
    let bound = |name: &str, unbounded: i64| row.get(name).and_then(Value::as_i64).unwrap_or(unbounded);
    let window = bound("window_start", i64::MIN)..bound("window_end", i64::MAX);
    let path = format!("/{}", descriptor.key.replace('.', "/"));
    let time_of = |event: &Value| {
        let times = ["/data/timestamp", "/timestamp"].into_iter().filter_map(|path| event.pointer(path));
        times.filter_map(|time| time.as_i64().or_else(|| time.as_str()?.parse().ok())).next()
    };
    let mut lines: Vec<String> = Vec::new();
    for line in events.lines.iter().filter(|line| matches!(line.content, Content::Event(_))) {
        let Some(event) = events.event(line.number) else { continue };
        let is_of_key = event.pointer(&path).and_then(text_of).is_some_and(|text| text == key);
        if is_of_key && time_of(&event).is_some_and(|time| window.contains(&time)) {
            lines.push(line.number.to_string());
        }
    }
    let more = if lines.len() > LINES { format!(" and {} more", lines.len() - LINES) } else { String::new() };
    lines.truncate(LINES);
    (!lines.is_empty()).then(|| format!("events of this key and window: lines {}{more}", lines.join(", ")))
}

/// A key as it is read: numbers and booleans as they are written.
fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(_) | Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_equal_by_value_and_whole_ones_exactly() {
        assert!(same(&json!(2), &json!(2.0)));
        assert!(same(&json!([0.5, null]), &json!([0.5, null])));
        assert!(!same(&json!(9_007_199_254_740_993_i64), &json!(9_007_199_254_740_992_i64)));
        assert!(!same(&json!("1"), &json!(1)));
    }

    #[test]
    fn a_row_more_or_less_does_not_shift_the_others() {
        let events = EventFile { bytes: bytes::Bytes::new(), lines: Vec::new() };
        let descriptor = serde_json::from_value(json!({
            "describe": 1, "name": "m", "version": "1.0.0", "inputs": [], "key": "data.k", "output": [],
            "window": {"kind": "tumbling", "size_ms": 10}
        }));
        let descriptor: Descriptor = descriptor.expect("a description");
        let row = |key: &str, n: i64| json!({"key": key, "window_start": 0, "n": n});
        let find = |expected: &[Value], got: &[Value]| {
            let expected: String = expected.iter().map(|row| format!("{row}\n")).collect();
            let found = Difference::find(&expected, got, &events, &descriptor).expect("JSON");
            found.map_or_else(Vec::new, |difference| difference.sentences)
        };
        let expected = [row("a", 1), row("b", 2), row("c", 3)];
        assert!(find(&expected, &expected).is_empty());
        let told = find(&expected, &[row("b", 2), row("c", 4), row("d", 5)]);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("line 1") && told[0].contains("no such row"), "{told:?}");
        assert!(told[1].contains("`n`: expected 3, got 4"), "{told:?}");
        assert!(told[2].starts_with("not expected: "), "{told:?}");
        let told = find(&expected, &[row("b", 2), row("a", 1), row("c", 3)]);
        assert_eq!(told, ["the same rows in another order: that of line 2 comes before that of 1"]);
    }

    #[test]
    fn a_difference_names_line_column_and_both_values() {
        let told =
            row_difference(2, &json!({"key": "a", "slow": 1}), &json!({"key": "a", "slow": 2})).expect("differs");
        assert_eq!(told, "line 2 (key \"a\"):\n    `slow`: expected 1, got 2");
        assert_eq!(row_difference(1, &json!({"slow": 1, "key": "a"}), &json!({"key": "a", "slow": 1})), None);
    }
}
