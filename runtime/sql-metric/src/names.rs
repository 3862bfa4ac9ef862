//! What names in a statement stand for: paths in the event, its time, columns of another metric's rows.

use crate::mistake::Mistake;
use crate::parse::folded;
use crate::{ColumnDefinition, Surroundings};
use sqlparser::ast::Ident;
use std::cell::Cell;
use std::collections::BTreeMap;
use tidemark_engine::descriptor::{ColumnType, OutputColumn};
use tidemark_engine::metric::METRIC_TYPE;

/// The table of every event of the source.
pub(crate) const EVENTS: &str = "events";

/// The name of the event time.
pub(crate) const EVENT_TIME: &str = "event_time";

/// What every event has, readable without a declaration.
const ENVELOPE: [&str; 3] = ["type", "id", "gateway"];

/// Names that a declared column may not take: they mean something already.
const TAKEN: [&str; 7] = ["type", "id", "gateway", "timestamp", "event_time", "data", "enrich"];

/// What a name stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Meaning {
    EventTime,
    /// A path; `None`: as which type it is read follows from its use.
    Path(String, Option<ColumnType>),
}

/// The names of one statement.
pub(crate) struct Names<'a> {
    /// The metric that is read, and its columns; `None`: events.
    upstream: Option<(String, &'a [OutputColumn])>,
    qualifiers: Vec<String>,
    declared: BTreeMap<&'a str, Declared<'a>>,
    surroundings: &'a Surroundings,
}

struct Declared<'a> {
    column: &'a ColumnDefinition,
    used: Cell<bool>,
}

/// The name of a metric as a table: hyphens are not written in identifiers.
#[must_use]
pub(crate) fn table_name(metric: &str) -> String {
    metric.replace('-', "_")
}

impl<'a> Names<'a> {
    /// The names that `table`, its alias and the declared columns bring.
    pub(crate) fn new(
        table: &Ident,
        alias: Option<&Ident>,
        columns: &'a [ColumnDefinition],
        surroundings: &'a Surroundings,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Self> {
        let position = crate::mistake::Position::start_of(table.span);
        let name = folded(table);
        let upstream = surroundings.metrics.iter().find(|(metric, _)| table_name(metric) == name || **metric == name);
        if upstream.is_none() && name != EVENTS {
            let known: Vec<String> = surroundings.metrics.keys().map(|metric| table_name(metric)).collect();
            let message = format!("there is no table {name}: FROM takes {EVENTS}");
            let known = if known.is_empty() { String::new() } else { format!(", or a metric: {}", known.join(", ")) };
            mistakes.push(Mistake::at(position, format!("{message}{known}")));
            return None;
        }
        let upstream = upstream.map(|(metric, columns)| (metric.clone(), columns.as_slice()));
        let mut qualifiers = vec![name];
        if let Some(alias) = alias {
            let name = folded(alias);
            if TAKEN.contains(&name.as_str()) {
                let position = crate::mistake::Position::start_of(alias.span);
                mistakes.push(Mistake::at(position, format!("{name} means something already: use another alias")));
            }
            qualifiers = vec![name];
        }
        let mut declared = BTreeMap::new();
        for column in columns {
            mistakes.extend(mistake_of_name(column, upstream.as_ref().map(|(_, columns)| *columns)));
            if declared.insert(column.name.as_str(), Declared { column, used: Cell::new(false) }).is_some() {
                mistakes.push(Mistake::about(&column.name, "is declared twice"));
            }
        }
        Some(Self { upstream, qualifiers, declared, surroundings })
    }

    /// The event type that is read, where it is a metric's.
    pub(crate) fn upstream_type(&self) -> Option<String> {
        self.upstream.as_ref().map(|(metric, _)| format!("{METRIC_TYPE}{metric}"))
    }

    /// The declared name of a path, or the path itself.
    pub(crate) fn name_of(&self, path: &str) -> String {
        let declared = self.declared.values().find(|declared| declared.column.path == path);
        declared.map_or(path, |declared| &declared.column.name).to_owned()
    }

    /// What identifies an event or a row where the statement does not say.
    pub(crate) fn default_key(&self) -> &'static str {
        if self.upstream.is_some() { "data.key" } else { "id" }
    }

    /// What `parts`, an identifier or several with dots between, stand for. The error says what could be meant.
    pub(crate) fn meaning(&self, parts: &[Ident]) -> Result<Meaning, String> {
        match parts {
            [name] => self.simple(name),
            [qualifier, name] if self.qualifiers.contains(&folded(qualifier)) => self.simple(name),
            [qualifier, rest @ ..] if self.qualifiers.contains(&folded(qualifier)) => self.path(rest),
            parts => self.path(parts),
        }
    }

    fn simple(&self, identifier: &Ident) -> Result<Meaning, String> {
        let name = folded(identifier);
        if name == EVENT_TIME {
            return Ok(Meaning::EventTime);
        }
        match &self.upstream {
            None if ENVELOPE.contains(&name.as_str()) => return Ok(Meaning::Path(name, Some(ColumnType::Text))),
            Some(_) if name == "key" => return Ok(Meaning::Path("data.key".to_owned(), Some(ColumnType::Text))),
            Some((_, columns)) => {
                if let Some(column) = columns.iter().find(|column| column.name == name) {
                    return Ok(Meaning::Path(format!("data.{name}"), Some(column.kind)));
                }
            }
            None => {}
        }
        if let Some(Declared { column, used }) = self.declared.get(name.as_str()) {
            used.set(true);
            return Ok(self.at(column.path.clone(), column.kind));
        }
        let known: Vec<&str> = match &self.upstream {
            None => ENVELOPE.into_iter().chain([EVENT_TIME]).chain(self.declared.keys().copied()).collect(),
            Some((_, columns)) => {
                let columns = columns.iter().map(|column| column.name.as_str());
                ["key", EVENT_TIME].into_iter().chain(columns).chain(self.declared.keys().copied()).collect()
            }
        };
        Err(format!(
            "there is no column {name}: declare it as `columns.{name} = \"data.…\"`, or write the path itself; known are {}",
            known.join(", ")
        ))
    }

    /// A path written out: its segments are taken as they are, in the letters of the event.
    fn path(&self, parts: &[Ident]) -> Result<Meaning, String> {
        let path = parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".");
        let sound = parts.iter().all(|part| !part.value.is_empty() && !part.value.contains('.'));
        match parts.first().map(|first| first.value.as_str()) {
            Some("data") if sound => Ok(self.at(path, None)),
            Some("enrich") if sound && parts.len() == 3 => Ok(self.at(path, None)),
            Some("enrich") => Err(format!("{path} must have the form enrich.table.field")),
            _ => Err(format!("{path} is no path of an event: paths begin with data or enrich, as in data.stream_id")),
        }
    }

    fn at(&self, path: String, kind: Option<ColumnType>) -> Meaning {
        let upstream = self.upstream.as_ref().and_then(|(_, columns)| {
            let name = path.strip_prefix("data.")?;
            columns.iter().find(|column| column.name == name).map(|column| column.kind)
        });
        let kind = kind.or(upstream).or_else(|| self.surroundings.types.get(&path).copied());
        Meaning::Path(path, kind)
    }

    /// Columns that are declared and that nothing reads.
    pub(crate) fn unused(&self) -> impl Iterator<Item = Mistake> + '_ {
        let unused = self.declared.values().filter(|declared| !declared.used.get());
        unused.map(|declared| {
            Mistake::about(&declared.column.name, "the statement does not read it: leave it out, or correct the name")
        })
    }
}

fn mistake_of_name(column: &ColumnDefinition, upstream: Option<&[OutputColumn]>) -> Option<Mistake> {
    let name = &column.name;
    let about = |message: String| Some(Mistake::about(name, message));
    if !is_column_name(name) {
        return about(format!("\"{name}\" is not a name: use lower-case letters, digits and underscores"));
    }
    if TAKEN.contains(&name.as_str()) || (upstream.is_some() && name == "key") {
        return about(format!("{name} means something already: choose another name"));
    }
    if upstream.is_some_and(|columns| columns.iter().any(|column| column.name == *name)) {
        return about(format!("the metric that is read has a column {name}: choose another name, or leave it out"));
    }
    None
}

/// Lower-case letters, digits and underscores, no digit first.
pub(crate) fn is_column_name(name: &str) -> bool {
    let letters = name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    letters && !name.is_empty() && name.len() <= 64 && !name.starts_with(|first: char| first.is_ascii_digit())
}
