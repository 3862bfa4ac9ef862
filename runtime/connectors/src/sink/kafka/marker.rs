//! The marker in Kafka: the last published epoch, as the committed offset of a group that nobody else uses.
//!
//! It is written in the transaction that publishes the epoch, so it says the truth whatever happens to the process: the
//! offset is the epoch, its note the checksum of the outbox.

use super::handle::{Handle, Position};
use crate::kafka::{Brief, Connection, Context};
use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::Offset;
use std::sync::Arc;
use std::time::Duration;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

/// How long one question to the cluster may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A consumer group, in which offsets are kept.
pub(super) struct Group {
    name: String,
    config: ClientConfig,
    connection: Arc<Connection>,
}

/// A published epoch and the checksum of its outbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Marker {
    pub(super) epoch: Epoch,
    pub(super) xxh3: String,
}

impl Group {
    /// `config` connects to the cluster.
    pub(super) fn new(name: &str, config: &ClientConfig, connection: &Arc<Connection>) -> Self {
        let mut config = config.clone();
        // Committed offsets of transactions that are being committed are waited for.
        config.set("group.id", name).set("isolation.level", "read_committed").set("enable.auto.commit", "false");
        Self { name: name.to_owned(), config, connection: Arc::clone(connection) }
    }

    /// The marker that is kept for `topic`.
    pub(super) fn marker(&self, topic: &str) -> Result<Option<Marker>, PortError> {
        Ok(self.markers(&[topic.to_owned()])?.pop().map(|(_, marker)| marker))
    }

    /// The markers that are kept for these topics.
    pub(super) fn markers(&self, topics: &[String]) -> Result<Vec<(String, Marker)>, PortError> {
        let action = format!("read what is published from group {}", self.name);
        let mut list = TopicPartitionList::new();
        for topic in topics {
            list.add_partition(topic, 0);
        }
        let answer = self.consumer()?.committed_offsets(list, ANSWER_WITHIN);
        let answer = answer.map_err(|error| self.connection.error(&action, &error))?;
        let mut markers = Vec::new();
        for element in answer.elements() {
            element.error().map_err(|error| self.connection.error(&action, &error))?;
            if let Offset::Offset(epoch) = element.offset() {
                let epoch = Epoch(u64::try_from(epoch).unwrap_or(0));
                markers.push((element.topic().to_owned(), Marker { epoch, xxh3: element.metadata().to_owned() }));
            }
        }
        Ok(markers)
    }

    /// What a transaction needs to commit offsets of the group.
    pub(super) fn metadata(&self) -> Result<ConsumerGroupMetadata, PortError> {
        self.consumer()?.group_metadata().ok_or_else(|| {
            PortError::Stop(format!("internal error, please report it: librdkafka does not know group {}", self.name))
        })
    }

    /// Commits offsets outside of a transaction.
    pub(super) fn commit(&self, offsets: &TopicPartitionList) -> Result<(), PortError> {
        let committed = self.consumer()?.commit(offsets, CommitMode::Sync);
        committed.map_err(|error| self.connection.error(&format!("commit offsets of group {}", self.name), &error))
    }

    /// A consumer for one question. It is not kept: somebody would have to serve what it has to say.
    fn consumer(&self) -> Result<Brief<BaseConsumer<Context>>, PortError> {
        let consumer = self.config.create_with_context(Context(Arc::clone(&self.connection)));
        consumer.map(Brief::new).map_err(|error| PortError::Stop(self.connection.secrets().refused(&error)))
    }
}

/// The marker of an epoch, as offsets to be committed.
pub(super) fn marker_offsets(handle: &Handle) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition(&handle.marker_topic, 0);
    element.set_offset(Offset::Offset(i64::try_from(handle.epoch.0).unwrap_or(i64::MAX)))?;
    element.set_metadata(&handle.content.xxh3);
    Ok(list)
}

/// How far the source was read, as offsets to be committed.
pub(super) fn source_offsets(positions: &[Position]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for (topic, partition, offset) in positions {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    Ok(list)
}
