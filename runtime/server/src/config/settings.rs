//! Tables that another crate defines: read through serde, with every mistake and not just the first.
//!
//! Serde stops at the first mistake. So the mistake is noted, the field that it is about is taken out of a copy of the
//! table, and reading starts again, until the rest is sound.

use super::document::join;
use super::section::{Section, describe};
use super::suggest::nearest;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;
use std::collections::HashMap;

/// Mistakes of one table after which reading gives up.
const MAX_MISTAKES: usize = 100;

impl Section<'_> {
    /// Every field that was not read yet, as settings of type `T`. Where that is wrong, every mistake is noted, and
    /// what is left without them is handed back.
    pub fn rest<T: DeserializeOwned + Default>(&mut self) -> T {
        let mut rest = Pruned { value: Value::Object(self.take_rest()), origins: HashMap::new() };
        for _ in 0..MAX_MISTAKES {
            let error = match serde_path_to_error::deserialize::<_, T>(&rest.value) {
                Ok(settings) => return settings,
                Err(error) => error,
            };
            let segments: Vec<Segment> = error.path().iter().cloned().collect();
            self.mistake(&rest.path(&segments), explain(&error.inner().to_string(), rest.find(&segments)));
            if !rest.remove(&segments) {
                break;
            }
        }
        T::default()
    }

    /// Notes mistakes that settings found in themselves: sentences that begin with a path from this table or from the
    /// root, `cache_bytes is …` or ``cleanse.table `name`: …``.
    pub fn mistakes(&self, sentences: impl IntoIterator<Item = String>) {
        for sentence in sentences {
            let (subject, words) = sentence.split_at(sentence.find([' ', ':', '=']).unwrap_or(0));
            let field = subject.strip_prefix(self.path()).map_or(subject, |rest| rest.trim_start_matches('.'));
            let words = words.trim_start_matches([':', ' ']);
            if !subject.is_empty() && field.is_empty() {
                self.mistake("", words);
            } else if self.has(field.split(['.', '[']).next().unwrap_or_default()) {
                self.mistake(&self.item_place(field, words), words);
            } else {
                self.mistake("", sentence);
            }
        }
    }

    /// The path of the item of the list `field` that `words` begin by naming in backticks; else `field` itself.
    fn item_place(&self, field: &str, words: &str) -> String {
        let named = words.trim_start().strip_prefix('`').and_then(|rest| rest.split('`').next());
        let items = self.field(field).and_then(Value::as_array);
        let is_named = |item: &Value| named.is_some_and(|name| item["name"] == name || item["type"] == name);
        match items.and_then(|items| items.iter().position(is_named)) {
            Some(index) => format!("{field}[{index}]"),
            None => field.to_owned(),
        }
    }
}

/// Serde's words in ours.
fn explain(message: &str, given: Option<&Value>) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.as_slice() {
        [name, known @ ..] if message.starts_with("unknown field") => {
            format!("unknown field; {}", meant(name, known))
        }
        [name, known @ ..] if message.starts_with("unknown variant") => {
            format!("\"{name}\" is not one of the words for it; {}", meant(name, known))
        }
        [name] if message.starts_with("missing field") => format!("`{name}` is missing: write it"),
        _ => match message.split_once("expected ") {
            Some((_, expected)) if message.starts_with("invalid") => {
                format!("must be {}, not {}", of_toml(expected), given.map_or_else(String::new, describe))
            }
            _ => message.to_owned(),
        },
    }
}

fn meant(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// Rust's names of types as the writer of a configuration knows them.
fn of_toml(expected: &str) -> &str {
    match expected {
        "a string" => "a text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        "usize" | "u8" | "u16" | "u32" | "u64" => "a whole number of zero or more",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

/// A table from which wrong values are taken out.
struct Pruned {
    value: Value,
    /// For a list that lost items, by its path: where each of the others stood.
    origins: HashMap<String, Vec<usize>>,
}

impl Pruned {
    /// The path in the document as it was written.
    fn path(&self, segments: &[Segment]) -> String {
        segments.iter().fold(String::new(), |path, segment| match segment {
            Segment::Seq { index } => {
                let origin = self.origins.get(&path).and_then(|origins| origins.get(*index)).unwrap_or(index);
                format!("{path}[{origin}]")
            }
            Segment::Map { key } => join(&path, key),
            Segment::Enum { .. } | Segment::Unknown => path,
        })
    }

    fn find(&self, segments: &[Segment]) -> Option<&Value> {
        segments.iter().try_fold(&self.value, |value, segment| match segment {
            Segment::Seq { index } => value.get(index),
            Segment::Map { key } => value.get(key),
            Segment::Enum { .. } | Segment::Unknown => Some(value),
        })
    }

    /// Takes out the value at the end of `segments`, or the nearest one around it. False where nothing is left.
    fn remove(&mut self, segments: &[Segment]) -> bool {
        let Some((last, parents)) = segments.split_last() else { return false };
        let path = self.path(parents);
        let parent = parents.iter().try_fold(&mut self.value, |value, segment| match segment {
            Segment::Seq { index } => value.get_mut(index),
            Segment::Map { key } => value.get_mut(key),
            Segment::Enum { .. } | Segment::Unknown => Some(value),
        });
        let removed = match (parent, last) {
            (Some(Value::Object(fields)), Segment::Map { key }) => fields.shift_remove(key).is_some(),
            (Some(Value::Array(items)), Segment::Seq { index }) if *index < items.len() => {
                self.origins.entry(path).or_insert_with(|| (0..items.len()).collect()).remove(*index);
                items.remove(*index);
                true
            }
            _ => false,
        };
        removed || self.remove(parents)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::document::Document;
    use crate::config::section::Reader;
    use serde::Deserialize;
    use std::path::Path;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        size: u32,
        items: Vec<Item>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        name: String,
        #[serde(default)]
        flag: bool,
    }

    fn read(text: &str) -> (Settings, Vec<String>) {
        let (document, mistakes) = Document::parse(Path::new("t"), text);
        let reader = Reader::new(&document, mistakes);
        let settings = reader.root().rest();
        let mut lines: Vec<String> = reader.finish().iter().map(ToString::to_string).collect();
        lines.sort();
        (settings, lines)
    }

    #[test]
    fn sound_settings_are_read() {
        let (settings, mistakes) = read("size = 3\nitems = [{ name = 'a' }]\n");
        assert_eq!(settings, Settings { size: 3, items: vec![Item { name: "a".to_owned(), flag: false }] });
        assert!(mistakes.is_empty());
    }

    #[test]
    fn every_mistake_is_found_where_it_stands() {
        let text =
            "size = -1\nsiez = 1\n[[items]]\nflag = true\n[[items]]\nname = 'b'\nflag = 1\n[[items]]\nnaem = 'c'\n";
        let (settings, mistakes) = read(text);
        assert_eq!(settings, Settings { size: 0, items: vec![Item { name: "b".to_owned(), flag: false }] });
        assert_eq!(
            mistakes,
            [
                "t:1:1: size: must be a whole number of zero or more, not -1",
                "t:2:1: siez: unknown field; did you mean `size`?",
                "t:3:1: items[0]: `name` is missing: write it",
                "t:7:1: items[1].flag: must be true or false, not 1",
                "t:8:1: items[2]: `name` is missing: write it",
                "t:9:1: items[2].naem: unknown field; did you mean `name`?",
            ]
        );
    }
}
