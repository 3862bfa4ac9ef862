//! Columns: the ClickHouse type and encoding of each Arrow type that tables have.

use super::sql::identifier;
use arrow_schema::{DataType, Field, TimeUnit};

/// Texts with few different values.
const FEW_VALUES: [&str; 10] = [
    "module",
    "version",
    "digest",
    "config_digest",
    "type",
    "event_date",
    "partition",
    "reason",
    "metric",
    "enrichment",
];
/// Columns that grow slowly in the order of insertion or of sorting.
const GROWING: [&str; 5] = ["event_time", "window_start", "window_end", "epoch", "offset"];

/// A column as this sink makes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// Without `Nullable` and `LowCardinality`.
    pub(super) base: &'static str,
    pub(super) is_nullable: bool,
    has_few_values: bool,
}

impl Column {
    /// The column for `field`; `None` for a type that no table has.
    pub(super) fn of(field: &Field) -> Option<Self> {
        let base = match field.data_type() {
            DataType::Boolean => "Bool",
            DataType::Int64 => "Int64",
            DataType::UInt64 => "UInt64",
            DataType::Float64 => "Float64",
            DataType::Utf8 | DataType::Binary => "String",
            DataType::Timestamp(TimeUnit::Millisecond, _) => "DateTime64(3, 'UTC')",
            _ => return None,
        };
        let has_few_values = base == "String" && FEW_VALUES.contains(&field.name().as_str());
        Some(Self { name: field.name().clone(), base, is_nullable: field.is_nullable(), has_few_values })
    }

    /// The type.
    pub(super) fn type_text(&self) -> String {
        let text = if self.is_nullable { format!("Nullable({})", self.base) } else { self.base.to_owned() };
        if self.has_few_values { format!("LowCardinality({text})") } else { text }
    }

    /// Name, type and encoding.
    pub(super) fn definition(&self) -> String {
        let codec = match self.name.as_str() {
            name if GROWING.contains(&name) => " CODEC(Delta, ZSTD(1))",
            "raw" | "payload" | "payload_text" | "state" => " CODEC(ZSTD(3))",
            _ => " CODEC(ZSTD(1))",
        };
        format!("{} {}{codec}", identifier(&self.name), self.type_text())
    }

    /// Whether a roll-up sums it up.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.base, "Int64" | "Float64")
    }

    /// The same column for rows that may lack it.
    pub(super) fn nullable(&self) -> Self {
        Self { is_nullable: true, ..self.clone() }
    }
}

/// What is below `Nullable` and `LowCardinality` of a type in the server's spelling, and whether it may be null.
pub(super) fn base_of(type_text: &str) -> (&str, bool) {
    let within = |text: &'_ str, name: &str| -> Option<usize> {
        (text.starts_with(name) && text.ends_with(')')).then_some(name.len())
    };
    let mut text = type_text;
    if let Some(start) = within(text, "LowCardinality(") {
        text = &text[start..text.len() - 1];
    }
    match within(text, "Nullable(") {
        Some(start) => (&text[start..text.len() - 1], true),
        None => (text, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_back() {
        for (data_type, name, nullable, expected) in [
            (DataType::Utf8, "module", false, "LowCardinality(String)"),
            (DataType::Utf8, "metric", true, "LowCardinality(Nullable(String))"),
            (DataType::Float64, "value", true, "Nullable(Float64)"),
            (tidemark_engine::output::timestamp(), "event_time", false, "DateTime64(3, 'UTC')"),
        ] {
            let column = Column::of(&Field::new(name, data_type, nullable)).unwrap();
            assert_eq!(column.type_text(), expected);
            assert_eq!(base_of(expected), (column.base, nullable));
        }
        assert!(Column::of(&Field::new("small", DataType::Int8, false)).is_none());
    }
}
