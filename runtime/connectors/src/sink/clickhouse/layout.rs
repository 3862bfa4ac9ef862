//! What a table of ours looks like on the server: engine, order, partitions, retention.
//!
//! Rows of a metric are a `ReplacingMergeTree` by epoch: a window that fires again repeats its row ids, and the later
//! row stands in place of the earlier one, as soon as parts are merged or at once with `FINAL`. Events and dead letters
//! never repeat: `MergeTree`. Partitions are days, so that retention drops whole parts and `FINAL` never has to look
//! beyond one. What a block's partition depends on must not change when it is sent again, or the server would not know
//! it: so dead letters, whose event time is anything, have no partitions, and their age is counted from their arrival.

use super::column::Column;
use super::settings::ClickHouseSettings;
use super::sql::{identifier, list};
use arrow_schema::SchemaRef;
use tidemark_engine::output::{Table, TableKind, common_fields};
use tidemark_engine::ports::PortError;

/// Blocks, by partition, that a table remembers for deduplication. Only the last epoch can ever be sent again.
const REMEMBERED_BLOCKS: u32 = 10_000;

/// The table of events.
pub(super) const EVENTS: &str = "events";
/// The table of dead letters.
pub(super) const DEAD_LETTERS: &str = "dead_letters";

/// Names that no metric's table can have.
const RESERVED: [&str; 3] = [EVENTS, DEAD_LETTERS, "metrics"];

/// A table to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    pub(super) kind: TableKind,
    /// On the server.
    pub(super) name: String,
    /// Columns that are inserted.
    pub(super) columns: Vec<Column>,
    /// Columns that a metric adds to the common ones; of other tables none.
    pub(super) own_columns: Vec<Column>,
    /// Whether rows may be replaced, so that roll-ups are computed when they are read: a stored one cannot take a row back.
    /// `None`: as it was when the table was last made ready.
    pub(super) replaces: Option<bool>,
}

impl Layout {
    /// The layout of `table`.
    pub(super) fn of(table: &Table) -> Result<Self, PortError> {
        let name = table_name(&table.kind)?;
        let columns = table.schema.fields().iter().map(|field| {
            Column::of(field).ok_or_else(|| {
                let (column, data_type) = (field.name(), field.data_type());
                PortError::Stop(format!(
                    "column {column} of {name} has type {data_type}, which has no place in ClickHouse"
                ))
            })
        });
        let columns: Vec<Column> = columns.collect::<Result<_, _>>()?;
        let common = if matches!(table.kind, TableKind::Metric(_)) { common_fields().len() } else { columns.len() };
        let own_columns = columns[common.min(columns.len())..].to_vec();
        Ok(Self { kind: table.kind.clone(), name, columns, own_columns, replaces: Some(table.replaces) })
    }

    /// The layout of rows that wait in the outbox since an earlier process, under which their table was made ready then.
    pub(super) fn of_waiting(kind: TableKind, schema: SchemaRef) -> Result<Self, PortError> {
        let table = Table { kind, schema, sinks: None, replaces: false };
        Ok(Self { replaces: None, ..Self::of(&table)? })
    }

    /// Whether a table that was made ready as `self` is ready for `wanted`.
    pub(super) fn serves(&self, wanted: &Self) -> bool {
        let replaces = wanted.replaces.or(self.replaces);
        *self == Self { replaces, ..wanted.clone() }
    }

    /// Creates the table.
    pub(super) fn create(&self, settings: &ClickHouseSettings) -> String {
        let mut parts: Vec<String> = self.columns.iter().map(Column::definition).collect();
        if self.kind == TableKind::DeadLetters {
            parts.push("`inserted_at` DateTime('UTC') DEFAULT now('UTC') CODEC(Delta, ZSTD(1))".to_owned());
        }
        // Going back to an older checkpoint must find later rows without reading the table.
        parts.push("INDEX `by_epoch` `epoch` TYPE minmax GRANULARITY 4".to_owned());
        if self.kind == TableKind::Events {
            parts.push("INDEX `by_id` `id` TYPE bloom_filter(0.01) GRANULARITY 4".to_owned());
        }
        let partition = match self.kind {
            TableKind::DeadLetters => "",
            TableKind::Events | TableKind::Metric(_) => "PARTITION BY toDate(`event_time`) ",
        };
        let ttl = self.ttl(settings).map(|ttl| format!("TTL {ttl} ")).unwrap_or_default();
        format!(
            "CREATE TABLE IF NOT EXISTS {} ({}) ENGINE = {} {partition}PRIMARY KEY ({}) ORDER BY ({}) {ttl}\
             SETTINGS non_replicated_deduplication_window = {REMEMBERED_BLOCKS}, ttl_only_drop_parts = {}",
            identifier(&self.name),
            parts.join(", "),
            self.engine(),
            list(self.primary_key().iter().copied()),
            list(self.sorting_key().iter().copied()),
            u8::from(!partition.is_empty()),
        )
    }

    /// The engine, as the server spells it.
    pub(super) fn engine(&self) -> &'static str {
        match self.kind {
            TableKind::Metric(_) => "ReplacingMergeTree(epoch)",
            TableKind::Events | TableKind::DeadLetters => "MergeTree",
        }
    }

    /// By which rows are found.
    fn primary_key(&self) -> &'static [&'static str] {
        match self.kind {
            TableKind::Metric(_) => &["key", "event_time"],
            TableKind::Events => &["type", "event_time"],
            TableKind::DeadLetters => &["reason", "epoch"],
        }
    }

    /// By which rows are sorted, and rows of a metric are the same.
    pub(super) fn sorting_key(&self) -> &'static [&'static str] {
        match self.kind {
            TableKind::Metric(_) => &["key", "event_time", "row_id"],
            TableKind::Events => &["type", "event_time", "partition", "offset"],
            TableKind::DeadLetters => &["reason", "epoch"],
        }
    }

    /// When rows go; `None`: never.
    pub(super) fn ttl(&self, settings: &ClickHouseSettings) -> Option<String> {
        let moment = if self.kind == TableKind::DeadLetters { "inserted_at" } else { "event_time" };
        (settings.ttl_days > 0).then(|| format!("toDate({moment}) + toIntervalDay({})", settings.ttl_days))
    }

    /// `FINAL` where rows may be replaced.
    pub(super) fn current(&self) -> &'static str {
        if matches!(self.kind, TableKind::Metric(_)) { " FINAL" } else { "" }
    }

    /// Names of the inserted columns, quoted.
    pub(super) fn column_list(&self) -> String {
        list(self.columns.iter().map(|column| column.name.as_str()))
    }
}

/// A metric's table is named like the metric, with underscores for hyphens: SQL needs no quotes for it.
pub(super) fn table_name(kind: &TableKind) -> Result<String, PortError> {
    match kind {
        TableKind::Events => Ok(EVENTS.to_owned()),
        TableKind::DeadLetters => Ok(DEAD_LETTERS.to_owned()),
        TableKind::Metric(metric) => match refused_metric_name(metric) {
            Some(refusal) => Err(PortError::Stop(refusal)),
            None => Ok(metric.replace('-', "_")),
        },
    }
}

/// Why a metric of this name can have no table; `None` where it can.
#[must_use]
pub fn refused_metric_name(metric: &str) -> Option<String> {
    let name = metric.replace('-', "_");
    let is_taken = RESERVED.contains(&name.as_str()) || name.contains("__");
    is_taken.then(|| {
        format!(
            "the metric {metric} cannot have a table in ClickHouse, where {name} means something else: give the metric \
             another name, or name other sinks for it"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_refused() {
        for name in ["events", "dead-letters", "jitter--5m"] {
            let error = Layout::of(&Table::metric(name, &[])).unwrap_err().to_string();
            assert!(error.contains("another name"), "{error}");
        }
        assert_eq!(Layout::of(&Table::metric("sla-score", &[])).unwrap().name, "sla_score");
    }
}
