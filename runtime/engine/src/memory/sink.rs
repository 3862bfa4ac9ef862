//! A sink that keeps rows as text: what is visible survives the engine, what was only prepared is held apart. It refuses a
//! row that takes the place of another one in a table that does not say so.

use crate::ids::Epoch;
use crate::output::{Table, TableKind};
use crate::ports::{PortError, Sink};
use crate::stage::call::json_value;
use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMillisecondType, UInt64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A row of a table.
pub type Row = (TableKind, Value);

#[derive(Default)]
struct Outside {
    prepared: BTreeMap<Epoch, Vec<Row>>,
    visible: BTreeMap<Epoch, Vec<Row>>,
    /// As they were when they were last written to.
    tables: BTreeMap<TableKind, Arc<Table>>,
    /// The epoch that had a row of this id first.
    first: HashMap<(TableKind, String), Epoch>,
}

impl Outside {
    /// Sinks are promised that only rows of a table which says so take the place of others.
    fn check_replacements(&mut self, epoch: Epoch, rows: &[Row]) -> Result<(), PortError> {
        let mut again = HashSet::new();
        for (kind, row) in rows {
            let Some(id) = row.get("row_id").and_then(Value::as_str) else { continue };
            let first = *self.first.entry((kind.clone(), id.to_owned())).or_insert(epoch);
            let is_new = first == epoch && again.insert((kind, id));
            if !is_new && !self.tables.get(kind).is_some_and(|table| table.replaces) {
                return Err(PortError::Stop(format!("{kind:?} does not replace rows, and has {id} again")));
            }
        }
        Ok(())
    }
}

/// A handle to rows that outlive engines.
#[derive(Clone, Default)]
pub struct MemorySink {
    outside: Arc<Mutex<Outside>>,
    open: Arc<Mutex<Vec<Row>>>,
    needs_rows: bool,
}

impl MemorySink {
    /// Every visible row, by epoch.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        lock(&self.outside).visible.values().flatten().cloned().collect()
    }

    /// Forgets what was prepared and is not visible yet, as a lost disk does.
    pub fn lose_prepared(&self) {
        lock(&self.outside).prepared.clear();
    }

    /// The visible rows of one metric.
    #[must_use]
    pub fn metric(&self, name: &str) -> Vec<Value> {
        let of = TableKind::Metric(name.to_owned());
        self.rows().into_iter().filter(|(kind, _)| *kind == of).map(|(_, row)| row).collect()
    }

    /// The table of a metric, as it was when it was last written to.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<Arc<Table>> {
        lock(&self.outside).tables.get(&TableKind::Metric(name.to_owned())).cloned()
    }

    /// The visible dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<Value> {
        self.rows().into_iter().filter(|(kind, _)| *kind == TableKind::DeadLetters).map(|(_, row)| row).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink for MemorySink {
    fn name(&self) -> &str {
        "memory"
    }

    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
        lock(&self.outside).tables.insert(table.kind.clone(), table.clone());
        let mut open = lock(&self.open);
        open.extend((0..rows.num_rows()).map(|row| (table.kind.clone(), row_value(rows, row))));
        Ok(())
    }

    fn prepare(&mut self, epoch: Epoch) -> Result<Vec<u8>, PortError> {
        let rows = std::mem::take(&mut *lock(&self.open));
        let mut outside = lock(&self.outside);
        outside.check_replacements(epoch, &rows)?;
        outside.prepared.insert(epoch, rows);
        Ok(epoch.0.to_le_bytes().to_vec())
    }

    fn finalise(&mut self, epoch: Epoch, _handle: &[u8]) -> Result<(), PortError> {
        let mut outside = lock(&self.outside);
        if let Some(rows) = outside.prepared.remove(&epoch) {
            outside.visible.insert(epoch, rows);
        }
        if outside.visible.contains_key(&epoch) {
            return Ok(());
        }
        Err(PortError::Stop(format!("epoch {epoch} was never prepared")))
    }

    fn recover(&mut self, committed: Epoch, handle: Option<&[u8]>) -> Result<(), PortError> {
        lock(&self.open).clear();
        let kept = {
            let outside = lock(&self.outside);
            outside.prepared.contains_key(&committed) || outside.visible.contains_key(&committed)
        };
        self.needs_rows = handle.is_some() && !kept;
        if let Some(handle) = handle.filter(|_| kept) {
            self.finalise(committed, handle)?;
        }
        let mut outside = lock(&self.outside);
        outside.prepared.clear();
        outside.visible.split_off(&Epoch(committed.0 + 1));
        outside.first.retain(|_, epoch| *epoch <= committed);
        Ok(())
    }

    fn needs_rows(&self) -> bool {
        self.needs_rows
    }
}

fn row_value(rows: &RecordBatch, row: usize) -> Value {
    let schema = rows.schema();
    let fields = schema.fields().iter().zip(rows.columns());
    let object: Map<String, Value> = fields.map(|(field, column)| (field.name().clone(), value(column, row))).collect();
    Value::Object(object)
}

fn value(column: &dyn Array, row: usize) -> Value {
    match column.data_type() {
        _ if column.is_null(row) => Value::Null,
        DataType::Timestamp(..) => json!(column.as_primitive::<TimestampMillisecondType>().value(row)),
        DataType::UInt64 => json!(column.as_primitive::<UInt64Type>().value(row)),
        DataType::Binary => json!(String::from_utf8_lossy(column.as_binary::<i32>().value(row))),
        _ => json_value(column, row),
    }
}
