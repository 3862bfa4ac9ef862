//! Input rows: what `update` sees of the events of one group.

use crate::contract::{Batch, Column};
use crate::value::ColumnType;
use std::fmt;
use std::ops::{Deref, Range};

/// A row of input, by `#[derive(Input)]` on a struct whose fields are `Option`s, each with the `#[at = "…"]` at which
/// its value stands in the event. Whatever is absent, null or of another type is `None`.
///
/// Texts are borrowed from the batch: give the struct one lifetime and use `Option<&'a str>`.
///
/// ```
/// use tidemark_metric::Input;
///
/// #[derive(Input)]
/// struct Status<'a> {
///     #[at = "data.inference_status.fps"]
///     fps: Option<f64>,
///     #[at = "data.orchestrator_info.address"]
///     orchestrator: Option<&'a str>,
/// }
/// assert_eq!(Status::FIELDS[0].path, "data.inference_status.fps");
/// ```
pub trait Input {
    /// The columns to ask for, one per field.
    const FIELDS: &'static [InputField];
    /// The columns of a batch, ready to be read by row.
    type Columns<'a>: Copy;
    /// The struct itself, borrowing from the batch.
    type Row<'a>;

    /// The columns of this struct in `columns`, which stand in the order of [`Self::FIELDS`] and have `rows` rows each.
    fn columns(columns: &[Column]) -> Result<Self::Columns<'_>, WrongColumn>;

    /// Row `row`.
    fn row<'a>(columns: &Self::Columns<'a>, row: usize) -> Self::Row<'a>;
}

/// One column that a metric reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InputField {
    /// The field's name.
    pub name: &'static str,
    /// Where in the event.
    pub path: &'static str,
    /// Read as what.
    pub kind: ColumnType,
}

/// A column that is missing or has another type than [`Input::FIELDS`] says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrongColumn(pub &'static str);

impl fmt::Display for WrongColumn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the column of `{}` is missing or has another type than described", self.0)
    }
}

/// The rows of one group, in event-time order.
pub struct Rows<'a, T: Input> {
    columns: T::Columns<'a>,
    event_times: &'a [i64],
    range: Range<usize>,
}

impl<'a, T: Input> Rows<'a, T> {
    /// The rows of group `group` of `batch`.
    pub(crate) fn of_group(columns: T::Columns<'a>, batch: &'a Batch, group: usize) -> Self {
        Self { columns, event_times: &batch.event_times, range: batch.groups.rows(group) }
    }
}

impl<'a, T: Input> Iterator for Rows<'a, T> {
    type Item = Row<T::Row<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let row = self.range.next()?;
        Some(Row { event_time_ms: self.event_times[row], fields: T::row(&self.columns, row) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.range.size_hint()
    }
}

impl<T: Input> ExactSizeIterator for Rows<'_, T> {}

/// One row: its fields, and when it happened.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Row<T> {
    /// Event time in milliseconds since 1970.
    pub event_time_ms: i64,
    fields: T,
}

impl<T> Deref for Row<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.fields
    }
}
