//! What the sink asks of the cluster before it relies on it: topics that are there, limits that are high enough.

use super::rights;
use super::settings::{CreateTopics, bad_topic};
use crate::kafka::{Brief, Connection, Context, Properties};
use futures_executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemark_engine::ports::PortError;

/// How long one question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long a new topic may take until every broker knows it.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);

/// Topics of a cluster, for whoever needs them before anything is read or written.
pub struct KafkaTopics {
    config: ClientConfig,
    connection: Arc<Connection>,
}

impl KafkaTopics {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// [`PortError::Stop`] for properties that are wrong.
    pub fn new(brokers: &[String], properties: &Properties) -> Result<Self, PortError> {
        let (config, secrets) = properties.client(brokers)?;
        Ok(Self { config, connection: Connection::new("topics", secrets) })
    }

    /// Makes sure that a topic is there, made as `create` says, and gives its number of partitions.
    ///
    /// # Errors
    /// [`PortError::Stop`] where it is not and may not be made, or is there with another number of partitions than it must
    /// have; [`PortError::Retry`] where no broker answers.
    pub fn ensure(&self, topic: &str, create: Option<CreateTopics>) -> Result<u32, PortError> {
        let questions = Questions::new(&self.config, &self.connection, create);
        Ok(questions.ensure(topic)? as u32)
    }

    /// Where each partition of a topic ends, in their order: behind everything that was written, also where nobody has
    /// decided yet whether it counts.
    ///
    /// # Errors
    /// [`PortError::Stop`] where there is no such topic; [`PortError::Retry`] where no broker answers.
    pub fn ends(&self, topic: &str) -> Result<Vec<u64>, PortError> {
        let count = Questions::new(&self.config, &self.connection, None).partitions_of(topic)?;
        if count == 0 {
            return Err(PortError::Stop(format!("there is no topic {topic} any more, and the job goes on in it")));
        }
        let mut config = self.config.clone();
        config.set("isolation.level", "read_uncommitted");
        let consumer: Result<BaseConsumer<Context>, _> =
            config.create_with_context(Context(Arc::clone(&self.connection)));
        let consumer = consumer.map_err(|error| PortError::Stop(self.connection.secrets().refused(&error)))?;
        let consumer = Brief::new(consumer);
        let end = |partition: usize| {
            let bounds = consumer.fetch_watermarks(topic, i32::try_from(partition).unwrap_or(i32::MAX), ANSWER_WITHIN);
            let action = format!("ask for the end of partition {topic}/{partition}");
            let (_, end) = bounds.map_err(|error| self.connection.error(&action, &error))?;
            Ok(u64::try_from(end).unwrap_or(0))
        };
        (0..count).map(end).collect()
    }
}

/// What is known of the cluster.
pub(super) struct Cluster {
    config: ClientConfig,
    connection: Arc<Connection>,
    create: Option<CreateTopics>,
    /// Topics that are there, and the largest message that each takes, if that could be learned.
    topics: BTreeMap<String, Option<usize>>,
}

impl Cluster {
    /// `config` connects to it.
    pub(super) fn new(config: ClientConfig, connection: &Arc<Connection>, create: Option<CreateTopics>) -> Self {
        Self { config, connection: Arc::clone(connection), create, topics: BTreeMap::new() }
    }

    /// Waits for a broker, checks that it allows transactions as long as ours, and makes sure that topics are there.
    pub(super) fn check(
        &mut self,
        transaction_timeout_ms: Option<u32>,
        topics: &BTreeSet<String>,
    ) -> Result<(), PortError> {
        let questions = self.questions();
        questions.check_limits(transaction_timeout_ms)?;
        self.ensure_by(&questions, topics)
    }

    /// Makes sure that topics are there: makes them where that is wanted.
    pub(super) fn ensure(&mut self, topics: &BTreeSet<String>) -> Result<(), PortError> {
        // Each epoch asks.
        if topics.iter().all(|topic| self.topics.contains_key(topic)) {
            return Ok(());
        }
        self.ensure_by(&self.questions(), topics)
    }

    fn ensure_by(&mut self, questions: &Questions, topics: &BTreeSet<String>) -> Result<(), PortError> {
        for topic in topics {
            if self.topics.contains_key(topic) {
                continue;
            }
            if let Some(mistake) = bad_topic(topic) {
                return Err(PortError::Stop(format!("sink.kafka: {mistake}")));
            }
            questions.ensure(topic)?;
            if rights::may_write(questions.admin()?, topic, ANSWER_WITHIN) == Some(false) {
                return Err(PortError::Stop(format!(
                    "sink.kafka: this user may not write to topic {topic}: give it the right Write there, or name other \
                     sinks"
                )));
            }
            let limits = questions.describe(ResourceSpecifier::Topic(topic))?;
            let most = limits.and_then(|limits| limits.get("max.message.bytes")?.value.as_ref()?.parse().ok());
            self.topics.insert(topic.clone(), most);
        }
        Ok(())
    }

    /// The largest message that a topic takes, if that is known.
    pub(super) fn most_bytes(&self, topic: &str) -> Option<usize> {
        self.topics.get(topic).copied().flatten()
    }

    fn questions(&self) -> Questions {
        Questions::new(&self.config, &self.connection, self.create.clone())
    }
}

/// A few questions, asked one behind the other with the same clients, which connect when they are first needed.
struct Questions {
    config: ClientConfig,
    connection: Arc<Connection>,
    create: Option<CreateTopics>,
    client: OnceCell<Brief<ThreadedProducer<Context>>>,
    admin: OnceCell<Brief<AdminClient<Context>>>,
}

impl Questions {
    fn new(config: &ClientConfig, connection: &Arc<Connection>, create: Option<CreateTopics>) -> Self {
        let (config, connection) = (config.clone(), Arc::clone(connection));
        Self { config, connection, create, client: OnceCell::new(), admin: OnceCell::new() }
    }

    /// Waits for a broker, and checks that it allows transactions as long as ours.
    fn check_limits(&self, transaction_timeout_ms: Option<u32>) -> Result<(), PortError> {
        let metadata = self.look(None)?;
        let Some(broker) = metadata.brokers().first() else { return Ok(()) };
        let Some(limits) = self.describe(ResourceSpecifier::Broker(broker.id()))? else { return Ok(()) };
        let limit = |name: &str| limits.get(name)?.value.as_ref()?.parse::<u64>().ok();
        let (wanted, most) = (transaction_timeout_ms.map(u64::from), limit("transaction.max.timeout.ms"));
        if let (Some(wanted), Some(most)) = (wanted, most)
            && wanted > most
        {
            return Err(PortError::Stop(format!(
                "sink.kafka.transaction_timeout_ms = {wanted} is more than the brokers allow \
                 (transaction.max.timeout.ms = {most}): lower it, or raise theirs"
            )));
        }
        if let Some(minutes) = limit("offsets.retention.minutes")
            && minutes < 24 * 60
        {
            tracing::warn!(
                minutes,
                "the brokers forget what is published after offsets.retention.minutes: a job that is down for longer \
                 while an epoch is on its way needs a person to start again"
            );
        }
        Ok(())
    }

    /// Makes sure that a topic is there, made as is wanted, and gives its number of partitions.
    fn ensure(&self, topic: &str) -> Result<usize, PortError> {
        let mut found = self.partitions_of(topic)?;
        if found == 0 {
            self.create(topic)?;
            found = self.partitions_of(topic)?;
        }
        self.check_partitions(topic, found)?;
        Ok(found)
    }

    /// Where keys belong to partitions, another number of them would lead keys astray.
    fn check_partitions(&self, topic: &str, found: usize) -> Result<(), PortError> {
        let Some(create) = self.create.as_ref().filter(|create| create.exact) else { return Ok(()) };
        if i32::try_from(found) == Ok(create.partitions) {
            return Ok(());
        }
        Err(PortError::Stop(format!(
            "topic {topic} has {found} partitions, and this job shares its keys out among {}: put the number back that the \
             job was started with, or start it under another name",
            create.partitions
        )))
    }

    /// How many partitions a topic has; 0 if it is not there.
    fn partitions_of(&self, topic: &str) -> Result<usize, PortError> {
        let metadata = self.look(Some(topic))?;
        let error = metadata.topics().first().and_then(|topic| topic.error()).map(Code::from);
        match error {
            None => Ok(metadata.topics().first().map_or(0, |topic| topic.partitions().len())),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(0),
            Some(code) => {
                Err(self.connection.error(&format!("write to topic {topic}"), &KafkaError::MetadataFetch(code)))
            }
        }
    }

    fn create(&self, topic: &str) -> Result<(), PortError> {
        let Some(create) = &self.create else {
            return Err(PortError::Stop(format!(
                "there is no topic {topic}: create it, or set `sink.kafka.create_topics` if a sink writes it"
            )));
        };
        let retention = create.retention_ms.map(|ms| ms.to_string());
        let mut new = NewTopic::new(topic, create.partitions, TopicReplication::Fixed(create.replication));
        if let Some(retention) = &retention {
            new = new.set("retention.ms", retention);
        }
        let action = format!("create topic {topic}");
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_WITHIN)).request_timeout(Some(ANSWER_WITHIN));
        let made = block_on(self.admin()?.create_topics([&new], &options));
        let made = made.map_err(|error| self.connection.error(&action, &error))?;
        for result in made {
            match result {
                Ok(_) => tracing::info!(topic, partitions = create.partitions, "created a topic"),
                // By somebody else, meanwhile.
                Err((_, Code::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(self.connection.error(&action, &KafkaError::AdminOp(code))),
            }
        }
        let deadline = Instant::now() + KNOWN_WITHIN;
        while self.partitions_of(topic)? == 0 {
            if Instant::now() > deadline {
                return Err(PortError::Retry(format!(
                    "Kafka: topic {topic} was created, but the brokers do not know it"
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Settings of a broker or a topic; `None` where this user may not see them.
    fn describe(&self, what: ResourceSpecifier<'_>) -> Result<Option<ConfigResource>, PortError> {
        let options = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN));
        match block_on(self.admin()?.describe_configs([&what], &options)) {
            Ok(mut found) => Ok(found.pop().and_then(Result::ok)),
            Err(error) => match self.connection.error("look at the settings of the cluster", &error) {
                PortError::Stop(message) => {
                    tracing::debug!(message, "limits of the cluster are not known");
                    Ok(None)
                }
                retry => Err(retry),
            },
        }
    }

    /// What is there: waits for a broker.
    fn look(&self, topic: Option<&str>) -> Result<Metadata, PortError> {
        let client = self.client()?;
        let deadline = Instant::now() + ANSWER_WITHIN;
        loop {
            let error = match client.client().fetch_metadata(topic, Duration::from_secs(1)) {
                Ok(metadata) => {
                    self.connection.up();
                    return Ok(metadata);
                }
                Err(error) => error,
            };
            if self.connection.hopeless().is_some() || Instant::now() > deadline {
                return Err(self.connection.error("reach the cluster", &error));
            }
        }
    }

    /// A client with a thread that serves what it has to say: why a broker refuses, for example.
    fn client(&self) -> Result<&ThreadedProducer<Context>, PortError> {
        self.opened(&self.client)
    }

    fn admin(&self) -> Result<&AdminClient<Context>, PortError> {
        self.opened(&self.admin)
    }

    /// The client in `cell`, created if there is none yet.
    fn opened<'a, T: FromClientConfigAndContext<Context> + Send>(
        &self,
        cell: &'a OnceCell<Brief<T>>,
    ) -> Result<&'a T, PortError> {
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let created = self.config.create_with_context(Context(Arc::clone(&self.connection)));
        let created = created.map_err(|error| PortError::Stop(self.connection.secrets().refused(&error)))?;
        Ok(cell.get_or_init(|| Brief::new(created)))
    }
}
