//! Which topics are read, and which partitions they have now.

use crate::kafka::PartitionName;
use crate::kafka::is_topic_name;
use rdkafka::metadata::Metadata;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use regex::Regex;
use std::collections::BTreeSet;

/// Topics by name and by pattern.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    names: BTreeSet<String>,
    patterns: Vec<Regex>,
    /// Which partitions; `None`: all.
    numbers: Option<BTreeSet<i32>>,
}

/// What a look at the cluster found.
pub(super) struct Found {
    pub(super) partitions: BTreeSet<PartitionName>,
    /// Topics that are asked for by name and are not there.
    pub(super) missing: Vec<String>,
    /// Topics that exist and cannot be read, with the reason.
    pub(super) failing: Vec<(String, RDKafkaErrorCode)>,
}

impl Selection {
    /// The error says which setting is wrong.
    pub(super) fn new(topics: &[String]) -> Result<Self, String> {
        if topics.is_empty() {
            return Err("topics: name at least one topic, or a pattern that begins with ^".to_owned());
        }
        let mut selection = Self { names: BTreeSet::new(), patterns: Vec::new(), numbers: None };
        for topic in topics {
            if topic.starts_with('^') {
                let pattern = Regex::new(topic).map_err(|error| format!("topics: the pattern {topic}: {error}"))?;
                selection.patterns.push(pattern);
            } else if is_topic_name(topic) {
                selection.names.insert(topic.clone());
            } else {
                return Err(format!(
                    "topics: \"{topic}\" is no name of a topic (letters, digits, '.', '_', '-'); patterns begin with ^"
                ));
            }
        }
        Ok(selection)
    }

    /// Of each topic these partitions alone.
    pub(super) fn only(mut self, numbers: Option<BTreeSet<i32>>) -> Self {
        self.numbers = numbers;
        self
    }

    /// Whether every topic is named: only then can the cluster be asked for less than all of its topics.
    pub(super) fn only_names(&self) -> Option<&BTreeSet<String>> {
        self.patterns.is_empty().then_some(&self.names)
    }

    /// Internal topics are read only if they are named.
    fn wants(&self, topic: &str) -> bool {
        let matched = || self.patterns.iter().any(|pattern| pattern.is_match(topic));
        self.names.contains(topic) || (!topic.starts_with("__") && matched())
    }

    /// What is there of them.
    pub(super) fn find(&self, metadata: &[Metadata]) -> Found {
        let mut found = Found { partitions: BTreeSet::new(), missing: Vec::new(), failing: Vec::new() };
        let mut seen = BTreeSet::new();
        let topics = metadata.iter().flat_map(Metadata::topics).filter(|topic| self.wants(topic.name()));
        for topic in topics {
            match topic.error().map(code) {
                None => {
                    seen.insert(topic.name());
                    let ids = topic.partitions().iter().map(|partition| partition.id());
                    let ids = ids.filter(|id| self.numbers.as_ref().is_none_or(|numbers| numbers.contains(id)));
                    found.partitions.extend(ids.map(|id| PartitionName::new(topic.name(), id)));
                }
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {}
                Some(code) => {
                    seen.insert(topic.name());
                    found.failing.push((topic.name().to_owned(), code));
                }
            }
        }
        found.missing = self.names.iter().filter(|name| !seen.contains(name.as_str())).cloned().collect();
        found
    }
}

fn code(error: RDKafkaRespErr) -> RDKafkaErrorCode {
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(topics: &[&str]) -> Result<Selection, String> {
        Selection::new(&topics.iter().map(|&topic| topic.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn names_and_patterns_select() {
        let selection = selection(&["orders", "__internal", "^events\\.(eu|us)$", "^_"]).unwrap();
        for (topic, wanted) in [
            ("orders", true),
            ("orders2", false),
            ("events.eu", true),
            ("events.asia", false),
            ("__internal", true),
            ("__consumer_offsets", false),
            ("_mine", true),
        ] {
            assert_eq!(selection.wants(topic), wanted, "{topic}");
        }
    }

    #[test]
    fn what_is_no_topic_is_refused() {
        for topics in [&[][..], &["a/b"], &[""], &["^("], &["..", "a"]] {
            assert!(selection(topics).is_err(), "{topics:?}");
        }
    }
}
