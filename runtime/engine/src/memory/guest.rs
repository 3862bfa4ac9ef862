//! Metrics as native functions, for tests: one group at a time, values as JSON, state as JSON bytes.

use crate::dead_letter::Reason;
use crate::descriptor::{ColumnType, InputColumn, OutputColumn};
use crate::guest::{CloseReason, Emitted, Folded, GroupFailure, Guest, GuestBatch, GuestError, GuestFactory, VarBytes};
use crate::rows_as_events::convert;
use crate::stage::call::json_value;
use serde_json::Value;
use std::sync::Arc;

/// What a native metric did with one group.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// Rows: one value per output column.
    pub rows: Vec<Vec<Value>>,
    /// Timers, in ms.
    pub timers: Vec<i64>,
}

/// A group as a native metric sees it.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// Key.
    pub key: String,
    /// Window start and end.
    pub window: (i64, i64),
    /// Event time of emitted rows.
    pub time: i64,
    /// Rows: event time, and one value per input column.
    pub rows: Vec<(i64, Vec<Value>)>,
}

/// A metric made of plain functions. State starts as `null`; `null` is no state.
pub trait NativeMetric: Send + Sync {
    /// Input columns.
    fn inputs(&self) -> Vec<InputColumn>;

    /// Output columns.
    fn output(&self) -> Vec<OutputColumn>;

    /// Folds the group's rows into `state`. An error is a poison group.
    fn update(&self, state: &mut Value, group: &GroupView) -> Result<Reply, String>;

    /// Ends the group.
    fn close(&self, state: &mut Value, group: &GroupView, reason: CloseReason) -> Result<Reply, String>;

    /// Merges the newer state `right` into `left`.
    fn merge(&self, left: Value, _right: Value) -> Value {
        left
    }

    /// Migrates a state of version `from`.
    fn migrate(&self, state: Value, _from: u32) -> Result<Value, String> {
        Ok(state)
    }
}

/// Makes instances of a native metric.
pub struct NativeFactory(Arc<dyn NativeMetric>);

impl NativeFactory {
    /// Of `metric`.
    #[must_use]
    pub fn new(metric: Arc<dyn NativeMetric>) -> Arc<Self> {
        Arc::new(Self(metric))
    }
}

impl GuestFactory for NativeFactory {
    fn instantiate(&self) -> Result<Box<dyn Guest>, GuestError> {
        Ok(Box::new(NativeGuest(self.0.clone())))
    }
}

struct NativeGuest(Arc<dyn NativeMetric>);

impl NativeGuest {
    fn each(&self, batch: &GuestBatch, call: impl Fn(&mut Value, &GroupView) -> Result<Reply, String>) -> Folded {
        let output = self.0.output();
        let mut folded = Folded::default();
        let mut columns: Vec<Vec<Value>> = vec![Vec::new(); output.len()];
        for index in 0..batch.groups.len() {
            let group = view(batch, index);
            let mut state = read(batch.groups.states.get(index));
            match call(&mut state, &group) {
                Err(detail) => {
                    folded.states.push(&[]);
                    let failure = GroupFailure { group: index as u32, reason: Reason::GuestFailure, detail };
                    folded.failures.push(failure);
                }
                Ok(reply) => {
                    folded.states.push(&write(&state));
                    folded.timers.extend(reply.timers.into_iter().map(|time| (index as u32, time)));
                    for row in reply.rows {
                        folded.emitted.groups.push(index as u32);
                        columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
                    }
                }
            }
        }
        if !folded.emitted.groups.is_empty() {
            let columns = columns.into_iter().zip(&output);
            let columns = columns.map(|(values, output)| convert(values.into_iter(), output.kind)).collect();
            folded.emitted = Emitted { groups: folded.emitted.groups, columns };
        }
        folded
    }
}

impl Guest for NativeGuest {
    fn update(&mut self, batch: &GuestBatch) -> Result<Folded, GuestError> {
        Ok(self.each(batch, |state, group| self.0.update(state, group)))
    }

    fn close(&mut self, batch: &GuestBatch, reason: CloseReason) -> Result<Folded, GuestError> {
        Ok(self.each(batch, |state, group| self.0.close(state, group, reason)))
    }

    fn merge(&mut self, left: &VarBytes, right: &VarBytes) -> Result<Folded, GuestError> {
        let mut folded = Folded::default();
        for index in 0..left.len() {
            folded.states.push(&write(&self.0.merge(read(left.get(index)), read(right.get(index)))));
        }
        Ok(folded)
    }

    fn migrate(&mut self, states: &VarBytes, from: u32) -> Result<Folded, GuestError> {
        let mut folded = Folded::default();
        for index in 0..states.len() {
            match self.0.migrate(read(states.get(index)), from) {
                Ok(state) => folded.states.push(&write(&state)),
                Err(detail) => {
                    folded.states.push(&[]);
                    let failure = GroupFailure { group: index as u32, reason: Reason::GuestFailure, detail };
                    folded.failures.push(failure);
                }
            }
        }
        Ok(folded)
    }
}

fn view(batch: &GuestBatch, index: usize) -> GroupView {
    let groups = &batch.groups;
    let row = |row: usize| {
        let time = batch.event_times[row];
        (time, batch.columns.iter().map(|column| json_value(column, row)).collect())
    };
    GroupView {
        key: String::from_utf8_lossy(groups.keys.get(index)).into_owned(),
        window: (groups.window_starts[index], groups.window_ends[index]),
        time: groups.times[index],
        rows: groups.rows(index).map(row).collect(),
    }
}

fn read(state: &[u8]) -> Value {
    serde_json::from_slice(state).unwrap_or(Value::Null)
}

fn write(state: &Value) -> Vec<u8> {
    if state.is_null() { Vec::new() } else { state.to_string().into_bytes() }
}

/// A column of a native metric's input.
#[must_use]
pub fn input(name: &str, path: &str, kind: ColumnType) -> InputColumn {
    InputColumn { name: name.to_owned(), path: path.to_owned(), kind, side: None }
}

/// A column of a native metric's output; may be null.
#[must_use]
pub fn output(name: &str, kind: ColumnType) -> OutputColumn {
    OutputColumn { name: name.to_owned(), kind, nullable: true }
}
