//! What a configuration says about writing to Kafka: plain data, checked whole.

use super::exchange::ExchangeSettings;
use crate::kafka::{Owned, Properties};
use serde::Deserialize;
use std::collections::BTreeSet;
use tidemark_engine::output::TableKind;

/// Where rows go in one Kafka cluster.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSinkSettings {
    /// Brokers to begin with, `host:port` each: any of the cluster will do.
    pub brokers: Vec<String>,
    /// Cleansed events; absent: they do not go to Kafka.
    pub events: Option<EventsSettings>,
    /// Rows of metrics; absent: they do not go to Kafka.
    pub metrics: Option<MetricsSettings>,
    /// Dead letters; absent: they do not go to Kafka.
    pub dead_letters: Option<DeadLettersSettings>,
    /// How often a row may arrive.
    pub delivery: Delivery,
    /// How topics are made that are not there; absent: they must be there.
    pub create_topics: Option<CreateTopics>,
    /// How long publishing one epoch may take before the brokers take its transaction back.
    pub transaction_timeout_ms: u32,
    /// How long it may take until a process that died runs again. Its transaction must not have run out by then.
    pub restart_ms: u32,
    /// Properties of librdkafka.
    pub properties: Properties,
    /// What goes to other nodes of the same job.
    #[serde(skip)]
    pub exchange: Option<ExchangeSettings>,
}

/// Cleansed events: each as it came, as the value.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsSettings {
    /// Their topic.
    pub topic: String,
    /// Path in the event whose text is the key, `data.stream_id`; absent: they have no key. Events of one key come to
    /// one partition, in their order.
    #[serde(default)]
    pub key: Option<String>,
    /// Whether every partition is told, with each epoch, how far event time has come: what a job of metrics alone needs.
    /// Other readers see records without a value.
    #[serde(default = "yes")]
    pub watermarks: bool,
}

/// Rows of metrics: JSON, keyed by the metric's key.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsSettings {
    /// Their topic. `{metric}` in it stands for the metric's name: then each has a topic of its own.
    pub topic: String,
    /// Names of metrics; empty for all of them.
    #[serde(default)]
    pub names: BTreeSet<String>,
    /// Metrics that the job starts with, of those: their topics are looked for before the first row. Others may come.
    #[serde(skip)]
    pub expected: BTreeSet<String>,
}

impl MetricsSettings {
    fn takes(&self, metric: &str) -> bool {
        self.names.is_empty() || self.names.contains(metric)
    }
}

/// Dead letters: the record as it came, with what happened in the headers.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLettersSettings {
    /// Their topic.
    pub topic: String,
}

/// How often a row may arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Once, for consumers with `isolation.level = read_committed`: an epoch is one transaction.
    #[default]
    ExactlyOnce,
    /// At least once: an epoch during whose publication the process died is published again. Without transactions.
    AtLeastOnce,
}

/// How topics are made.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTopics {
    /// Partitions.
    pub partitions: i32,
    /// Replicas of each.
    pub replication: i32,
    /// How long records are kept; absent: as long as the brokers keep them by default.
    #[serde(default)]
    pub retention_ms: Option<i64>,
    /// Whether topics that are there must have this many partitions.
    #[serde(skip)]
    pub exact: bool,
}

/// What stands for the name of a metric.
const METRIC: &str = "{metric}";

/// What librdkafka may not be told by others.
pub(super) const OWNED: [Owned; 9] = [
    ("bootstrap.servers", "set `brokers` instead"),
    ("metadata.broker.list", "set `brokers` instead"),
    ("group.id", "the sink uses a group of its own to remember what is published"),
    ("transactional.id", "it follows from the job and the sink: who shares one takes the other's place"),
    ("transaction.timeout.ms", "set `transaction_timeout_ms` instead"),
    ("enable.idempotence", "without it a record can be written twice or lost"),
    ("acks", "every record must be acknowledged by all replicas in sync"),
    ("request.required.acks", "every record must be acknowledged by all replicas in sync"),
    ("allow.auto.create.topics", "set `create_topics` instead"),
];

const fn yes() -> bool {
    true
}

impl Default for KafkaSinkSettings {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            events: None,
            metrics: None,
            dead_letters: None,
            delivery: Delivery::default(),
            create_topics: None,
            transaction_timeout_ms: 120_000,
            restart_ms: 60_000,
            properties: Properties::default(),
            exchange: None,
        }
    }
}

impl KafkaSinkSettings {
    /// Settings that write nothing yet.
    #[must_use]
    pub fn new(brokers: &str) -> Self {
        Self { brokers: vec![brokers.to_owned()], ..Self::default() }
    }

    /// Whether the transaction of a process that dies, with epochs this long, may run out before the next process ends
    /// it. The error says what to do.
    ///
    /// # Errors
    /// It may.
    pub fn check_timeout(&self, epoch_ms: u64) -> Result<(), String> {
        let least = epoch_ms.saturating_add(self.restart_ms.into());
        if self.delivery == Delivery::AtLeastOnce || u64::from(self.transaction_timeout_ms) > least {
            return Ok(());
        }
        Err(format!(
            "transaction_timeout_ms = {} must be more than an epoch and a restart take together, {epoch_ms} + {} ms: \
             raise it, or lower epoch.interval_ms or restart_ms",
            self.transaction_timeout_ms, self.restart_ms
        ))
    }

    /// The topic for rows of a table; `None`: they do not go to Kafka.
    pub(super) fn topic_of(&self, kind: &TableKind) -> Option<String> {
        match kind {
            TableKind::Events => self.events.as_ref().map(|events| events.topic.clone()),
            TableKind::DeadLetters => self.dead_letters.as_ref().map(|dead| dead.topic.clone()),
            TableKind::Metric(name) => {
                let metrics = self.metrics.as_ref()?;
                metrics.takes(name).then(|| metrics.topic.replace(METRIC, name))
            }
        }
    }

    /// The topics that are known from the start.
    pub(super) fn fixed_topics(&self) -> BTreeSet<String> {
        let mut topics = BTreeSet::new();
        topics.extend(self.events.as_ref().map(|events| events.topic.clone()));
        topics.extend(self.dead_letters.as_ref().map(|dead| dead.topic.clone()));
        let routes = self.exchange.iter().flat_map(|exchange| &exchange.routes);
        topics.extend(routes.map(|route| route.topic.clone()));
        if let Some(metrics) = &self.metrics {
            if !metrics.topic.contains(METRIC) {
                topics.insert(metrics.topic.clone());
            }
            let expected = metrics.expected.iter().filter(|name| metrics.takes(name));
            topics.extend(metrics.names.iter().chain(expected).map(|name| metrics.topic.replace(METRIC, name)));
        }
        topics
    }

    /// Every mistake, one sentence each, names relative to `[sink.kafka]`.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.brokers.is_empty() || self.brokers.iter().any(|broker| broker.is_empty() || broker.contains(',')) {
            mistakes.push("brokers: name at least one, each as \"host:port\"".to_owned());
        }
        let is_silent = self.events.is_none() && self.metrics.is_none() && self.dead_letters.is_none();
        if is_silent && self.exchange.is_none() {
            mistakes.push("nothing is written: give `events`, `metrics` or `dead_letters` a topic".to_owned());
        }
        let metrics = self.metrics.as_ref().map(|metrics| metrics.topic.replace(METRIC, "x"));
        let topics = [
            ("events", self.events.as_ref().map(|events| events.topic.clone())),
            ("metrics", metrics),
            ("dead_letters", self.dead_letters.as_ref().map(|dead| dead.topic.clone())),
        ];
        for (section, topic) in topics {
            let mistake = topic.and_then(|topic| bad_topic(&topic));
            mistakes.extend(mistake.map(|mistake| format!("{section}.topic: {mistake}")));
        }
        if self.events.as_ref().is_some_and(|events| events.key.as_deref() == Some("")) {
            mistakes.push("events.key: is empty: write a path such as \"data.stream_id\", or leave it out".to_owned());
        }
        if !(1_000..=86_400_000).contains(&self.transaction_timeout_ms) {
            let timeout = self.transaction_timeout_ms;
            mistakes.push(format!("transaction_timeout_ms = {timeout} must be from 1000 to 86400000"));
        }
        if self.restart_ms > 86_400_000 {
            mistakes.push(format!("restart_ms = {} must be at most 86400000", self.restart_ms));
        }
        if let Some(create) = &self.create_topics {
            if !(1..=10_000).contains(&create.partitions) {
                mistakes.push(format!("create_topics.partitions = {} must be from 1 to 10000", create.partitions));
            }
            // -1: as the brokers make topics by default.
            if !(1..=100).contains(&create.replication) && create.replication != -1 {
                mistakes
                    .push(format!("create_topics.replication = {} must be from 1 to 100, or -1", create.replication));
            }
        }
        mistakes.extend(self.properties.mistakes("properties", &OWNED));
        mistakes
    }
}

/// What is wrong with the name of a topic.
pub(super) fn bad_topic(topic: &str) -> Option<String> {
    let is_name = crate::kafka::is_topic_name(topic);
    (!is_name).then(|| format!("\"{topic}\" is no name of a topic: use letters, digits, '.', '_' and '-', 249 at most"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_find_their_topics() {
        let text = r#"{"brokers": ["a:1"], "metrics": {"topic": "rows.{metric}", "names": ["a", "b"]},
            "dead_letters": {"topic": "dead"}, "delivery": "at-least-once"}"#;
        let settings: KafkaSinkSettings = serde_json::from_str(text).unwrap();
        assert_eq!(settings.mistakes(), Vec::<String>::new());
        assert_eq!(settings.topic_of(&TableKind::Events), None);
        assert_eq!(settings.topic_of(&TableKind::Metric("a".to_owned())).as_deref(), Some("rows.a"));
        assert_eq!(settings.topic_of(&TableKind::Metric("c".to_owned())), None);
        assert_eq!(settings.fixed_topics(), ["dead", "rows.a", "rows.b"].map(str::to_owned).into());
    }

    #[test]
    fn every_mistake_is_reported() {
        let text = r#"{"brokers": [], "dead_letters": {"topic": "a b"}, "transaction_timeout_ms": 1,
            "create_topics": {"partitions": 0, "replication": 0}, "properties": {"acks": 1, "transactional.id_env": "A"}}"#;
        let mistakes = serde_json::from_str::<KafkaSinkSettings>(text).unwrap().mistakes();
        assert_eq!(mistakes.len(), 7, "{mistakes:?}");
        assert_eq!(KafkaSinkSettings::new("a:1").mistakes().len(), 1);
        assert_eq!(KafkaSinkSettings::default().mistakes().len(), 2);
    }

    #[test]
    fn a_transaction_lasts_longer_than_an_epoch_and_a_restart() {
        let mut settings = KafkaSinkSettings::default();
        assert_eq!(settings.check_timeout(59_999), Ok(()));
        let message = settings.check_timeout(60_000).unwrap_err();
        assert!(message.contains("60000 + 60000 ms"), "{message}");
        settings.delivery = Delivery::AtLeastOnce;
        assert_eq!(settings.check_timeout(60_000), Ok(()));
    }
}
