//! A piece of a job that several nodes run: as a job of its own.

use super::plan::Plan;
use super::undone::Undone;
use crate::config::cluster::{CleanseShare, ClusterSettings};
use crate::config::source::SourceKind;
use crate::config::{Config, Piece};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use tidemark_connectors::object_storage::ObjectStoreSettings;
use tidemark_connectors::sink::kafka::{CreateTopics, Delivery, ExchangeRoute, ExchangeSettings, KafkaSinkSettings};
use tidemark_connectors::source::kafka::{KafkaSourceSettings, Start};
use tidemark_engine::metric::MetricSpec;

/// Least bytes of a piece's cache of state, and of its changes before an epoch comes early.
const LEAST_CACHE: usize = 16 << 20;
const LEAST_DIRTY: usize = 4 << 20;
/// Least bytes of what its database keeps in memory: uncompressed blocks, and what is not in a file yet. A piece can only
/// be given up when all of the latter is.
const LEAST_BLOCKS: usize = 8 << 20;
const LEAST_WRITE_BUFFER: usize = 4 << 20;

/// A piece by its name: a partition of one of the topics that work is shared out by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct PieceId {
    pub(super) topic: String,
    pub(super) partition: i32,
}

impl fmt::Display for PieceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

impl PieceId {
    /// As part of names of folders, objects and transactions.
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.topic, self.partition)
    }

    /// By that name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (topic, partition) = name.rsplit_once('.')?;
        let id = Self { topic: topic.to_owned(), partition: partition.parse().ok()? };
        (id.name() == name).then_some(id)
    }
}

/// Everything that pieces are made of.
pub(super) struct Pieces {
    pub(super) config: Config,
    pub(super) cluster: ClusterSettings,
    pub(super) source: KafkaSourceSettings,
    pub(super) plan: Plan,
    pub(super) metrics: Vec<MetricSpec>,
    /// How many partitions each topic has that work is shared out by.
    pub(super) partitions: BTreeMap<String, u32>,
}

impl Pieces {
    /// The piece as a job, behind what was undone: its configuration, and the metrics that it runs. `None` where there is no
    /// such piece.
    pub(super) fn job(&self, id: &PieceId, undone: &Undone) -> Option<(Config, Vec<MetricSpec>)> {
        let mut config = place(&self.config, id, self.partitions.values().sum());
        let taken_back = undone.times;
        let exchange = self.plan.exchanges.iter().find(|exchange| exchange.topic == id.topic);
        let Some(exchange) = exchange else {
            self.plan.cleanse.iter().find(|topic| **topic == id.topic)?;
            config.job.metrics = false;
            config.source.kind = SourceKind::Kafka(Box::new(match self.cluster.cleanse {
                CleanseShare::Whole => self.source.clone(),
                CleanseShare::Partitions => KafkaSourceSettings {
                    topics: vec![id.topic.clone()],
                    partitions: Some(BTreeSet::from([id.partition])),
                    ..self.source.clone()
                },
            }));
            config.sinks.kafka = without(config.sinks.kafka, |kafka| kafka.metrics = None);
            config.piece = Some(Piece { exchange: self.exchange(id, self.plan.routes_of_events()), taken_back });
            return Some((config, Vec::new()));
        };
        config.job.cleanse = false;
        config.cleanse.rows = true;
        config.archive.enabled = false;
        config.source.kind = SourceKind::Kafka(Box::new(KafkaSourceSettings {
            topics: vec![exchange.topic.clone()],
            partitions: Some(BTreeSet::from([id.partition])),
            written_by: exchange.written_by.clone(),
            passed_over: BTreeMap::from([(id.to_string(), undone.records_of(&id.to_string()))]),
            // What is in the exchange was never anybody else's.
            group: None,
            start: Start::Earliest,
            ..self.source.clone()
        }));
        config.sinks.kafka = without(config.sinks.kafka, |kafka| kafka.events = None);
        let own: Vec<&MetricSpec> =
            self.metrics.iter().filter(|metric| exchange.metrics.contains(&metric.name)).collect();
        config.piece = Some(Piece { exchange: self.exchange(id, self.plan.routes_of_rows(&own)), taken_back });
        Some((config, own.into_iter().cloned().collect()))
    }

    /// What the piece writes for others.
    fn exchange(&self, id: &PieceId, routes: Vec<ExchangeRoute>) -> Option<KafkaSinkSettings> {
        if routes.is_empty() {
            return None;
        }
        let sink = self.config.sinks.kafka.as_ref();
        let exchange = ExchangeSettings {
            family: id.topic.clone(),
            writer: id.partition.unsigned_abs(),
            writers: self.partitions.get(&id.topic).copied().unwrap_or(1),
            key_groups: self.config.job.key_groups,
            partitions: self.cluster.partitions,
            routes,
        };
        Some(KafkaSinkSettings {
            brokers: self.source.brokers.clone(),
            delivery: Delivery::ExactlyOnce,
            create_topics: Some(self.create_topics()),
            properties: self.source.properties.clone(),
            exchange: Some(exchange),
            transaction_timeout_ms: sink.map_or(default_timeout(), |sink| sink.transaction_timeout_ms),
            ..KafkaSinkSettings::default()
        })
    }

    /// How topics of the exchange are made.
    pub(super) fn create_topics(&self) -> CreateTopics {
        CreateTopics {
            partitions: self.cluster.partitions.into(),
            replication: self.cluster.replication.unwrap_or(-1),
            retention_ms: Some(self.cluster.retention_ms),
            exact: true,
        }
    }
}

/// The configuration with places of the piece's own, and its share of memory among so many `pieces`.
pub(super) fn place(config: &Config, id: &PieceId, pieces: u32) -> Config {
    let mut config = config.clone();
    let (name, pieces) = (id.name(), pieces.max(1) as usize);
    config.cluster = None;
    config.data.modules = Some(config.data.modules());
    config.data.dir = config.data.dir.join("pieces").join(&name);
    config.checkpoint.dir = config.checkpoint.dir.map(|dir| dir.join("pieces").join(&name));
    config.checkpoint.store = config.checkpoint.store.map(|store| below(store, &format!("pieces/{name}")));
    config.sinks.store = config.sinks.store.map(|store| below(store, &format!("pieces/{name}")));
    // Transactions are of the piece: whoever owns it next ends those of whoever owned it before.
    config.job.name = format!("{}.{name}", config.job.name);
    config.job.workers = 1;
    config.source.read.decoders = config.source.read.decoders.min(1);
    let share = |bytes: usize, least: usize| (bytes / pieces).max(least.min(bytes));
    config.state.cache_bytes = share(config.state.cache_bytes, LEAST_CACHE);
    config.state.block_cache_bytes = share(config.state.block_cache_bytes, LEAST_BLOCKS);
    config.state.write_buffer_bytes = share(config.state.write_buffer_bytes, LEAST_WRITE_BUFFER);
    config.epoch.dirty_bytes = share(config.epoch.dirty_bytes, LEAST_DIRTY);
    config.http.listen = None;
    config.lineage = None;
    config
}

/// A sink without what the piece does not write; `None` where nothing is left.
fn without(sink: Option<KafkaSinkSettings>, take: impl Fn(&mut KafkaSinkSettings)) -> Option<KafkaSinkSettings> {
    let mut sink = sink?;
    take(&mut sink);
    (sink.events.is_some() || sink.metrics.is_some() || sink.dead_letters.is_some()).then_some(sink)
}

fn default_timeout() -> u32 {
    KafkaSinkSettings::default().transaction_timeout_ms
}

/// A place below `store`.
fn below(store: ObjectStoreSettings, path: &str) -> ObjectStoreSettings {
    ObjectStoreSettings { url: format!("{}/{path}", store.url.trim_end_matches('/')), ..store }
}
