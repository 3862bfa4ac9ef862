//! The source's client: how it is configured, and what it asks the cluster.

use super::queue::Consumer;
use super::settings::KafkaSourceSettings;
use super::topics::{Found, Selection};
use crate::kafka::PartitionName;
use crate::kafka::{Connection, Context, advice, code_of};
use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemark_engine::ports::PortError;

/// How long one question to the cluster may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long the first one may take, with connecting.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Least bytes fetched ahead per partition, in KiB.
const LEAST_FETCH_KIB: u64 = 1024;

/// A client and its state.
pub(super) struct Client {
    pub(super) consumer: Arc<Consumer>,
    pub(super) connection: Arc<Connection>,
    selection: Selection,
    config: ClientConfig,
    /// Whether the topics have cleansed events.
    pub(super) cleansed: bool,
}

impl Client {
    /// For about so many partitions, of these settings, which have no mistakes. Connecting goes on behind this.
    pub(super) fn new(settings: &KafkaSourceSettings, partitions: usize) -> Result<Self, PortError> {
        let selection = Selection::new(&settings.topics).map_err(PortError::Stop)?.only(settings.partitions.clone());
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", settings.brokers.join(","));
        // Defaults that a property may change. The broker's answers are as large as fast reading needs; a full queue is
        // looked at again soon, not after a second; the end of a partition is told without half a second's wait; and a
        // broker that comes back is found within two seconds, not ten.
        for (name, value) in [
            ("client.id", "tidemark"),
            ("fetch.message.max.bytes", "4194304"),
            ("fetch.queue.backoff.ms", "2"),
            ("fetch.wait.max.ms", "100"),
            ("queued.min.messages", "1000000"),
            ("reconnect.backoff.max.ms", "2000"),
            ("topic.metadata.refresh.interval.ms", "30000"),
        ] {
            config.set(name, value);
        }
        // The limit holds for each partition, since each has a queue of its own.
        let per_partition = settings.fetch_mib * 1024 / (partitions.max(1) as u64);
        config.set("queued.max.messages.kbytes", per_partition.max(LEAST_FETCH_KIB).to_string());
        let secrets = settings.properties.apply(&mut config).map_err(stop)?;
        // And what nobody else may set: see `settings::OWNED`.
        for (name, value) in [
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("enable.partition.eof", "true"),
            ("isolation.level", "read_committed"),
            ("allow.auto.create.topics", "false"),
        ] {
            config.set(name, value);
        }
        // Without a group librdkafka assigns nothing. Nothing is ever committed for this one.
        config.set("group.id", settings.group.as_deref().unwrap_or("tidemark"));
        let connection = Connection::new("source", secrets);
        let consumer = Arc::new(create(&config, &connection)?);
        Ok(Self { consumer, connection, selection, config, cleansed: settings.cleansed })
    }

    /// A client that sees what is behind open transactions as well. Never read with.
    pub(super) fn beyond_transactions(&self) -> Result<Consumer, PortError> {
        create(self.config.clone().set("isolation.level", "read_uncommitted"), &self.connection)
    }

    /// What the cluster has, asked for the first time: waits for a broker.
    pub(super) fn first_look(&self) -> Result<Found, PortError> {
        let deadline = Instant::now() + FIRST_ANSWER_WITHIN;
        loop {
            self.serve(Duration::ZERO);
            if let Some(error) = self.connection.hopeless() {
                return Err(error);
            }
            match self.look(Duration::from_secs(1)) {
                Err(PortError::Retry(_)) if Instant::now() < deadline => {}
                found => return found,
            }
        }
    }

    /// What the cluster has now.
    pub(super) fn look_again(&self) -> Result<Found, PortError> {
        self.look(ANSWER_WITHIN)
    }

    fn look(&self, patience: Duration) -> Result<Found, PortError> {
        let fetch = |topic: Option<&str>| self.consumer.fetch_metadata(topic, patience);
        let metadata = match self.selection.only_names() {
            Some(names) => names.iter().map(|name| fetch(Some(name))).collect::<Result<Vec<_>, _>>(),
            None => fetch(None).map(|metadata| vec![metadata]),
        };
        let metadata = metadata.map_err(|error| self.error("look for topics", &error))?;
        self.connection.up();
        let found = self.selection.find(&metadata);
        match found.failing.first() {
            Some((topic, code)) if !advice(*code).is_empty() => {
                Err(stop(format!("Kafka source: topic {topic} cannot be read: {code}; {}", advice(*code))))
            }
            Some((topic, code)) => Err(PortError::Retry(format!("Kafka source: topic {topic} has no leader: {code}"))),
            None => Ok(found),
        }
    }

    /// The oldest offset of a partition, and the one behind its newest committed record.
    pub(super) fn bounds(&self, name: &PartitionName) -> Result<(u64, u64), PortError> {
        self.bounds_by(&self.consumer, name)
    }

    /// The same as `consumer` sees it.
    pub(super) fn bounds_by(&self, consumer: &Consumer, name: &PartitionName) -> Result<(u64, u64), PortError> {
        let bounds = consumer.fetch_watermarks(&name.topic, name.number, ANSWER_WITHIN);
        let (low, high) = bounds.map_err(|error| {
            let action = format!("ask for the ends of partition {name}");
            match (code_of(&error), self.error(&action, &error)) {
                // It is there, we have just seen it; its leader may not know that yet.
                (
                    Some(Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::UnknownTopic),
                    PortError::Stop(message),
                ) => PortError::Retry(message),
                (_, error) => error,
            }
        })?;
        Ok((u64::try_from(low).unwrap_or(0), u64::try_from(high).unwrap_or(0)))
    }

    /// The group's committed offsets; partitions without one are left out.
    pub(super) fn committed(&self, names: &[PartitionName]) -> Result<BTreeMap<PartitionName, u64>, PortError> {
        let mut list = TopicPartitionList::with_capacity(names.len());
        for name in names {
            list.add_partition(&name.topic, name.number);
        }
        let answer = self.consumer.committed_offsets(list, ANSWER_WITHIN);
        let answer = answer.map_err(|error| self.error("ask for the group's committed offsets", &error))?;
        self.offsets(&answer, "ask for the group's committed offsets")
    }

    /// The first offsets of a broker time or later; partitions without one are left out.
    pub(super) fn at_time(
        &self,
        names: &[PartitionName],
        time_ms: i64,
    ) -> Result<BTreeMap<PartitionName, u64>, PortError> {
        let mut list = TopicPartitionList::with_capacity(names.len());
        for name in names {
            let added = list.add_partition_offset(&name.topic, name.number, Offset::Offset(time_ms));
            added.map_err(|error| stop(format!("Kafka source: {error}")))?;
        }
        let answer = self.consumer.offsets_for_times(list, ANSWER_WITHIN);
        let answer = answer.map_err(|error| self.error("look for offsets by time", &error))?;
        self.offsets(&answer, "look for offsets by time")
    }

    fn offsets(&self, list: &TopicPartitionList, action: &str) -> Result<BTreeMap<PartitionName, u64>, PortError> {
        let mut offsets = BTreeMap::new();
        for element in list.elements() {
            element.error().map_err(|error| self.error(action, &error))?;
            if let Offset::Offset(offset) = element.offset() {
                let name = PartitionName::new(element.topic(), element.partition());
                offsets.insert(name, u64::try_from(offset).unwrap_or(0));
            }
        }
        Ok(offsets)
    }

    /// Begins to read partitions, each from its offset. Their queues must be open.
    pub(super) fn assign(&self, partitions: impl Iterator<Item = (PartitionName, u64)>) -> Result<(), PortError> {
        let mut list = TopicPartitionList::new();
        for (name, offset) in partitions {
            let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
            let added = list.add_partition_offset(&name.topic, name.number, offset);
            added.map_err(|error| stop(format!("Kafka source: {error}")))?;
        }
        self.consumer.incremental_assign(&list).map_err(|error| self.error("begin to read", &error))
    }

    /// Serves what librdkafka has to say to the client as a whole.
    pub(super) fn serve(&self, wait: Duration) {
        // Records come through the queues of their partitions; what comes here was said to the context, too.
        let _ = self.consumer.poll(wait);
    }

    fn error(&self, action: &str, error: &rdkafka::error::KafkaError) -> PortError {
        // Perhaps what was heard meanwhile says more.
        self.serve(Duration::ZERO);
        self.connection.error(action, error)
    }
}

fn create(config: &ClientConfig, connection: &Arc<Connection>) -> Result<Consumer, PortError> {
    let consumer = config.create_with_context(Context(Arc::clone(connection)));
    consumer.map_err(|error| stop(connection.secrets().refused(&error)))
}

fn stop(message: String) -> PortError {
    PortError::Stop(message)
}
