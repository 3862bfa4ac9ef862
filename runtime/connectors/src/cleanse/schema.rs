//! Rules that events of a type must obey.

use super::cursor::Value;
use super::number;
use super::settings::{CleanseSettings, Range, SchemaSettings};
use std::collections::BTreeMap;
use tidemark_engine::descriptor::ColumnType;

/// What an event has at a path that rules look at.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Evidence {
    /// Something other than null.
    present: bool,
    /// As which types it reads, a bit each in the order of [`ColumnType`].
    types: u8,
    /// Its value, where it reads as a number.
    number: Option<f64>,
}

impl Evidence {
    /// Of a value whose escapes, in a text, are resolved.
    pub(crate) fn of(value: Value<'_>) -> Self {
        let mut evidence = Self { present: value != Value::Null, types: 0, number: None };
        let mut reads = |kind: ColumnType, does: bool| evidence.types |= u8::from(does) << kind as u8;
        reads(ColumnType::Json, value != Value::Null);
        match value {
            Value::Null | Value::Container(_) => {}
            Value::Boolean(_) => {
                reads(ColumnType::Boolean, true);
                reads(ColumnType::Text, true);
            }
            Value::Number(text) | Value::Text(text) => {
                let number = number::float(text);
                reads(ColumnType::Text, true);
                reads(ColumnType::Float, number.is_some());
                reads(ColumnType::Integer, number::integer(text).is_some());
                evidence.number = number;
            }
        }
        evidence
    }

    fn reads_as(self, kind: ColumnType) -> bool {
        self.types >> kind as u8 & 1 == 1
    }
}

/// The rules of every type.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    by_type: BTreeMap<String, Vec<Rule>>,
    /// The event path of each piece of evidence.
    paths: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    /// Index of the path.
    path: usize,
    demand: Demand,
}

#[derive(Debug)]
enum Demand {
    Present,
    Type(ColumnType),
    Range(Range),
}

impl Schemas {
    pub(crate) fn new(settings: &CleanseSettings, mistakes: &mut Vec<String>) -> Self {
        let mut schemas = Self::default();
        for schema in &settings.schema {
            let rules = schemas.rules(schema, mistakes);
            if schemas.by_type.insert(schema.kind.clone(), rules).is_some() {
                mistakes.push(format!("cleanse.schema: type `{}` has more than one entry", schema.kind));
            }
        }
        schemas
    }

    /// The paths to collect evidence from, in the order in which [`Self::check`] wants it.
    pub(crate) fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Whether events of this type have an entry.
    pub(crate) fn knows(&self, kind: &str) -> bool {
        self.by_type.contains_key(kind)
    }

    /// The first rule of `kind` that does not hold.
    pub(crate) fn check(&self, kind: &str, evidence: &[Evidence]) -> Result<(), String> {
        let Some(rules) = self.by_type.get(kind) else { return Ok(()) };
        for rule in rules {
            let (path, found) = (&self.paths[rule.path], evidence[rule.path]);
            match &rule.demand {
                Demand::Present if !found.present => return Err(format!("`{path}` is required")),
                Demand::Type(wanted) if found.present && !found.reads_as(*wanted) => {
                    return Err(format!("`{path}` is not {}", name(*wanted)));
                }
                Demand::Range(range) if found.present => in_range(path, *range, found.number)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn rules(&mut self, schema: &SchemaSettings, mistakes: &mut Vec<String>) -> Vec<Rule> {
        let mut rules = Vec::new();
        for path in &schema.required {
            rules.push(Rule { path: self.path(path), demand: Demand::Present });
        }
        for (path, kind) in &schema.types {
            rules.push(Rule { path: self.path(path), demand: Demand::Type(*kind) });
        }
        for (path, range) in &schema.ranges {
            let (min, max) = (range.min.unwrap_or(f64::NEG_INFINITY), range.max.unwrap_or(f64::INFINITY));
            if min.is_nan() || max.is_nan() || min > max {
                mistakes.push(format!("cleanse.schema `{}`: the range of `{path}` is empty", schema.kind));
            }
            rules.push(Rule { path: self.path(path), demand: Demand::Range(*range) });
        }
        rules
    }

    fn path(&mut self, path: &str) -> usize {
        self.paths.iter().position(|known| known == path).unwrap_or_else(|| {
            self.paths.push(path.to_owned());
            self.paths.len() - 1
        })
    }
}

fn in_range(path: &str, range: Range, number: Option<f64>) -> Result<(), String> {
    let Some(number) = number else { return Err(format!("`{path}` is not a number")) };
    match range {
        Range { min: Some(min), .. } if number < min => Err(format!("`{path}` is {number}, below {min}")),
        Range { max: Some(max), .. } if number > max => Err(format!("`{path}` is {number}, above {max}")),
        _ => Ok(()),
    }
}

fn name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Boolean => "a boolean",
        ColumnType::Integer => "an integer",
        ColumnType::Float => "a number",
        ColumnType::Text => "a text",
        ColumnType::Json => "JSON",
    }
}
