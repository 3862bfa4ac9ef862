//! Lookup tables for enrichment: from files, and from events that carry a whole table.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidemark_engine::enrichment::{TableSnapshot, TableSpec};

/// Stands between the texts of a key.
const KEY_SEPARATOR: char = '\u{1f}';

/// The largest file that a table is read from.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// One `[[cleanse.table]]`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSettings {
    /// Events read its fields as `enrich.<name>.<field>`.
    pub name: String,
    /// Read once from this file: `.json` (one document), `.csv` (with a header), anything else NDJSON. Exactly one of
    /// `file` and `event` is given.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// Carried by events of this type; each replaces the table from its event time on.
    #[serde(default)]
    pub event: Option<String>,
    /// Where in the document, or in the event's data, the array of rows is; without it the document is the array or
    /// a single row.
    #[serde(default)]
    pub rows: Option<String>,
    /// For files: a path, in the row or in the document, with the moment in epoch milliseconds from which it holds.
    #[serde(default)]
    pub as_of: Option<String>,
    /// Event paths whose texts form the key.
    pub event_keys: Vec<String>,
    /// Paths in a row that form the key, one for each of `event_keys`.
    pub row_keys: Vec<String>,
    /// Whether keys are compared in lower case.
    #[serde(default)]
    pub lower_case: bool,
    /// Name of each field and its path in a row. Objects and arrays become their JSON text.
    pub fields: BTreeMap<String, String>,
    /// A snapshot may be at most this much older than an event that it enriches.
    #[serde(default)]
    pub max_age_ms: Option<i64>,
    /// A snapshot may be at most this much newer than an event that it enriches.
    #[serde(default)]
    pub max_ahead_ms: i64,
}

impl TableSettings {
    /// What the engine needs to know of the table.
    #[must_use]
    pub fn spec(&self) -> TableSpec {
        TableSpec {
            name: self.name.clone(),
            event_keys: self.event_keys.clone(),
            lower_case: self.lower_case,
            fields: self.fields.keys().cloned().collect(),
            max_age_ms: self.max_age_ms,
            max_ahead_ms: self.max_ahead_ms,
        }
    }

    /// What is wrong with the settings on their own.
    pub(crate) fn check(&self, mistakes: &mut Vec<String>) {
        let mut say = |what: &str| mistakes.push(format!("cleanse.table `{}`: {what}", self.name));
        if self.file.is_some() == self.event.is_some() {
            say("give exactly one of `file` and `event`");
        }
        if self.event.is_some() && self.as_of.is_some() {
            say("`as_of` is for files; a table from events holds from their event time on");
        }
        if self.event_keys.is_empty() || self.event_keys.len() != self.row_keys.len() {
            say("`event_keys` and `row_keys` must have the same number of paths, at least one");
        }
        if self.fields.is_empty() {
            say("`fields` is empty: name at least one");
        }
        if self.name.is_empty() || self.name.contains('.') {
            say("`name` must not be empty or contain a dot");
        }
        if self.max_ahead_ms < 0 || self.max_age_ms.is_some_and(|age| age < 0) {
            say("`max_age_ms` and `max_ahead_ms` must not be negative");
        }
    }

    /// The snapshot that a document, or an event's data, holds.
    #[must_use]
    pub(crate) fn snapshot(&self, table: usize, event_time: i64, document: &Value) -> TableSnapshot {
        let mut draft = Draft::default();
        self.rows_of(document).iter().for_each(|row| draft.add(self, row));
        draft.finish(self, table, event_time)
    }

    fn rows_of<'a>(&self, document: &'a Value) -> &'a [Value] {
        match self.rows.as_deref().map_or(Some(document), |path| at(document, path)) {
            Some(Value::Array(rows)) => rows,
            Some(row @ Value::Object(_)) => std::slice::from_ref(row),
            _ => &[],
        }
    }

    /// The snapshots that the table's file holds, by time; none for a table from events.
    fn read_file(&self, table: usize) -> Result<Vec<TableSnapshot>, TableError> {
        let Some(path) = &self.file else { return Ok(Vec::new()) };
        let failed = |what: String| TableError { table: self.name.clone(), path: path.clone(), what };
        let documents = documents(path).map_err(failed)?;
        let mut drafts: BTreeMap<i64, Draft> = BTreeMap::new();
        for document in &documents {
            for row in self.rows_of(document) {
                let time = match &self.as_of {
                    None => i64::MIN,
                    Some(as_of) => at(row, as_of)
                        .or_else(|| at(document, as_of))
                        .and_then(moment)
                        .ok_or_else(|| failed(format!("a row has no time in milliseconds at `{as_of}`")))?,
                };
                drafts.entry(time).or_default().add(self, row);
            }
        }
        Ok(drafts.into_iter().map(|(time, draft)| draft.finish(self, table, time)).collect())
    }
}

/// Why a table's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("table `{table}`: {}: {what}", path.display())]
pub struct TableError {
    table: String,
    path: PathBuf,
    what: String,
}

/// The snapshots of every table that comes from a file. Tables are numbered as in `tables`.
///
/// # Errors
/// If a file cannot be read, is larger than 256 MiB or is not what its name says.
pub fn read_table_files(tables: &[TableSettings]) -> Result<Vec<TableSnapshot>, TableError> {
    let snapshots: Result<Vec<_>, _> = tables.iter().enumerate().map(|(index, table)| table.read_file(index)).collect();
    Ok(snapshots?.into_iter().flatten().collect())
}

/// Rows of a snapshot that is being read. `None` for a key with more than one meaning.
#[derive(Default)]
struct Draft {
    rows: BTreeMap<String, Option<Vec<Option<String>>>>,
    /// Rows without a key.
    skipped: usize,
}

impl Draft {
    fn add(&mut self, settings: &TableSettings, row: &Value) {
        let Some(key) = key(settings, row) else {
            self.skipped += 1;
            return;
        };
        let values: Vec<_> = settings.fields.values().map(|path| at(row, path).and_then(text)).collect();
        self.rows
            .entry(key)
            .and_modify(|known| {
                if known.as_ref() != Some(&values) {
                    *known = None;
                }
            })
            .or_insert(Some(values));
    }

    fn finish(self, settings: &TableSettings, table: usize, event_time: i64) -> TableSnapshot {
        let keys = self.rows.len();
        let rows: Vec<_> = self.rows.into_iter().filter_map(|(key, values)| Some((key, values?))).collect();
        let ambiguous = keys - rows.len();
        if self.skipped > 0 || ambiguous > 0 {
            tracing::debug!(
                table = settings.name,
                skipped = self.skipped,
                ambiguous,
                "rows of a lookup table left out"
            );
        }
        TableSnapshot { table, event_time, rows: Arc::new(rows), ambiguous }
    }
}

fn key(settings: &TableSettings, row: &Value) -> Option<String> {
    let mut key = String::new();
    for (place, path) in settings.row_keys.iter().enumerate() {
        if place > 0 {
            key.push(KEY_SEPARATOR);
        }
        key += &at(row, path).and_then(text).filter(|part| !part.is_empty())?;
    }
    Some(if settings.lower_case { key.to_lowercase() } else { key })
}

/// The value at a dotted path; a number indexes an array.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, segment| match value {
        Value::Array(elements) => elements.get(segment.parse::<usize>().ok()?),
        other => other.get(segment),
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn moment(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}

fn documents(path: &Path) -> Result<Vec<Value>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("{size} bytes, at most {MAX_FILE_BYTES} are possible"));
    }
    let content = std::fs::read(path).map_err(|error| error.to_string())?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => {
            serde_json::from_slice(&content).map(|document| vec![document]).map_err(|error| error.to_string())
        }
        Some("csv") => csv::Reader::from_reader(content.as_slice())
            .into_deserialize::<BTreeMap<String, String>>()
            // An empty cell is no value.
            .map(|row| row.map(|row| row.into_iter().filter(|(_, cell)| !cell.is_empty())))
            .map(|row| row.map(|row| row.map(|(name, cell)| (name, Value::String(cell))).collect::<Value>()))
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string()),
        _ => serde_json::Deserializer::from_slice(&content)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string()),
    }
}
