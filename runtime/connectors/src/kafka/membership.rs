//! Membership of a consumer group, for whoever shares out work and not records: which partitions this member owns.
//!
//! Nothing is read. The coordinator of the group shares partitions out cooperatively: members keep what they have, and
//! only what moves is given up, once the member has let go of it. Each partition is a piece of work, so whoever owns one
//! reads it with a client of its own.

use super::{Connection, Context, Properties};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidemark_engine::ports::PortError;

/// Most time between two heartbeats.
const MOST_HEARTBEAT_MS: u64 = 3_000;

/// Least time between two polls behind which a member is taken for dead.
const LEAST_BETWEEN_POLLS_MS: u64 = 300_000;

/// How a member joins.
#[derive(Clone, Debug)]
pub struct MembershipSettings {
    /// Brokers to begin with.
    pub brokers: Vec<String>,
    /// Properties of librdkafka.
    pub properties: Properties,
    /// The group.
    pub group: String,
    /// What the member is called, for people.
    pub member: String,
    /// Topics whose partitions are shared out.
    pub topics: Vec<String>,
    /// Silence of a member after which the others take its partitions.
    pub session_ms: u64,
}

/// A topic and the number of a partition.
pub type OwnedPartition = (String, i32);

/// Who is told what this member owns. Called by [`Membership::poll`], on its thread.
pub trait Owner: Send {
    /// These are this member's from now on.
    fn granted(&mut self, partitions: Vec<OwnedPartition>);

    /// These go to other members as soon as this returns: what belongs to them must be let go of.
    fn revoked(&mut self, partitions: Vec<OwnedPartition>);

    /// These may be somebody else's already: the group has not heard of this member for too long.
    fn lost(&mut self, partitions: Vec<OwnedPartition>);
}

/// A member. Leaves the group when dropped.
pub struct Membership {
    consumer: BaseConsumer<MemberContext>,
    connection: Arc<Connection>,
}

impl Membership {
    /// Joins. What it then owns, `owner` is told.
    ///
    /// # Errors
    /// [`PortError::Stop`] for properties that are wrong.
    pub fn join(settings: &MembershipSettings, owner: Box<dyn Owner>) -> Result<Self, PortError> {
        let mut config = ClientConfig::new();
        config.set("reconnect.backoff.max.ms", "2000");
        let secrets = settings.properties.apply(&mut config).map_err(PortError::Stop)?;
        let session = settings.session_ms.to_string();
        // A member hears with its next heartbeat that the group is shared out anew, however long its silence may be.
        let heartbeat = (settings.session_ms / 4).clamp(100, MOST_HEARTBEAT_MS).to_string();
        // librdkafka wants it to be no less than the session.
        let most_between_polls = settings.session_ms.max(LEAST_BETWEEN_POLLS_MS).to_string();
        // Partitions are paused as soon as they are given; what was asked for before that is as little as can be.
        for (name, value) in [
            ("bootstrap.servers", settings.brokers.join(",").as_str()),
            ("client.id", &settings.member),
            ("group.id", &settings.group),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", &session),
            ("heartbeat.interval.ms", &heartbeat),
            ("max.poll.interval.ms", &most_between_polls),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "latest"),
            ("allow.auto.create.topics", "false"),
            ("queued.max.messages.kbytes", "1"),
            ("fetch.message.max.bytes", "1"),
            ("topic.metadata.refresh.interval.ms", "10000"),
        ] {
            config.set(name, value);
        }
        let connection = Connection::new("cluster", secrets);
        let context = MemberContext { inner: Context(Arc::clone(&connection)), owner: Mutex::new(owner) };
        let consumer: BaseConsumer<MemberContext> = config
            .create_with_context(context)
            .map_err(|error| PortError::Stop(connection.secrets().refused(&error)))?;
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        let subscribed = consumer.subscribe(&topics);
        subscribed.map_err(|error| connection.error("join the group of nodes", &error))?;
        Ok(Self { consumer, connection })
    }

    /// Serves the group for a while. To be called again and again: who does not is taken for dead after five minutes.
    ///
    /// # Errors
    /// [`PortError::Stop`] where the brokers refuse this member for good.
    pub fn poll(&self, wait: Duration) -> Result<(), PortError> {
        // Records do not come, and errors that go away by themselves are none of ours.
        if let Some(Err(error)) = self.consumer.poll(wait)
            && let PortError::Stop(message) = self.connection.error("stay in the group of nodes", &error)
        {
            return Err(PortError::Stop(message));
        }
        self.connection.hopeless().map_or(Ok(()), Err)
    }

    /// Gives everything up, and leaves.
    pub fn leave(self) {
        self.consumer.unsubscribe();
        // The owner hears of it in here.
        for _ in 0..LAST_POLLS {
            let _ = self.consumer.poll(Duration::from_millis(10));
            if self.consumer.assignment().is_ok_and(|assigned| assigned.count() == 0) {
                break;
            }
        }
    }
}

/// How often the group is served while it is left.
const LAST_POLLS: usize = 100;

/// What librdkafka calls back.
struct MemberContext {
    inner: Context,
    owner: Mutex<Box<dyn Owner>>,
}

impl MemberContext {
    fn told(&self, error: Option<KafkaError>, action: &str) {
        if let Some(error) = error {
            tracing::warn!(%error, "the group of nodes could not {action}");
        }
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.inner.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.inner.error(error, reason);
    }

    fn stats_raw(&self, _statistics: &[u8]) {}
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<OwnedPartition> =
            list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect();
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                let mut ends = TopicPartitionList::with_capacity(partitions.len());
                for (topic, partition) in &partitions {
                    // The end is an offset that every partition has.
                    let _ = ends.add_partition_offset(topic, *partition, Offset::End);
                }
                self.told(consumer.incremental_assign(&ends).err(), "give partitions");
                self.told(consumer.pause(&ends).err(), "pause partitions");
                if !partitions.is_empty() {
                    owner.granted(partitions);
                }
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                if !partitions.is_empty() {
                    if consumer.assignment_lost() { owner.lost(partitions) } else { owner.revoked(partitions) }
                }
                self.told(consumer.incremental_unassign(list).err(), "take partitions back");
            }
            _ => {
                owner.lost(partitions);
                self.told(consumer.unassign().err(), "take partitions back");
            }
        }
    }
}
