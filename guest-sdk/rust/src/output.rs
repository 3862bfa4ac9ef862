//! Output rows: what a metric emits.

use crate::contract::Column;
use crate::value::{ColumnBuilder, ColumnType};

/// A row of output, by `#[derive(Output)]` on a struct: one column per field, nullable where the field is an `Option`.
/// The runtime adds key, window, event time, module and version.
///
/// ```
/// use tidemark_metric::Output;
///
/// #[derive(Output)]
/// struct Jitter<'a> {
///     samples: i64,
///     jitter: Option<f64>,
///     orchestrator: Option<&'a str>,
/// }
/// assert!(Jitter::COLUMNS[1].nullable);
/// ```
pub trait Output {
    /// The columns, one per field.
    const COLUMNS: &'static [OutputColumn];
    /// The struct itself, borrowing its texts.
    type Row<'a>;

    /// Adds a row to the columns.
    fn push(row: Self::Row<'_>, columns: &mut [ColumnBuilder]);

    /// Reads a row back: for tests. `None` where `columns` are not those of this struct.
    fn read(columns: &[Column], row: usize) -> Option<Self::Row<'_>>;
}

/// One output column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnType,
    /// Whether a row may leave it null.
    pub nullable: bool,
}
