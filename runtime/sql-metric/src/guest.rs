//! The engine's guest port, filled by a program: rows in columns to states in bytes, and states to rows.

use crate::accumulator::Accumulator;
use crate::aggregate::Kept;
use crate::expression::{Expression, Leaf, Scope};
use crate::plan::Program;
use crate::state::GroupState;
use crate::value::{Failure, Kind, Value};
use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_schema::DataType;
use std::ops::Range;
use std::sync::Arc;
use tidemark_engine::dead_letter::Reason;
use tidemark_engine::guest::{
    CloseReason, Emitted, Folded, GroupFailure, Groups, Guest, GuestBatch, GuestError, GuestFactory, VarBytes,
};

/// Makes guests of one program.
pub(crate) struct SqlFactory(pub(crate) Arc<Program>);

impl GuestFactory for SqlFactory {
    fn instantiate(&self) -> Result<Box<dyn Guest>, GuestError> {
        Ok(Box::new(SqlGuest { program: self.0.clone(), selected: Vec::new() }))
    }
}

struct SqlGuest {
    program: Arc<Program>,
    /// Rows of a group that WHERE lets pass; kept for its memory only.
    selected: Vec<usize>,
}

impl Guest for SqlGuest {
    fn update(&mut self, batch: &GuestBatch) -> Result<Folded, GuestError> {
        let columns: Vec<Column<'_>> = batch.columns.iter().map(Column::of).collect();
        let rows = Rows { columns: &columns, event_times: &batch.event_times };
        let mut folded = Folded::default();
        let mut state = Vec::new();
        for group in 0..batch.groups.len() {
            state.clear();
            let (before, range) = (batch.groups.states.get(group), batch.groups.rows(group));
            if let Err(failure) = self.fold(before, &rows, range, &mut state) {
                state.clear();
                folded.failures.push(failed(group, failure));
            }
            folded.states.push(&state);
        }
        Ok(folded)
    }

    fn close(&mut self, batch: &GuestBatch, reason: CloseReason) -> Result<Folded, GuestError> {
        let columns: Vec<Column<'_>> = batch.columns.iter().map(Column::of).collect();
        let rows = Rows { columns: &columns, event_times: &batch.event_times };
        let mut folded = Folded::default();
        let mut output = Output::new(&self.program.kinds);
        for group in 0..batch.groups.len() {
            let emitted = match reason {
                CloseReason::UnmatchedLeft => self.transform(&rows, batch.groups.rows(group), &mut output),
                _ => self.finish(&batch.groups, group, &mut output),
            };
            match emitted {
                Ok(count) => {
                    folded.states.push(batch.groups.states.get(group));
                    folded.emitted.groups.extend(std::iter::repeat_n(group as u32, count));
                }
                Err(failure) => {
                    folded.states.push(&[]);
                    folded.failures.push(failed(group, failure));
                }
            }
        }
        if !folded.emitted.groups.is_empty() {
            folded.emitted = Emitted { groups: folded.emitted.groups, columns: output.finish() };
        }
        Ok(folded)
    }

    fn merge(&mut self, left: &VarBytes, right: &VarBytes) -> Result<Folded, GuestError> {
        let mut folded = Folded::default();
        let mut state = Vec::new();
        for pair in 0..left.len() {
            state.clear();
            let merged = self.read(left.get(pair)).and_then(|mut merged| {
                merged.merge(self.read(right.get(pair))?)?;
                merged.write(&mut state);
                Ok(())
            });
            if let Err(failure) = merged {
                folded.failures.push(failed(pair, failure));
            }
            folded.states.push(&state);
        }
        Ok(folded)
    }

    fn migrate(&mut self, states: &VarBytes, from: u32) -> Result<Folded, GuestError> {
        let mut folded = Folded::default();
        let detail = format!(
            "the state (version {from}) is of a statement with other aggregates: what a window has gathered cannot be \
             taken over; give the changed statement another name, or change it when its windows are closed"
        );
        for group in 0..states.len() {
            folded.states.push(&[]);
            folded.failures.push(failed(group, Failure(detail.clone())));
        }
        Ok(folded)
    }
}

fn failed(group: usize, Failure(detail): Failure) -> GroupFailure {
    GroupFailure { group: group as u32, reason: Reason::GuestFailure, detail }
}

impl SqlGuest {
    fn read(&self, state: &[u8]) -> Result<GroupState, Failure> {
        GroupState::read(state, self.program.kept.iter().map(|kept| kept.method))
    }

    /// Adds the rows `range` to a state, and writes it.
    fn fold(&mut self, before: &[u8], rows: &Rows<'_>, range: Range<usize>, out: &mut Vec<u8>) -> Result<(), Failure> {
        let mut state = self.read(before)?;
        self.selected.clear();
        match &self.program.condition {
            None => self.selected.extend(range),
            Some(condition) => {
                for row in range {
                    if condition.evaluate(&rows.at(row))?.truth() == Some(true) {
                        self.selected.push(row);
                    }
                }
            }
        }
        state.rows += self.selected.len() as u64;
        for (kept, accumulator) in self.program.kept.iter().zip(&mut state.accumulators) {
            add(kept, accumulator, rows, &self.selected)?;
        }
        state.write(out);
        Ok(())
    }

    /// Emits the row of a group that ends, if it has one; returns how many.
    fn finish(&self, groups: &Groups, group: usize, output: &mut Output) -> Result<usize, Failure> {
        let state = self.read(groups.states.get(group))?;
        if state.rows == 0 {
            return Ok(0);
        }
        let measures = self.program.measures.iter();
        let measures = measures.map(|measure| state.accumulators[measure.kept].finish(measure.finish));
        let scope = GroupScope {
            measures: measures.collect::<Result<_, _>>()?,
            key: std::str::from_utf8(groups.keys.get(group)).map_err(|_| Failure::new("the key is not UTF-8"))?,
            window: (groups.window_starts[group], groups.window_ends[group]),
        };
        self.emit(self.program.having.as_ref(), &scope, output)
    }

    /// Emits a row for each row.
    fn transform(&self, rows: &Rows<'_>, range: Range<usize>, output: &mut Output) -> Result<usize, Failure> {
        let condition = self.program.condition.as_ref();
        range.map(|row| self.emit(condition, &rows.at(row), output)).sum()
    }

    fn emit<S: Scope>(&self, condition: Option<&Expression>, scope: &S, output: &mut Output) -> Result<usize, Failure> {
        if let Some(condition) = condition
            && condition.evaluate(scope)?.truth() != Some(true)
        {
            return Ok(0);
        }
        // All of them before one is written: a row that fails must leave no part of it.
        let values = self.program.columns.iter().map(|column| column.evaluate(scope));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        for value in &values {
            // A text may be a whole column of an event, longer than what functions make.
            if let Value::Text(text) = value {
                Value::text(&**text)?;
            }
        }
        output.push(values);
        Ok(1)
    }
}

/// Adds rows to an accumulator.
fn add(kept: &Kept, accumulator: &mut Accumulator, rows: &Rows<'_>, selected: &[usize]) -> Result<(), Failure> {
    if kept.filter.is_some() {
        return add_each(kept, accumulator, rows, selected);
    }
    match (&kept.argument, accumulator) {
        (None, Accumulator::Count(count)) => {
            *count += selected.len() as u64;
            Ok(())
        }
        // What most metrics do most of the time: a column of floats as it is.
        (Some(Expression::Leaf(Leaf::Column(index, _))), Accumulator::Moments(moments)) => {
            let Column::Float(floats) = rows.columns[*index] else { return Ok(()) };
            for row in selected.iter().filter(|row| floats.is_valid(**row)) {
                moments.add(floats.value(*row));
            }
            Ok(())
        }
        (_, accumulator) => add_each(kept, accumulator, rows, selected),
    }
}

fn add_each(kept: &Kept, accumulator: &mut Accumulator, rows: &Rows<'_>, selected: &[usize]) -> Result<(), Failure> {
    for row in selected {
        let scope = rows.at(*row);
        if let Some(filter) = &kept.filter
            && filter.evaluate(&scope)?.truth() != Some(true)
        {
            continue;
        }
        match &kept.argument {
            None => accumulator.add(Value::Boolean(true))?,
            Some(argument) => {
                let value = argument.evaluate(&scope)?;
                if !value.is_null() {
                    accumulator.add(value)?;
                }
            }
        }
    }
    Ok(())
}

/// An input column.
#[derive(Clone, Copy)]
enum Column<'a> {
    Boolean(&'a BooleanArray),
    Integer(&'a Int64Array),
    Float(&'a Float64Array),
    Text(&'a StringArray),
}

impl<'a> Column<'a> {
    fn of(array: &'a ArrayRef) -> Self {
        match array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int64 => Self::Integer(array.as_primitive::<Int64Type>()),
            DataType::Float64 => Self::Float(array.as_primitive::<Float64Type>()),
            _ => Self::Text(array.as_string()),
        }
    }

    fn value(self, row: usize) -> Value<'a> {
        match self {
            Self::Boolean(array) if array.is_valid(row) => Value::Boolean(array.value(row)),
            Self::Integer(array) if array.is_valid(row) => Value::Integer(array.value(row)),
            Self::Float(array) if array.is_valid(row) => Value::float(array.value(row)),
            Self::Text(array) if array.is_valid(row) => Value::Text(array.value(row).into()),
            _ => Value::Null,
        }
    }
}

/// The rows of a batch.
struct Rows<'a> {
    columns: &'a [Column<'a>],
    event_times: &'a [i64],
}

impl Rows<'_> {
    fn at(&self, row: usize) -> RowScope<'_> {
        RowScope { rows: self, row }
    }
}

struct RowScope<'a> {
    rows: &'a Rows<'a>,
    row: usize,
}

impl Scope for RowScope<'_> {
    fn leaf(&self, leaf: &Leaf) -> Value<'_> {
        match leaf {
            Leaf::Column(index, _) => self.rows.columns[*index].value(self.row),
            Leaf::EventTime => Value::Integer(self.rows.event_times[self.row]),
            _ => Value::Null,
        }
    }
}

struct GroupScope<'a> {
    measures: Vec<Value<'static>>,
    key: &'a str,
    window: (i64, i64),
}

impl Scope for GroupScope<'_> {
    fn leaf(&self, leaf: &Leaf) -> Value<'_> {
        match leaf {
            Leaf::Measure(index, _) => crate::expression::borrowed(&self.measures[*index]),
            Leaf::Key => Value::Text(self.key.into()),
            Leaf::WindowStart => Value::Integer(self.window.0),
            Leaf::WindowEnd => Value::Integer(self.window.1),
            Leaf::WindowTime => Value::Integer(self.window.1.saturating_sub(1)),
            Leaf::Column(..) | Leaf::EventTime => Value::Null,
        }
    }
}

/// Rows in the making, column by column.
struct Output(Vec<Builder>);

enum Builder {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
}

impl Output {
    fn new(kinds: &[Kind]) -> Self {
        let builder = |kind: &Kind| match kind {
            Kind::Boolean => Builder::Boolean(BooleanBuilder::new()),
            Kind::Integer => Builder::Integer(Int64Builder::new()),
            Kind::Float => Builder::Float(Float64Builder::new()),
            Kind::Text => Builder::Text(StringBuilder::new()),
        };
        Self(kinds.iter().map(builder).collect())
    }

    fn push(&mut self, values: Vec<Value<'_>>) {
        for (builder, value) in self.0.iter_mut().zip(values) {
            match (builder, value) {
                (Builder::Boolean(builder), Value::Boolean(boolean)) => builder.append_value(boolean),
                (Builder::Integer(builder), Value::Integer(integer)) => builder.append_value(integer),
                (Builder::Float(builder), Value::Float(float)) => builder.append_value(float),
                (Builder::Text(builder), Value::Text(text)) => builder.append_value(text),
                (Builder::Boolean(builder), _) => builder.append_null(),
                (Builder::Integer(builder), _) => builder.append_null(),
                (Builder::Float(builder), _) => builder.append_null(),
                (Builder::Text(builder), _) => builder.append_null(),
            }
        }
    }

    fn finish(self) -> Vec<ArrayRef> {
        let finish = |builder: Builder| -> ArrayRef {
            match builder {
                Builder::Boolean(mut builder) => Arc::new(builder.finish()),
                Builder::Integer(mut builder) => Arc::new(builder.finish()),
                Builder::Float(mut builder) => Arc::new(builder.finish()),
                Builder::Text(mut builder) => Arc::new(builder.finish()),
            }
        };
        self.0.into_iter().map(finish).collect()
    }
}
