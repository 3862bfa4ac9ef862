//! What has to change on the server for rows with these columns: additions only.
//!
//! A column that the module no longer has stays, null in new rows; one that may be null now becomes so on the server; a
//! new one is null in old rows. A column of another type is refused: whatever was made of the old values would be
//! something that no module ever said.

use super::column::{Column, base_of};
use super::layout::Layout;
use super::sql::identifier;
use serde::Deserialize;

/// A column that is there.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct Present {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) type_text: String,
    /// `DEFAULT` and the like: filled by the server.
    pub(super) default_kind: String,
}

/// The statements that make a table with `present` columns take rows of `layout`.
///
/// # Errors
/// Every column that cannot be what it should be, in one sentence.
pub(super) fn plan(layout: &Layout, present: &[Present]) -> Result<Vec<String>, String> {
    let table = identifier(&layout.name);
    let (mut statements, mut refused) = (Vec::new(), Vec::new());
    for column in &layout.columns {
        match present.iter().find(|present| present.name == column.name) {
            None => {
                let definition = column.nullable().definition();
                statements.push(format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {definition}"));
            }
            Some(present) => match change(column, present) {
                Change::None => {}
                Change::Widen => {
                    let definition = column.nullable().definition();
                    statements.push(format!("ALTER TABLE {table} MODIFY COLUMN {definition}"));
                }
                Change::Refused => {
                    refused.push(format!("{} is {} and would become {}", column.name, present.type_text, column.base));
                }
            },
        }
    }
    for gone in present {
        let is_wanted = layout.columns.iter().any(|column| column.name == gone.name);
        let (base, is_nullable) = base_of(&gone.type_text);
        if !is_wanted && !is_nullable && gone.default_kind.is_empty() {
            let name = identifier(&gone.name);
            // As it is, new rows would have a zero there, which looks like a value.
            statements.push(format!("ALTER TABLE {table} MODIFY COLUMN {name} Nullable({base})"));
        }
    }
    if refused.is_empty() {
        return Ok(statements);
    }
    Err(format!(
        "the table {} has columns of other types: {}; rows that are there would be lost or changed. Give the column \
         another name in the module, or rename the table and start again to begin a new one",
        layout.name,
        refused.join(", ")
    ))
}

enum Change {
    None,
    Widen,
    Refused,
}

fn change(column: &Column, present: &Present) -> Change {
    let (base, is_nullable) = base_of(&present.type_text);
    if base != column.base {
        Change::Refused
    } else if column.is_nullable && !is_nullable {
        Change::Widen
    } else {
        Change::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemark_engine::descriptor::{ColumnType, OutputColumn};
    use tidemark_engine::output::Table;

    fn layout(columns: &[(&str, ColumnType, bool)]) -> Layout {
        let columns: Vec<OutputColumn> = columns
            .iter()
            .map(|(name, kind, nullable)| OutputColumn { name: (*name).to_owned(), kind: *kind, nullable: *nullable })
            .collect();
        Layout::of(&Table::metric("m", &columns)).unwrap()
    }

    fn present(layout: &Layout) -> Vec<Present> {
        let present = |column: &Column| Present {
            name: column.name.clone(),
            type_text: column.type_text(),
            default_kind: String::new(),
        };
        layout.columns.iter().map(present).collect()
    }

    #[test]
    fn what_is_equal_stays() {
        let old = layout(&[("a", ColumnType::Float, false), ("b", ColumnType::Text, true)]);
        assert_eq!(plan(&old, &present(&old)).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn additions_and_omissions_lose_nothing() {
        let old = layout(&[("a", ColumnType::Float, false), ("gone", ColumnType::Integer, false)]);
        let new = layout(&[("a", ColumnType::Float, true), ("added", ColumnType::Boolean, false)]);
        assert_eq!(
            plan(&new, &present(&old)).unwrap(),
            [
                "ALTER TABLE `m` MODIFY COLUMN `a` Nullable(Float64) CODEC(ZSTD(1))",
                "ALTER TABLE `m` ADD COLUMN IF NOT EXISTS `added` Nullable(Bool) CODEC(ZSTD(1))",
                "ALTER TABLE `m` MODIFY COLUMN `gone` Nullable(Int64)",
            ]
        );
        // Back again: what is wider on the server stays so.
        let nullable = layout(&[("a", ColumnType::Float, true)]);
        let narrow = layout(&[("a", ColumnType::Float, false)]);
        assert_eq!(plan(&narrow, &present(&nullable)).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn other_types_are_refused_all_at_once() {
        let old = layout(&[("a", ColumnType::Float, false), ("b", ColumnType::Text, true)]);
        let new = layout(&[("a", ColumnType::Integer, false), ("b", ColumnType::Float, true)]);
        let refusal = plan(&new, &present(&old)).unwrap_err();
        assert!(refusal.contains("a is Float64 and would become Int64"), "{refusal}");
        assert!(refusal.contains("b is Nullable(String) and would become Float64"), "{refusal}");
    }
}
