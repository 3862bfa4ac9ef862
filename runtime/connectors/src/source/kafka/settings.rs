//! What a configuration says about reading from Kafka.

use super::topics::Selection;
use crate::kafka::{Owned, Properties};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Events from topics of one Kafka cluster.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSourceSettings {
    /// Brokers to begin with, `host:port` each: any of the cluster will do.
    pub brokers: Vec<String>,
    /// Topics: names, or regular expressions that begin with `^`.
    pub topics: Vec<String>,
    /// Consumer group. The job keeps its positions itself and does not need one: a group can say where to begin, and is
    /// told how far the job is, for tools that show lag.
    pub group: Option<String>,
    /// Where to begin to read a partition of which the job has no position.
    pub start: Start,
    /// When to end; absent: never.
    pub until: Option<Until>,
    /// How often to look for new partitions, and for new topics of a pattern.
    pub discover_ms: u64,
    /// Records fetched ahead, in MiB, all partitions together. Each partition may have 1 MiB, however many there are.
    pub fetch_mib: u64,
    /// Properties of librdkafka.
    pub properties: Properties,
    /// Whether the topics have cleansed events, as a job of cleansing writes them: with headers for what lookup tables
    /// added, and with records that say how far event time has come. Follows from what the job does.
    #[serde(skip)]
    pub cleansed: bool,
    /// Which partitions of the topics are read; `None`: all. Others belong to other readers.
    #[serde(skip)]
    pub partitions: Option<BTreeSet<i32>>,
    /// Who writes the topics, if several do and say how far they are: what they read.
    #[serde(skip)]
    pub written_by: Vec<String>,
    /// Offsets whose records are passed over, by `topic/partition`: of a time that was undone.
    #[serde(skip)]
    pub passed_over: BTreeMap<String, Vec<Range<u64>>>,
}

/// Where to begin. Partitions that are added while the job runs are read from their beginning.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With the oldest record that is still there.
    #[default]
    Earliest,
    /// With records that come after the start.
    Latest,
    /// Where the group's committed offset is; at the oldest record where it has none, or where that is newer.
    Committed,
    /// With the first record of this broker time (milliseconds since 1970) or later; where there is none, at the end.
    TimestampMs(i64),
    /// At these offsets, by `topic/partition`; partitions that are not named, at the oldest record.
    Offsets(BTreeMap<String, u64>),
}

/// When to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// At what is the end of each partition at the start.
    End,
}

/// What librdkafka may not be told by others.
pub(super) const OWNED: [Owned; 10] = [
    ("bootstrap.servers", "set `brokers` instead"),
    ("metadata.broker.list", "set `brokers` instead"),
    ("group.id", "set `group` instead"),
    ("group.instance.id", "partitions are not shared out by the group"),
    ("enable.auto.commit", "positions are committed with the state of the job"),
    ("enable.auto.offset.store", "positions are committed with the state of the job"),
    ("auto.offset.reset", "a position that is gone stops the job; `start` says where new partitions begin"),
    ("enable.partition.eof", "the source needs to know the ends of partitions"),
    ("isolation.level", "records of open and of aborted transactions are never read"),
    ("allow.auto.create.topics", "reading creates no topics"),
];

impl Default for KafkaSourceSettings {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            topics: Vec::new(),
            group: None,
            start: Start::default(),
            until: None,
            discover_ms: 10_000,
            fetch_mib: 64,
            properties: Properties::default(),
            cleansed: false,
            partitions: None,
            written_by: Vec::new(),
            passed_over: BTreeMap::new(),
        }
    }
}

impl KafkaSourceSettings {
    /// Settings that read `topics` of `brokers` from their beginning, for ever.
    #[must_use]
    pub fn new(brokers: &str, topics: &[&str]) -> Self {
        Self {
            brokers: vec![brokers.to_owned()],
            topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
            ..Self::default()
        }
    }

    /// Every mistake, one sentence each, names relative to `[source]`.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.brokers.is_empty() || self.brokers.iter().any(|broker| broker.is_empty() || broker.contains(',')) {
            mistakes.push("brokers: name at least one, each as \"host:port\"".to_owned());
        }
        if let Err(mistake) = Selection::new(&self.topics) {
            mistakes.push(mistake);
        }
        match &self.group {
            Some(group) if group.is_empty() => mistakes.push("group: is empty: name one, or leave it out".to_owned()),
            None if self.start == Start::Committed => {
                mistakes.push("start: \"committed\" needs `group`: whose offsets are meant?".to_owned());
            }
            _ => {}
        }
        if let Start::TimestampMs(time) = self.start
            && time < 0
        {
            mistakes.push(format!("start: timestamp_ms = {time} must not be negative"));
        }
        let mut check = |name: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                mistakes.push(format!("{name} = {value} must be from {least} to {most}"));
            }
        };
        check("discover_ms", self.discover_ms, 100, 3_600_000);
        check("fetch_mib", self.fetch_mib, 1, 16 << 10);
        mistakes.extend(self.properties.mistakes("properties", &OWNED));
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Result<KafkaSourceSettings, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn every_way_to_start_can_be_written() {
        let start = |start: &str| {
            let text = format!(r#"{{"brokers": ["a:9092"], "topics": ["t"], "group": "g", "start": {start}}}"#);
            let settings = settings(&text).unwrap();
            assert_eq!(settings.mistakes(), Vec::<String>::new());
            settings.start
        };
        assert_eq!(start("\"earliest\""), Start::Earliest);
        assert_eq!(start("\"latest\""), Start::Latest);
        assert_eq!(start("\"committed\""), Start::Committed);
        assert_eq!(start(r#"{"timestamp_ms": 5}"#), Start::TimestampMs(5));
        assert_eq!(start(r#"{"offsets": {"t/0": 7}}"#), Start::Offsets([("t/0".to_owned(), 7)].into()));
        assert!(settings(r#"{"brokers": [], "topics": [], "topic": "t"}"#).is_err());
    }

    #[test]
    fn every_mistake_is_reported() {
        let text = r#"{"brokers": ["a,b"], "topics": ["^("], "start": "committed", "until": "end", "discover_ms": 0,
            "properties": {"auto.offset.reset": "latest"}}"#;
        let mistakes = settings(text).unwrap().mistakes();
        assert_eq!(mistakes.len(), 5, "{mistakes:?}");
    }
}
