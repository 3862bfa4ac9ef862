//! What calls gave, group by group, and the first difference between two of them, in words.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use std::fmt;
use tidemark_engine::dead_letter::Reason;
use tidemark_engine::descriptor::OutputColumn;
use tidemark_engine::guest::Folded;

/// How far floats may be apart where sums were made in another order: relative to the greater one.
const RELATIVE: f64 = 1e-6;
/// The same where both are about zero.
const ABSOLUTE: f64 = 1e-6;

/// What a call, or several ones, gave for one group.
#[derive(Clone, Default, Debug)]
pub(super) struct Results {
    pub(super) state: Vec<u8>,
    pub(super) rows: Vec<Vec<Cell>>,
    pub(super) timers: Vec<i64>,
    pub(super) failure: Option<(Reason, String)>,
}

/// A value of an emitted row.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

/// What two results must agree in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Agreement {
    /// Everything, to the bit.
    Bytes,
    /// Rows, to the bit.
    Rows,
    /// Rows, floats but for rounding.
    Nearly,
}

impl Results {
    /// One for each of the `groups` groups of a call.
    pub(super) fn of(folded: Folded, groups: usize) -> Vec<Self> {
        let mut all: Vec<Self> =
            (0..groups).map(|group| Self { state: folded.states.get(group).to_vec(), ..Self::default() }).collect();
        for (row, &group) in folded.emitted.groups.iter().enumerate() {
            all[group as usize].rows.push(folded.emitted.columns.iter().map(|column| Cell::of(column, row)).collect());
        }
        for (group, time) in folded.timers {
            all[group as usize].timers.push(time);
        }
        for failure in folded.failures {
            all[failure.group as usize].failure = Some((failure.reason, failure.detail));
        }
        all
    }

    /// The first difference to `other`, if there is one; `names` are what the two are called.
    pub(super) fn difference(
        &self,
        other: &Self,
        agreement: Agreement,
        output: &[OutputColumn],
        names: [&str; 2],
    ) -> Option<String> {
        let [one, two] = names;
        match (&self.failure, &other.failure) {
            (Some((reason, _)), Some((also, _))) if reason == also => return None,
            (None, None) => {}
            (here, there) => {
                let said = |failure: &Option<(Reason, String)>| match failure {
                    Some((reason, detail)) => format!("{} ({detail})", reason.name()),
                    None => "success".to_owned(),
                };
                return Some(format!("{} {one}, {} {two}", said(here), said(there)));
            }
        }
        if self.rows.len() != other.rows.len() {
            return Some(format!("{} emitted {one}, {} {two}", rows(self.rows.len()), other.rows.len()));
        }
        for (number, (row, also)) in self.rows.iter().zip(&other.rows).enumerate() {
            for ((cell, other), column) in row.iter().zip(also).zip(output) {
                if !cell.agrees(other, agreement) {
                    return Some(format!("row {}, `{}`: {cell} {one}, {other} {two}", number + 1, column.name));
                }
            }
        }
        if agreement != Agreement::Bytes {
            return None;
        }
        if self.timers != other.timers {
            return Some(format!("timers {:?} {one}, {:?} {two}", self.timers, other.timers));
        }
        let differs = || self.state.iter().zip(&other.state).position(|(byte, other)| byte != other);
        (self.state != other.state).then(|| {
            let at = differs().unwrap_or(self.state.len().min(other.state.len()));
            let (here, there) = (self.state.len(), other.state.len());
            format!("the states differ from byte {at} on ({here} bytes {one}, {there} {two})")
        })
    }
}

fn rows(count: usize) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

impl Cell {
    fn of(column: &ArrayRef, row: usize) -> Self {
        if column.is_null(row) {
            return Self::Null;
        }
        match column.data_type() {
            DataType::Boolean => Self::Boolean(column.as_boolean().value(row)),
            DataType::Int64 => Self::Integer(column.as_primitive::<Int64Type>().value(row)),
            DataType::Float64 => Self::Float(column.as_primitive::<Float64Type>().value(row)),
            _ => Self::Text(column.as_string::<i32>().value(row).to_owned()),
        }
    }

    fn agrees(&self, other: &Self, agreement: Agreement) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(value), Self::Boolean(other)) => value == other,
            (Self::Integer(value), Self::Integer(other)) => value == other,
            (Self::Float(value), Self::Float(other)) if agreement == Agreement::Nearly => {
                let apart = (value - other).abs();
                value == other
                    || apart <= ABSOLUTE
                    || apart <= RELATIVE * value.abs().max(other.abs())
                    || (!value.is_finite() && !other.is_finite())
            }
            (Self::Float(value), Self::Float(other)) => value.to_bits() == other.to_bits(),
            (Self::Text(value), Self::Text(other)) => value == other,
            _ => false,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(value) => write!(f, "{value:?}"),
        }
    }
}
