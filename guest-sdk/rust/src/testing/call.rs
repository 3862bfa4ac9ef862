//! Calls to the metric, through the very functions that a component exports, and what they answer.

use super::cell::Cell;
use super::groups::Record;
use crate::contract::{Batch, ByteStrings, CloseReason, Column, Folded, Groups};
use crate::input::InputField;
use crate::metric::{Metric, Side};
use crate::output::Output;
use crate::value::ColumnBuilder;
use std::ops::Deref;

/// One group of a call.
#[derive(Clone, Debug)]
pub(super) struct GroupCall {
    pub(super) key: String,
    /// First millisecond, and first after it.
    pub(super) window: (i64, i64),
    pub(super) time: i64,
    pub(super) state: Vec<u8>,
    pub(super) records: Vec<Record>,
}

/// What one group was answered.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Answer {
    /// The new state; the old one if the group failed.
    pub(super) state: Vec<u8>,
    pub(super) timers: Vec<i64>,
    rows: Vec<Vec<Cell>>,
    failure: Option<String>,
}

/// An emitted row. Its columns are read through [`Deref`]: `row.latency_ms`.
pub struct TestRow<'a, T> {
    /// The group's key.
    pub key: &'a str,
    /// First millisecond of the window.
    pub window_start_ms: i64,
    /// First millisecond after it.
    pub window_end_ms: i64,
    /// The row's own time.
    pub event_time_ms: i64,
    fields: T,
}

impl<T> Deref for TestRow<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.fields
    }
}

/// An emitted row as the driver keeps it.
pub(super) struct KeptRow {
    key: String,
    window: (i64, i64),
    time: i64,
    cells: Vec<Cell>,
    columns: Vec<Column>,
}

impl KeptRow {
    pub(super) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn event_time_ms(&self) -> i64 {
        self.time
    }
}

pub(super) struct Caller<M: Metric> {
    metric: M,
    /// Whether a timer may be set: only in key windows.
    pub(super) has_timers: bool,
    inputs: Vec<(InputField, Option<Side>)>,
    rows: Vec<KeptRow>,
    failures: Vec<String>,
}

impl<M: Metric> Caller<M> {
    pub(super) fn new(metric: M) -> Self {
        Self { metric, has_timers: false, inputs: M::inputs(), rows: Vec::new(), failures: Vec::new() }
    }

    pub(super) fn kept(&self) -> &[KeptRow] {
        &self.rows
    }

    pub(super) fn failures(&self) -> &[String] {
        &self.failures
    }

    pub(super) fn rows(&self) -> Vec<TestRow<'_, <M::Output as Output>::Row<'_>>> {
        let read = |row| M::Output::read(row, 0).expect("written with the same columns");
        let typed = |row| {
            let KeptRow { key, window, time, columns, .. }: &KeptRow = row;
            let (window_start_ms, window_end_ms) = *window;
            TestRow { key, window_start_ms, window_end_ms, event_time_ms: *time, fields: read(columns.as_slice()) }
        };
        self.rows.iter().map(typed).collect()
    }

    /// `update`, or `close` where there is a reason. One answer per group.
    pub(super) fn call(&mut self, calls: Vec<GroupCall>, reason: Option<CloseReason>) -> Vec<Answer> {
        let answers = self.answers(&calls, reason);
        for (call, answer) in calls.iter().zip(&answers) {
            let alone = self.answers(std::slice::from_ref(call), reason);
            assert_eq!(&alone[0], answer, "key {}: the answer depends on the other groups of the call", call.key);
        }
        for (call, answer) in calls.into_iter().zip(&answers) {
            self.failures.extend(answer.failure.iter().map(|message| format!("{}: {message}", call.key)));
            for cells in &answer.rows {
                let columns = one_row::<M>(cells);
                let (window, time, key) = (call.window, call.time, call.key.clone());
                self.rows.push(KeptRow { key, window, time, cells: cells.clone(), columns });
            }
        }
        answers
    }

    /// `merge` of two states of `key`.
    pub(super) fn merge(&mut self, key: &str, left: &[u8], right: &[u8]) -> Vec<u8> {
        let strings = |state: &[u8]| ByteStrings { ends: vec![state.len() as u32], bytes: state.to_vec() };
        let folded = self.metric.merge_states(&strings(left), &strings(right));
        if let Some(failure) = folded.failures.first() {
            self.failures.push(format!("{key}: {}", failure.message));
            return left.to_vec();
        }
        folded.states.get(0).to_vec()
    }

    fn answers(&self, calls: &[GroupCall], reason: Option<CloseReason>) -> Vec<Answer> {
        if calls.is_empty() {
            return Vec::new();
        }
        let batch = self.batch(calls);
        let folded = match reason {
            None => self.metric.update_groups(&batch),
            Some(reason) => self.metric.close_groups(&batch, reason),
        };
        check_shape(&folded, calls.len(), self.has_timers);
        (0..calls.len()).map(|group| answer(&folded, group, &calls[group].state)).collect()
    }

    fn batch(&self, calls: &[GroupCall]) -> Batch {
        let mut groups = Groups {
            keys: ByteStrings::new(),
            window_starts: Vec::new(),
            window_ends: Vec::new(),
            times: Vec::new(),
            row_ends: Vec::new(),
            states: ByteStrings::new(),
        };
        let mut columns: Vec<_> = self.inputs.iter().map(|(field, _)| ColumnBuilder::new(field.kind)).collect();
        let mut event_times = Vec::new();
        for call in calls {
            for record in &call.records {
                event_times.push(record.event_time_ms);
                for (((field, _), cell), column) in self.inputs.iter().zip(&record.cells).zip(&mut columns) {
                    cell.push(field.kind, column);
                }
            }
            groups.keys.push(call.key.as_bytes());
            groups.window_starts.push(call.window.0);
            groups.window_ends.push(call.window.1);
            groups.times.push(call.time);
            groups.row_ends.push(event_times.len() as u32);
            groups.states.push(&call.state);
        }
        Batch { columns: columns.into_iter().map(ColumnBuilder::finish).collect(), event_times, groups }
    }
}

/// What the host checks of every answer.
fn check_shape(folded: &Folded, groups: usize, has_timers: bool) {
    assert_eq!(folded.states.len(), groups, "one state per group");
    assert!(folded.emitted.groups.is_sorted(), "rows stand by group");
    assert!(folded.timers.is_empty() || has_timers, "only key windows have timers");
}

fn answer(folded: &Folded, group: usize, before: &[u8]) -> Answer {
    if let Some(failure) = folded.failures.iter().find(|failure| failure.group as usize == group) {
        let message = failure.message.clone();
        return Answer { state: before.to_vec(), timers: Vec::new(), rows: Vec::new(), failure: Some(message) };
    }
    let emitted = &folded.emitted;
    let rows = (0..emitted.groups.len()).filter(|row| emitted.groups[*row] as usize == group);
    let timers = folded.timers.iter().filter(|timer| timer.group as usize == group);
    Answer {
        state: folded.states.get(group).to_vec(),
        timers: timers.map(|timer| timer.time).collect(),
        rows: rows.map(|row| emitted.columns.iter().map(|column| Cell::of(column, row)).collect()).collect(),
        failure: None,
    }
}

/// Output columns that hold one row.
fn one_row<M: Metric>(cells: &[Cell]) -> Vec<Column> {
    let column = |(column, cell): (&crate::output::OutputColumn, &Cell)| {
        let mut builder = ColumnBuilder::new(column.kind);
        cell.push(column.kind, &mut builder);
        builder.finish()
    };
    M::Output::COLUMNS.iter().zip(cells).map(column).collect()
}
