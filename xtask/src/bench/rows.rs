//! Whether two programs computed the same rows.

use anyhow::{Context as _, Result, bail, ensure};

/// How far two floats may be apart, relative to the larger, or to one where both are smaller: samples of a window may be
/// added up in another order, and a deviation near zero has lost that many digits.
const TOLERANCE: f64 = 1e-12;

/// Compares two CSV texts with a line of column names each, row by row. Returns the number of rows.
///
/// Both must be sorted by their first columns, and no field may hold a comma or a quote.
pub(super) fn compare(what: &str, ours: &str, theirs: &str) -> Result<usize> {
    let (mut ours, mut theirs) = (ours.lines(), theirs.lines());
    let names = ours.next().context("no line of column names")?;
    ensure!(Some(names) == theirs.next(), "{what}: the columns differ: {names}");
    let mut count = 0;
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return Ok(count),
            (Some(own), Some(other)) if is_same_row(own, other) => count += 1,
            (own, other) => bail!(
                "{what}: row {} differs ({names})\n  tidemark: {}\n  baseline: {}",
                count + 1,
                own.unwrap_or("no more rows"),
                other.unwrap_or("no more rows"),
            ),
        }
    }
}

fn is_same_row(own: &str, other: &str) -> bool {
    let (mut own, mut other) = (own.split(','), other.split(','));
    loop {
        match (own.next(), other.next()) {
            (None, None) => return true,
            (Some(own), Some(other)) if is_same_field(own, other) => {}
            _ => return false,
        }
    }
}

fn is_same_field(own: &str, other: &str) -> bool {
    if own == other {
        return true;
    }
    // Only numbers with a fraction may differ at all: identifiers and counts may not.
    let is_float = |text: &str| text.contains(['.', 'e', 'E']);
    if !(is_float(own) || is_float(other)) {
        return false;
    }
    match (own.parse::<f64>(), other.parse::<f64>()) {
        (Ok(own), Ok(other)) => (own - other).abs() <= TOLERANCE * own.abs().max(other.abs()).max(1.0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_are_counted_and_roundings_forgiven() {
        let ours = "key,n,mean\na,2,17.189625700588834\nb,1,\n";
        let theirs = "key,n,mean\na,2,17.189625700588837\nb,1,\n";
        assert_eq!(compare("t", ours, theirs).ok(), Some(2));
    }

    #[test]
    fn differences_are_found() {
        let row = |row: &str| format!("key,n,mean\n{row}\n");
        for other in ["a,3,17.5", "b,2,17.5", "a,2,17.500001", "a,2,", "a,2,17.5\nb,1,1.0", "a,2"] {
            assert!(compare("t", &row("a,2,17.5"), &row(other)).is_err(), "{other}");
        }
        assert!(compare("t", "key\n", "keys\n").is_err());
        assert!(compare("t", &row("a,1767908940000,"), &row("a,1767908940001,")).is_err(), "whole numbers are exact");
    }
}
