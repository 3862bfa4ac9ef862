//! A TOML document and where each of its values stands: in the file, or in a variable that was set above it.
//!
//! Values are named by path (`metric[1].window.size_ms`). The index from path to position is what lets a mistake that
//! is found long after parsing, in a module's answer for example, still be told with its line.

use super::report::{Mistake, Place};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Deepest nesting of values that is read.
const MAX_DEPTH: usize = 32;

/// A parsed document: its values, and the position of each.
#[derive(Clone, Debug)]
pub struct Document {
    file: PathBuf,
    root: Value,
    positions: HashMap<String, (usize, usize)>,
    /// The variables of the environment that values come from, by path.
    variables: HashMap<String, String>,
}

impl Document {
    /// Parses `text`, the content of `file`. Mistakes of syntax are collected and do not end the parsing: what can be
    /// understood of the rest is in the document.
    #[must_use]
    pub fn parse(file: &Path, text: &str) -> (Self, Vec<Mistake>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let lines = LineStarts::of(text);
        let mut mistakes: Vec<Mistake> = errors
            .iter()
            .map(|error| {
                let (line, column) = lines.position(text, error.span().map_or(0, |span| span.start));
                Mistake {
                    place: Place::File { file: file.to_owned(), line, column },
                    path: String::new(),
                    message: format!("not TOML: {}", error.message()),
                }
            })
            .collect();
        let mut walk = Walk { text, lines, positions: HashMap::new(), too_deep: Vec::new() };
        let root = walk.table(table.get_ref(), "", 0);
        let Walk { positions, too_deep, .. } = walk;
        let document = Self { file: file.to_owned(), root, positions, variables: HashMap::new() };
        mistakes.extend(too_deep.into_iter().map(|path| {
            document.mistake(&path, format!("values are nested deeper than {MAX_DEPTH}: write it flatter"))
        }));
        (document, mistakes)
    }

    /// A document that is in no file: its mistakes are told by path.
    #[must_use]
    pub fn of(root: Value) -> Self {
        Self { file: PathBuf::new(), root, positions: HashMap::new(), variables: HashMap::new() }
    }

    /// The file that was read.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The document as a JSON object. Dates are texts.
    #[must_use]
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// Sets the field at the end of `segments` to what `text`, the value of `variable`, says: a value of TOML, or else
    /// the text itself. Tables on the way are made. The error says why the field cannot be set.
    pub fn set(&mut self, segments: &[&str], text: &str, variable: &str) -> Result<(), String> {
        let Some((name, tables)) = segments.split_last().filter(|_| segments.len() <= MAX_DEPTH) else {
            return Err(format!("the name is longer than {MAX_DEPTH} tables"));
        };
        if segments.iter().any(|segment| segment.is_empty()) {
            return Err("the name spells no path: write for example TIDEMARK__HTTP__LISTEN".to_owned());
        }
        let mut path = String::new();
        let mut table = self.root.as_object_mut();
        for segment in tables {
            path = join(&path, segment);
            let fields = table.take().map(|fields| fields.entry(*segment).or_insert_with(|| Value::Object(Map::new())));
            table = fields.and_then(Value::as_object_mut);
        }
        let Some(table) = table else {
            return Err(format!("`{path}` is no table: only fields of tables can be set by a variable"));
        };
        table.insert((*name).to_owned(), value_of(text));
        self.variables.insert(join(&path, name), variable.to_owned());
        Ok(())
    }

    /// A mistake at `path`: at the value itself, or where it is missing at the nearest value around it.
    #[must_use]
    pub fn mistake(&self, path: &str, message: impl Into<String>) -> Mistake {
        let place = match self.variable(path) {
            Some(variable) => Place::Environment(variable.to_owned().into()),
            None => {
                let (line, column) = self.position(path);
                Place::File { file: self.file.clone(), line, column }
            }
        };
        Mistake { place, path: path.to_owned(), message: message.into() }
    }

    /// The variable that the value at `path`, or one around it, comes from.
    fn variable(&self, path: &str) -> Option<&str> {
        let ends = path.match_indices(['.', '[']).map(|(at, _)| at).chain([path.len()]);
        ends.filter_map(|end| self.variables.get(&path[..end])).next_back().map(String::as_str)
    }

    /// Line and column, from 1, of the value at `path` or of the nearest one around it.
    #[must_use]
    pub fn position(&self, path: &str) -> (usize, usize) {
        let mut path = path;
        loop {
            if let Some(position) = self.positions.get(path) {
                return *position;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return (1, 1),
            }
        }
    }
}

/// A value as it would stand in a TOML file; what is no TOML is a text.
fn value_of(text: &str) -> Value {
    let (document, mistakes) = Document::parse(Path::new(""), &format!("value = {text}"));
    match document.root {
        Value::Object(mut fields) if mistakes.is_empty() && fields.len() == 1 => fields.remove("value"),
        _ => None,
    }
    .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// `parent` followed by the field `name`.
#[must_use]
pub fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

/// Turns TOML values into JSON values and notes where they stand.
struct Walk<'a> {
    text: &'a str,
    lines: LineStarts,
    positions: HashMap<String, (usize, usize)>,
    too_deep: Vec<String>,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &str, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            self.too_deep.push(path.to_owned());
            return Value::Null;
        }
        // In the order of the file: JSON objects keep it, and readers of printed configurations expect it.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut object = Map::new();
        for (key, value) in entries {
            let path = join(path, key.get_ref());
            self.note(&path, key.span());
            let value = self.value(value.get_ref(), &path, depth + 1);
            object.insert(key.get_ref().clone().into_owned(), value);
        }
        Value::Object(object)
    }

    fn value(&mut self, value: &DeValue<'_>, path: &str, depth: usize) -> Value {
        match value {
            DeValue::String(text) => Value::String(text.clone().into_owned()),
            DeValue::Integer(integer) => integer_value(integer),
            DeValue::Float(float) => float_value(float.as_str()),
            DeValue::Boolean(boolean) => Value::Bool(*boolean),
            DeValue::Datetime(moment) => Value::String(moment.to_string()),
            DeValue::Array(items) => {
                if depth > MAX_DEPTH {
                    self.too_deep.push(path.to_owned());
                    return Value::Null;
                }
                let items = items.iter().enumerate().map(|(index, item)| {
                    let path = format!("{path}[{index}]");
                    self.note(&path, item.span());
                    self.value(item.get_ref(), &path, depth + 1)
                });
                Value::Array(items.collect())
            }
            DeValue::Table(table) => self.table(table, path, depth),
        }
    }

    fn note(&mut self, path: &str, span: Range<usize>) {
        let position = self.lines.position(self.text, span.start);
        self.positions.entry(path.to_owned()).or_insert(position);
    }
}

/// An integer of any radix; one beyond 64 bits becomes its text, which no reader of integers accepts.
fn integer_value(integer: &toml::de::DeInteger<'_>) -> Value {
    match i64::from_str_radix(integer.as_str(), integer.radix()) {
        Ok(number) => Value::from(number),
        Err(_) => u64::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| Value::String(integer.to_string()), Value::from),
    }
}

/// A float; infinities and NaN, which JSON lacks, become their text.
fn float_value(text: &str) -> Value {
    let number = text.parse().ok().and_then(serde_json::Number::from_f64);
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

/// Byte offsets at which lines start.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// Line and column in characters, from 1, of byte `at`.
    fn position(&self, text: &str, at: usize) -> (usize, usize) {
        let line = self.0.partition_point(|start| *start <= at);
        let start = self.0[line - 1];
        let before = text.get(start..at).map_or(at - start, |before| before.chars().count());
        (line, before + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[job]\nname = \"ä\"\n\n[[metric]]\nname = 'a'\n[[metric]]\nwindow = { size_ms = 0 }\n";

    #[test]
    fn knows_where_values_stand() {
        let (document, mistakes) = Document::parse(Path::new("t.toml"), TEXT);
        assert!(mistakes.is_empty());
        assert_eq!(document.position("job.name"), (2, 1));
        assert_eq!(document.position("metric[1].window.size_ms"), (7, 12));
        assert_eq!(document.position("metric[1].window.kind"), (7, 1), "missing: the nearest value around it");
        assert_eq!(document.position("source"), (1, 1), "missing altogether: the beginning");
        assert_eq!(document.root()["metric"][1]["window"]["size_ms"], 0);
    }

    #[test]
    fn reports_every_mistake_of_syntax_and_reads_the_rest() {
        let text = "a = \nb = 1\nc = [1,\nd = 2\n";
        let (document, mut mistakes) = Document::parse(Path::new("t.toml"), text);
        mistakes.sort();
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert!(lines.len() >= 2 && lines[0].starts_with("t.toml:1:"), "{lines:?}");
        assert_eq!(document.root()["b"], 1);
    }

    #[test]
    fn refuses_numbers_that_json_lacks_without_losing_them() {
        let (document, _) = Document::parse(Path::new("t.toml"), "a = inf\nb = 0x10\nc = 99999999999999999999\n");
        assert_eq!(document.root()["a"], "inf");
        assert_eq!(document.root()["b"], 16);
        assert_eq!(document.root()["c"], "99999999999999999999");
    }
}
