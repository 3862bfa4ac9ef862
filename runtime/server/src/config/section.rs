//! Reading a table of the document field by field, so that no mistake hides another.
//!
//! Every read that fails notes a mistake and hands back a stand-in; the configuration as a whole is given out only
//! when no mistake was noted, so a stand-in is never seen. Fields that nobody read are unknown fields.

use super::document::{Document, join};
use super::report::Mistake;
use super::suggest::nearest;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

/// A document being read and the mistakes found so far.
pub struct Reader<'d> {
    document: &'d Document,
    mistakes: RefCell<Vec<Mistake>>,
}

impl<'d> Reader<'d> {
    /// Starts with the mistakes of parsing.
    #[must_use]
    pub fn new(document: &'d Document, mistakes: Vec<Mistake>) -> Self {
        Self { document, mistakes: RefCell::new(mistakes) }
    }

    /// The whole document.
    #[must_use]
    pub fn root(&self) -> Section<'_> {
        Section {
            reader: self,
            path: String::new(),
            fields: self.document.root().as_object(),
            seen: BTreeSet::new(),
            all_read: false,
        }
    }

    /// The file that is read.
    #[must_use]
    pub fn file(&self) -> &'d Path {
        self.document.file()
    }

    /// Notes a mistake at `path`.
    pub fn mistake(&self, path: &str, message: impl Into<String>) {
        self.mistakes.borrow_mut().push(self.document.mistake(path, message));
    }

    /// The mistakes found.
    #[must_use]
    pub fn finish(self) -> Vec<Mistake> {
        self.mistakes.into_inner()
    }
}

/// One table. Call [`Section::finish`] when every field that exists has been read.
pub struct Section<'r> {
    reader: &'r Reader<'r>,
    path: String,
    /// `None` where the table is absent or is not a table.
    fields: Option<&'r Map<String, Value>>,
    seen: BTreeSet<&'static str>,
    /// Whether the fields not in `seen` were read as well, all at once.
    all_read: bool,
}

impl<'r> Section<'r> {
    /// The path of the table, empty for the document.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path of a field; of the table itself where `name` is empty.
    #[must_use]
    pub fn path_of(&self, name: &str) -> String {
        if name.is_empty() { self.path.clone() } else { join(&self.path, name) }
    }

    /// Whether the table is there.
    #[must_use]
    pub fn present(&self) -> bool {
        self.fields.is_some()
    }

    /// Whether the field is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.fields.is_some_and(|fields| fields.contains_key(name))
    }

    /// The field as it stands, without counting it as read.
    pub(super) fn field(&self, name: &str) -> Option<&'r Value> {
        self.fields.and_then(|fields| fields.get(name))
    }

    /// Notes a mistake about the field `name`.
    pub fn mistake(&self, name: &str, message: impl Into<String>) {
        self.reader.mistake(&self.path_of(name), message);
    }

    /// The field as it stands.
    pub fn value(&mut self, name: &'static str) -> Option<&'r Value> {
        self.seen.insert(name);
        self.field(name)
    }

    /// Notes a mistake where the field is absent. `example` is what could stand there.
    pub fn require(&mut self, name: &'static str, example: &str) {
        if self.value(name).is_none() {
            self.mistake(name, format!("missing: write for example `{name} = {example}`"));
        }
    }

    /// A text that is not empty.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        match self.value(name)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
            Value::String(_) => self.wrong(name, "must not be empty: write a text or leave the field out"),
            other => self.wrong(name, format!("must be a text in quotes, not {}", describe(other))),
        }
    }

    /// A text that must be there.
    pub fn required_text(&mut self, name: &'static str, example: &str) -> String {
        self.require(name, example);
        self.text(name).unwrap_or_default()
    }

    /// A list of texts, none of them empty.
    pub fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let Value::Array(items) = self.value(name)? else {
            let value = self.value(name)?;
            return self.wrong(name, format!("must be a list of texts, not {}", describe(value)));
        };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::String(text) if !text.is_empty() => texts.push(text.clone()),
                other => {
                    let path = format!("{}[{index}]", self.path_of(name));
                    self.reader.mistake(&path, format!("must be a text that is not empty, not {}", describe(other)));
                }
            }
        }
        Some(texts)
    }

    /// A whole number within `range`.
    pub fn integer(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.value(name)?;
        let Some(number) = value.as_i64() else {
            return self.wrong(name, format!("must be a whole number {}, not {}", span(&range), describe(value)));
        };
        if !range.contains(&number) {
            return self.wrong(name, format!("must be {}, not {number}", span(&range)));
        }
        Some(number)
    }

    /// A whole number within `range`, or `default` where the field is absent.
    pub fn integer_or(&mut self, name: &'static str, range: RangeInclusive<i64>, default: i64) -> i64 {
        self.integer(name, range).unwrap_or(default)
    }

    /// A whole number of zero or more within `range`, as a size.
    ///
    /// # Panics
    /// If `range` or `default` is negative: both are the program's.
    pub fn count_or(&mut self, name: &'static str, range: RangeInclusive<i64>, default: usize) -> usize {
        let number = self.integer(name, range);
        number.map_or(default, |number| usize::try_from(number).expect("the range of a count is not negative"))
    }

    /// A number within `range`.
    pub fn number(&mut self, name: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let value = self.value(name)?;
        let (low, high) = (range.start(), range.end());
        match value.as_f64() {
            Some(number) if range.contains(&number) => Some(number),
            Some(number) => self.wrong(name, format!("must be between {low} and {high}, not {number}")),
            None => self.wrong(name, format!("must be a number between {low} and {high}, not {}", describe(value))),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let value = self.value(name)?;
        value.as_bool().or_else(|| self.wrong(name, format!("must be true or false, not {}", describe(value))))
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.value(name)?;
        let given = value.as_str().unwrap_or_default();
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == given) {
            return Some(*choice);
        }
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let meant = nearest(given, choices.iter().map(|(word, _)| *word));
        let hint = meant.map_or_else(String::new, |word| format!("; did you mean \"{word}\"?"));
        self.wrong(name, format!("must be one of {}, not {}{hint}", words.join(", "), describe(value)))
    }

    /// The table `name`, which may be absent.
    pub fn section(&mut self, name: &'static str) -> Section<'r> {
        let value = self.value(name);
        self.child(self.path_of(name), value)
    }

    /// The tables `[[name]]`.
    pub fn sections(&mut self, name: &'static str) -> Vec<Section<'r>> {
        match self.value(name) {
            None => Vec::new(),
            Some(Value::Array(items)) => {
                let path = self.path_of(name);
                let items = items.iter().enumerate();
                items.map(|(index, item)| self.child(format!("{path}[{index}]"), Some(item))).collect()
            }
            Some(other) => {
                let message = format!("must be a list of tables, each under `[[{}]]`, not", self.path_of(name));
                self.wrong::<()>(name, format!("{message} {}", describe(other)));
                Vec::new()
            }
        }
    }

    /// The tables under the table `name`, which has names of the user's choice.
    pub fn named_sections(&mut self, name: &'static str) -> Vec<(String, Section<'r>)> {
        let outer = self.section(name);
        let fields = outer.fields.into_iter().flatten();
        fields.map(|(inner, value)| (inner.clone(), outer.child(outer.path_of(inner), Some(value)))).collect()
    }

    /// The fields that nobody asked for; from now on they count as read.
    pub(super) fn take_rest(&mut self) -> Map<String, Value> {
        self.all_read = true;
        let fields = self.fields.into_iter().flatten().filter(|(name, _)| !self.seen.contains(name.as_str()));
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Notes every field that nobody asked for, with the name that was probably meant.
    pub fn finish(self) {
        if self.all_read {
            return;
        }
        let names = self.fields.into_iter().flat_map(Map::keys);
        for name in names.filter(|name| !self.seen.contains(name.as_str())) {
            let hint = match nearest(name, self.seen.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", self.seen.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            self.mistake(name, format!("unknown field; {hint}"));
        }
    }

    fn child(&self, path: String, value: Option<&'r Value>) -> Section<'r> {
        if let Some(other) = value.filter(|value| !value.is_object()) {
            self.reader.mistake(&path, format!("must be a table, not {}", describe(other)));
        }
        Section {
            reader: self.reader,
            path,
            fields: value.and_then(Value::as_object),
            seen: BTreeSet::new(),
            all_read: false,
        }
    }

    fn wrong<T>(&self, name: &str, message: impl Into<String>) -> Option<T> {
        self.mistake(name, message);
        None
    }
}

/// A value as a message shows it: short, with its type.
#[must_use]
pub fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(boolean) => boolean.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.chars().count() > 40 => {
            format!("\"{}…\"", text.chars().take(40).collect::<String>())
        }
        Value::String(text) => format!("\"{text}\""),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}

fn span(range: &RangeInclusive<i64>) -> String {
    match (*range.start(), *range.end()) {
        (low, i64::MAX) => format!("of at least {low}"),
        (i64::MIN, high) => format!("of at most {high}"),
        (low, high) => format!("from {low} to {high}"),
    }
}
