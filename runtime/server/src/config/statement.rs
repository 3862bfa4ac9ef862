//! `kind = "sql"` of a `[[metric]]`: its statement and its columns. What they mean is for `tidemark-sql-metric` to say.

use super::paths::check_event_path;
use super::section::{Section, describe};
use super::suggest::nearest;
use serde_json::{Map, Value};
use tidemark_engine::descriptor::ColumnType;
use tidemark_sql_metric::{ColumnDefinition, Definition};

/// Fields that say of a module what a statement says itself.
const SAID_BY_THE_STATEMENT: [(&str, &str); 6] = [
    ("module", "the statement is all of the metric"),
    ("filter", "WHERE says which events it reads"),
    ("window", "GROUP BY names its window"),
    ("state_ttl_ms", "its windows end by themselves"),
    ("config", "a statement has nothing to configure"),
    ("limits", "a statement is bounded by itself"),
];

/// The types that a column can be declared as.
const TYPES: [(&str, ColumnType); 5] = [
    ("boolean", ColumnType::Boolean),
    ("integer", ColumnType::Integer),
    ("float", ColumnType::Float),
    ("text", ColumnType::Text),
    ("json", ColumnType::Json),
];

/// The statement of the metric `name`; `None` where it is a module.
pub(super) fn read(section: &mut Section<'_>, name: &str) -> Option<Definition> {
    let is_sql = section.choice("kind", &[("module", false), ("sql", true)]).unwrap_or(section.has("sql"));
    if !is_sql {
        return None;
    }
    if !section.has("kind") {
        section.mistake("sql", "a metric with a statement has `kind = \"sql\"`: write it, too");
    }
    for (field, reason) in SAID_BY_THE_STATEMENT {
        if section.value(field).is_some() {
            section.mistake(field, format!("does not go with `kind = \"sql\"`: {reason}; leave it out"));
        }
    }
    let sql = section.required_text("sql", "\"SELECT … FROM events WHERE … GROUP BY …\"");
    let version = section.text("version").unwrap_or_else(|| "1.0.0".to_owned());
    if !is_version(&version) {
        section.mistake("version", format!("\"{version}\" is not a version: write three numbers, as in \"1.0.0\""));
    }
    let doc = section.text("doc").unwrap_or_default();
    let columns = read_columns(section);
    Some(Definition { name: name.to_owned(), version, doc, sql, columns })
}

fn is_version(version: &str) -> bool {
    let mut numbers = version.split('.');
    let all = numbers.by_ref().take(3).filter(|number| number.parse::<u32>().is_ok()).count();
    all == 3 && numbers.next().is_none()
}

/// `fps = "data.fps"` or `fps = { path = "data.fps", type = "float" }`.
fn read_columns(section: &mut Section<'_>) -> Vec<ColumnDefinition> {
    let fields = match section.value("columns") {
        None => return Vec::new(),
        Some(Value::Object(fields)) => fields,
        Some(other) => {
            let message = "must be a table of names and paths, as in { fps = \"data.fps\" }, not";
            section.mistake("columns", format!("{message} {}", describe(other)));
            return Vec::new();
        }
    };
    fields.iter().filter_map(|(name, value)| read_column(section, name, value)).collect()
}

fn read_column(section: &Section<'_>, name: &str, value: &Value) -> Option<ColumnDefinition> {
    let place = format!("columns.{name}");
    let (path, kind) = match value {
        Value::String(path) => (path, None),
        Value::Object(fields) => {
            for field in fields.keys().filter(|field| !["path", "type"].contains(&field.as_str())) {
                section.mistake(&format!("{place}.{field}"), "unknown field; a column has `path` and `type`");
            }
            let Some(Value::String(path)) = fields.get("path") else {
                section.mistake(&place, "`path` is missing: write { path = \"data.…\", type = \"float\" }");
                return None;
            };
            (path, read_type(section, &place, fields))
        }
        other => {
            let message = "must be a path in quotes, or { path = \"data.…\", type = \"float\" }, not";
            section.mistake(&place, format!("{message} {}", describe(other)));
            return None;
        }
    };
    check_event_path(path).unwrap_or_else(|message| section.mistake(&place, message));
    Some(ColumnDefinition { name: name.to_owned(), path: path.clone(), kind })
}

fn read_type(section: &Section<'_>, place: &str, fields: &Map<String, Value>) -> Option<ColumnType> {
    let value = fields.get("type")?;
    let given = value.as_str().unwrap_or_default();
    let known = TYPES.iter().find(|(name, _)| *name == given).map(|(_, kind)| *kind);
    if known.is_none() {
        let names = TYPES.map(|(name, _)| name);
        let hint = nearest(given, names).map_or_else(String::new, |meant| format!("; did you mean \"{meant}\"?"));
        let message = format!("must be one of {}, not {}{hint}", names.join(", "), describe(value));
        section.mistake(&format!("{place}.type"), message);
    }
    known
}
