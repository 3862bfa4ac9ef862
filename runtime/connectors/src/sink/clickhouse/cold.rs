//! Views over the Parquet sink's files, read by the server, and over both stores at once.
//!
//! For a table `t` there are:
//!
//! | name | what |
//! | --- | --- |
//! | `t__cold_files` | the files that hold each row once: those that no merged file has replaced |
//! | `t__cold` | their rows |
//! | `t__all` | hot rows as long as retention keeps them, cold ones beyond, each once |
//!
//! The stores part at the beginning of a day that retention will not reach today, so a row near it is in the hot store
//! for sure. Rows of epochs before the hot table had any are cold wherever they lie in time. A file that is merged away
//! while a query reads it makes that query fail, not lie.

use super::column::Column;
use super::layout::Layout;
use super::settings::ClickHouseSettings;
use super::sql::{identifier, literal};
use crate::sink::parquet::partition_value;
use serde::Deserialize;
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::TableKind;

/// Where the server finds the Parquet sink's files. It needs rights of its own to read them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColdSettings {
    /// The sink's root: `https://host/bucket/prefix` of an S3-compatible store, or an absolute folder on the server.
    pub url: String,
    /// A named collection on the server, with the root as its `url` (ending in `/`) and credentials. Then `url` is empty.
    pub named_collection: String,
}

impl ColdSettings {
    /// Every mistake, one sentence each.
    pub(super) fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.url.is_empty() == self.named_collection.is_empty() {
            mistakes.push("cold needs either url or named_collection".to_owned());
        } else if !self.url.is_empty() && !["http://", "https://", "/"].iter().any(|start| self.url.starts_with(start))
        {
            mistakes.push("cold.url must begin with https:// or http://, or be an absolute folder".to_owned());
        }
        mistakes
    }

    /// The files of `glob` below the root, as a table function.
    fn files(&self, glob: &str, format: &str, structure: Option<&str>) -> String {
        if !self.named_collection.is_empty() {
            let structure = structure.map(|text| format!(", structure = {}", literal(text))).unwrap_or_default();
            let collection = identifier(&self.named_collection);
            return format!("s3({collection}, filename = {}, format = '{format}'{structure})", literal(glob));
        }
        let function = if self.url.starts_with('/') { "file" } else { "s3" };
        let path = literal(&format!("{}/{glob}", self.url.trim_end_matches('/')));
        let structure = structure.map(|text| format!(", {}", literal(text))).unwrap_or_default();
        format!("{function}({path}, '{format}'{structure})")
    }
}

/// The views of one table.
pub(super) struct ColdViews<'a> {
    layout: &'a Layout,
    cold: &'a ColdSettings,
    settings: &'a ClickHouseSettings,
    /// The first epoch whose rows the hot table has.
    first_epoch: Epoch,
    /// Whether files may have several rows of one id.
    replaced: bool,
}

/// Files are told apart by their own path, and the types of events in paths are not those of the rows: long ones are
/// cut.
const PLAIN_PATHS: &str = "SETTINGS use_hive_partitioning = 0";

/// What takes the newest of several rows; by this a view is known that does.
pub(super) const NEWEST_BY_ID: &str = "LIMIT 1 BY row_id";

impl<'a> ColdViews<'a> {
    pub(super) fn new(
        layout: &'a Layout,
        cold: &'a ColdSettings,
        settings: &'a ClickHouseSettings,
        first_epoch: Epoch,
        replaced: bool,
    ) -> Self {
        Self { layout, cold, settings, first_epoch, replaced }
    }

    /// The statements that create them, those first that others name.
    pub(super) fn create(&self) -> [String; 3] {
        [self.create_files(), self.create_cold(), self.create_all()]
    }

    fn name(&self, suffix: &str) -> String {
        identifier(&format!("{}__{suffix}", self.layout.name))
    }

    fn glob(&self) -> String {
        match &self.layout.kind {
            TableKind::Events => "events/date=*/type=*/*.parquet".to_owned(),
            TableKind::Metric(metric) => format!("metrics/date=*/metric={}/*.parquet", partition_value(metric)),
            TableKind::DeadLetters => "dead_letters/date=*/*.parquet".to_owned(),
        }
    }

    fn create_files(&self) -> String {
        // The same rule as the Parquet sink's own: a file is replaced by one of a higher tier that holds its epochs.
        format!(
            "CREATE OR REPLACE VIEW {} AS SELECT file.4 AS path, date, file.1 AS first_epoch, file.2 AS last_epoch \
             FROM (SELECT folder, date, groupArray((first, last, tier, path)) AS files FROM (\
             SELECT _path AS path, substring(_path, 1, length(_path) - length(_file)) AS folder, \
             toDateOrNull(extract(_path, '/date=([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})/')) AS date, \
             extractGroups(_file, '^e([0-9]{{12,}})(?:-([0-9]{{12,}})[.]t([0-9]+))?[.]parquet$') AS parts, \
             toUInt64OrZero(parts[1]) AS first, if(parts[2] = '', first, toUInt64OrZero(parts[2])) AS last, \
             toUInt32OrZero(parts[3]) AS tier FROM {} WHERE notEmpty(parts) {PLAIN_PATHS}) GROUP BY folder, date) \
             ARRAY JOIN files AS file \
             WHERE NOT arrayExists(other -> other.3 > 0 AND other.3 >= file.3 AND other.1 <= file.1 AND file.2 <= other.2 \
             AND other.4 != file.4, files)",
            self.name("cold_files"),
            self.cold.files(&self.glob(), "One", None),
        )
    }

    /// The rows of the files, or of some of them.
    fn cold_rows(&self, which_files: &str, which_rows: &str) -> String {
        // A file from before a column was added has none: null.
        let columns = self.layout.columns.iter().map(|column| {
            let is_own = self.layout.own_columns.contains(column);
            let column = if is_own { Column::nullable(column) } else { column.clone() };
            format!("{} {}", identifier(&column.name), column.type_text())
        });
        let structure = columns.collect::<Vec<_>>().join(", ");
        format!(
            "SELECT {} FROM {} WHERE _path IN (SELECT path FROM {}{which_files}){which_rows} {PLAIN_PATHS}",
            self.layout.column_list(),
            self.cold.files(&self.glob(), "Parquet", Some(&structure)),
            self.name("cold_files"),
        )
    }

    fn create_cold(&self) -> String {
        let rows = self.current_only(self.cold_rows("", ""));
        format!("CREATE OR REPLACE VIEW {} AS {rows}", self.name("cold"))
    }

    fn create_all(&self) -> String {
        let (columns, table) = (self.layout.column_list(), identifier(&self.layout.name));
        let (hot, cold) = match self.layout.kind {
            TableKind::DeadLetters => {
                // Their age is counted from their arrival, which the files don't have; but epochs arrive in order.
                let first = format!("(SELECT if(count() = 0, {}, min(epoch)) FROM {table}{})", u64::MAX, self.since());
                (format!("epoch >= {first}"), self.cold_rows("", &format!(" AND epoch < {first}")))
            }
            TableKind::Events | TableKind::Metric(_) => {
                let (start, first) = (self.settings.complete_since(), self.first_epoch);
                let files = format!(" WHERE date IS NULL OR date < toDate({start}) OR first_epoch < {first}");
                let rows = format!(" AND (event_time < {start} OR epoch < {first})");
                (format!("event_time >= {start}"), self.cold_rows(&files, &rows))
            }
        };
        let hot = format!("SELECT {columns} FROM {table}{} WHERE {hot}", self.layout.current());
        let rows = self.current_only(format!("SELECT {columns} FROM ({hot} UNION ALL SELECT {columns} FROM ({cold}))"));
        format!("CREATE OR REPLACE VIEW {} AS {rows}", self.name("all"))
    }

    fn since(&self) -> String {
        if self.settings.ttl_days == 0 {
            String::new()
        } else {
            format!(" WHERE inserted_at >= {}", self.settings.complete_since())
        }
    }

    /// Files keep every firing of a window: where there may be several, the newest counts.
    fn current_only(&self, rows: String) -> String {
        if !self.replaced {
            return rows;
        }
        format!("SELECT * FROM ({rows}) ORDER BY epoch DESC {NEWEST_BY_ID}")
    }
}
