//! Enrichment: fields that lookup tables add to events, as of event time.
//!
//! Tables are part of the state machine: a snapshot that arrives in the stream is kept in state, so that a re-run
//! looks the same values up.

use crate::batch::EventBatch;
use crate::descriptor::ColumnType;
use crate::plan::{ExtractionPlan, Slot};
use crate::ports::{MetaBatch, PortError, StateBackend};
use crate::rows_as_events::convert;
use crate::telemetry::Telemetry;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One lookup table, as configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableSpec {
    /// Its name: fields are read as `enrich.<name>.<field>`.
    pub name: String,
    /// Event paths whose texts form the key, in order.
    pub event_keys: Vec<String>,
    /// Whether keys are compared in lower case.
    pub lower_case: bool,
    /// Fields that it adds: texts, read as the type that a metric asks for.
    pub fields: Vec<String>,
    /// A snapshot may be at most this much older than the event; `None`: any age.
    pub max_age_ms: Option<i64>,
    /// A snapshot may be at most this much newer than the event.
    pub max_ahead_ms: i64,
}

/// The whole content of a lookup table at one moment.
#[derive(Clone, Debug)]
pub struct TableSnapshot {
    /// Index into the job's tables.
    pub table: usize,
    /// Event time from which it holds; `i64::MIN` for a file without times.
    pub event_time: i64,
    /// Rows: key texts joined by U+001F, and one value per field of the table. Sorted by key, keys unique: a key that
    /// occurs more than once with different values is ambiguous and left out by decoding, and counted.
    pub rows: Arc<TableRows>,
    /// Keys left out as ambiguous.
    pub ambiguous: usize,
}

/// Rows of a [`TableSnapshot`].
pub type TableRows = Vec<(String, Vec<Option<String>>)>;

/// Joins the texts of a key.
pub const KEY_SEPARATOR: char = '\u{1f}';

/// Most snapshots of one table that are kept; the oldest go first.
const MAX_SNAPSHOTS: usize = 64;

const PREFIX: &[u8] = b"enrich/";

/// The tables of a job.
pub(crate) struct Enrichment {
    tables: Vec<Table>,
    changes: MetaBatch,
}

struct Table {
    spec: TableSpec,
    snapshots: BTreeMap<i64, Arc<TableRows>>,
}

impl Enrichment {
    /// With tables from files and with what was committed of the stream.
    pub(crate) fn open(
        specs: Vec<TableSpec>,
        files: Vec<TableSnapshot>,
        state: &dyn StateBackend,
    ) -> Result<Self, PortError> {
        let tables = specs.into_iter().map(|spec| Table { spec, snapshots: BTreeMap::new() }).collect();
        let mut enrichment = Self { tables, changes: MetaBatch::default() };
        // Files first: a snapshot of the stream came later, and replaced one of the same moment when it came.
        files.into_iter().for_each(|snapshot| enrichment.tables[snapshot.table].add(&snapshot));
        for (key, value) in state.meta_prefix(PREFIX)? {
            let damaged = || PortError::Stop("a lookup table in state is damaged: restore a checkpoint".to_owned());
            let (name, time): (String, i64) = serde_json::from_slice(&key[PREFIX.len()..]).map_err(|_| damaged())?;
            let rows: TableRows = serde_json::from_slice(&value).map_err(|_| damaged())?;
            if let Some(table) = enrichment.tables.iter_mut().find(|table| table.spec.name == name) {
                table.snapshots.insert(time, Arc::new(rows));
            }
        }
        for table in &mut enrichment.tables {
            while table.snapshots.len() > MAX_SNAPSHOTS {
                table.snapshots.pop_first();
            }
        }
        Ok(enrichment)
    }

    /// Adds what the tables need of events to `plan`, and, with `archive`, every field that they add.
    pub(crate) fn add_slots(&self, plan: &mut ExtractionPlan, archive: bool) {
        let specs = || self.tables.iter().map(|table| &table.spec);
        for path in specs().flat_map(|table| &table.event_keys) {
            plan.slot(path, ColumnType::Text);
        }
        for table in specs().filter(|_| archive) {
            for field in &table.fields {
                plan.slot(&format!("enrich.{}.{field}", table.name), ColumnType::Text);
            }
        }
    }

    /// Keeps the snapshots of a tick, before any event of the tick is looked up, but for those of dropped events.
    pub(crate) fn learn(&mut self, batches: &[EventBatch]) {
        let snapshots = batches.iter().flat_map(|batch| {
            let kept = |(row, _): &&(u32, TableSnapshot)| !batch.is_dropped(*row as usize);
            batch.snapshots.iter().filter(kept).map(|(_, snapshot)| snapshot)
        });
        for snapshot in snapshots {
            let table = &mut self.tables[snapshot.table];
            table.add(snapshot);
            let value = serde_json::to_vec(&*snapshot.rows).unwrap_or_default();
            self.changes.puts.push((meta_key(&table.spec.name, snapshot.event_time), value));
            while table.snapshots.len() > MAX_SNAPSHOTS {
                if let Some((time, _)) = table.snapshots.pop_first() {
                    self.changes.deletes.push(meta_key(&table.spec.name, time));
                }
            }
        }
    }

    /// Fills the `enrich.` columns of a batch: with what was added before, or else with what the tables say.
    pub(crate) fn fill(&self, plan: &ExtractionPlan, batch: &mut EventBatch, telemetry: &Telemetry) {
        if !batch.enrichments.is_empty() {
            fill_with_carried(plan, batch);
        }
        for table in &self.tables {
            let prefix = format!("enrich.{}.", table.spec.name);
            let wanted: Vec<(usize, usize)> = plan
                .slots()
                .iter()
                .enumerate()
                .filter_map(|(slot, wanted)| {
                    let field = wanted.path.strip_prefix(&prefix)?;
                    Some((slot, table.spec.fields.iter().position(|own| own == field)?))
                })
                .collect();
            if wanted.is_empty() {
                continue;
            }
            let found: Vec<Option<&Vec<Option<String>>>> = table.look_up_all(plan, batch);
            let hits = found.iter().filter(|row| row.is_some()).count();
            telemetry.enriched.add(hits as u64);
            telemetry.not_enriched.add((found.len() - hits) as u64);
            let columns = wanted.into_iter().map(|(slot, field)| {
                let texts = found.iter().map(|row| row.and_then(|row| row[field].as_deref()));
                (slot, column_of(texts, plan.slots()[slot].kind))
            });
            let columns: Vec<_> = columns.collect();
            columns.into_iter().for_each(|(slot, column)| batch.columns[slot] = column);
        }
    }

    /// Fills them with what was added when the events first came.
    pub(crate) fn fill_as_then(plan: &ExtractionPlan, batch: &mut EventBatch) {
        if !batch.enrichments.is_empty() {
            fill_with_carried(plan, batch);
        }
    }

    /// Adds to a commit what changed since the last one.
    pub(crate) fn commit(&mut self, meta: &mut MetaBatch) {
        meta.puts.append(&mut self.changes.puts);
        meta.deletes.append(&mut self.changes.deletes);
    }
}

impl Table {
    fn add(&mut self, snapshot: &TableSnapshot) {
        self.snapshots.insert(snapshot.event_time, snapshot.rows.clone());
    }

    fn look_up_all(&self, plan: &ExtractionPlan, batch: &EventBatch) -> Vec<Option<&Vec<Option<String>>>> {
        let text = |path: &String| Slot { path: path.clone(), kind: ColumnType::Text };
        let slot_of = |path| plan.slots().iter().position(|slot| *slot == text(path));
        let slots: Option<Vec<usize>> = self.spec.event_keys.iter().map(slot_of).collect();
        let Some(slots) = slots else { return vec![None; batch.rows()] };
        let keys: Vec<&StringArray> = slots.iter().filter_map(|slot| batch.columns[*slot].as_string_opt()).collect();
        let mut key = String::new();
        let mut look_up = |row: usize| {
            key.clear();
            for (index, column) in keys.iter().enumerate() {
                if column.is_null(row) {
                    return None;
                }
                if index > 0 {
                    key.push(KEY_SEPARATOR);
                }
                key.push_str(column.value(row));
            }
            if self.spec.lower_case {
                key.make_ascii_lowercase();
            }
            let rows = self.as_of(batch.event_times[row])?;
            let place = rows.binary_search_by(|(own, _)| own.as_str().cmp(&key)).ok()?;
            Some(&rows[place].1)
        };
        (0..batch.rows()).map(&mut look_up).collect()
    }

    /// The newest snapshot that is not newer than the event, else the oldest newer one, within the bounds.
    fn as_of(&self, event_time: i64) -> Option<&TableRows> {
        let oldest = self.spec.max_age_ms.map_or(i64::MIN, |age| event_time.saturating_sub(age.max(0)));
        let before = self.snapshots.range(oldest..=event_time).next_back();
        let newest = event_time.saturating_add(self.spec.max_ahead_ms.max(0));
        let after = || self.snapshots.range(event_time..=newest).next();
        before.or_else(after).map(|(_, rows)| &**rows)
    }
}

/// Fills the `enrich.` columns with what the batch brings.
fn fill_with_carried(plan: &ExtractionPlan, batch: &mut EventBatch) {
    // The archive keeps them as they came.
    let carried = batch.enrichments.clone();
    let parsed: Vec<(u32, BTreeMap<String, String>)> =
        carried.iter().map(|(row, json)| (*row, serde_json::from_slice(json).unwrap_or_default())).collect();
    for (slot, wanted) in plan.slots().iter().enumerate() {
        let Some(field) = wanted.path.strip_prefix("enrich.") else { continue };
        let mut texts: Vec<Option<&str>> = vec![None; batch.rows()];
        for (row, fields) in &parsed {
            texts[*row as usize] = fields.get(field).map(String::as_str);
        }
        batch.columns[slot] = column_of(texts.into_iter(), wanted.kind);
    }
}

fn column_of<'a>(texts: impl Iterator<Item = Option<&'a str>>, kind: ColumnType) -> ArrayRef {
    match kind {
        ColumnType::Text => Arc::new(texts.collect::<StringArray>()),
        kind => convert(texts.map(Value::from), kind),
    }
}

fn meta_key(table: &str, time: i64) -> Vec<u8> {
    [PREFIX, serde_json::json!([table, time]).to_string().as_bytes()].concat()
}
