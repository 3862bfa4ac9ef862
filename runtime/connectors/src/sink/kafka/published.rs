//! What is published of a job, as its markers in Kafka say, for whoever takes a job that does not run back to an earlier
//! moment.

use super::marker::Group;
use crate::kafka::{Brief, Connection, Context, Properties};
use crate::side_by_side::side_by_side;
use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::producer::{Producer as _, ThreadedProducer};
use rdkafka::topic_partition_list::Offset;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

/// How long putting one aside may take: a transaction that it ends may have to be waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A marker: the last epoch that was published with the marker on this topic.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedEpoch {
    /// The topic.
    pub topic: String,
    /// The epoch.
    pub epoch: Epoch,
    /// Checksum of what was published.
    pub xxh3: String,
}

/// The markers of a cluster.
pub struct PublishedEpochs {
    config: ClientConfig,
    connection: Arc<Connection>,
}

impl PublishedEpochs {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// [`PortError::Stop`] for properties that are wrong.
    pub fn new(brokers: &[String], properties: &Properties) -> Result<Self, PortError> {
        let (config, secrets) = properties.client(brokers)?;
        Ok(Self { config, connection: Connection::new("markers", secrets) })
    }

    /// Those of the sink `sink` of the job `job`, on these topics.
    ///
    /// # Errors
    /// Where the cluster does not answer.
    pub fn read(&self, job: &str, sink: &str, topics: &[String]) -> Result<Vec<PublishedEpoch>, PortError> {
        let markers = self.group(job, sink).markers(topics)?.into_iter();
        Ok(markers.map(|(topic, marker)| PublishedEpoch { topic, epoch: marker.epoch, xxh3: marker.xxh3 }).collect())
    }

    /// Puts markers back to what they were.
    ///
    /// # Errors
    /// Where the cluster does not answer, or does not take it.
    pub fn put_back(&self, job: &str, sink: &str, markers: &[PublishedEpoch]) -> Result<(), PortError> {
        if markers.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for marker in markers {
            let offset = Offset::Offset(i64::try_from(marker.epoch.0).unwrap_or(i64::MAX));
            let mut element = list.add_partition(&marker.topic, 0);
            element.set_offset(offset).map_err(|error| self.connection.error("put markers back", &error))?;
            element.set_metadata(&marker.xxh3);
        }
        self.group(job, sink).commit(&list)
    }

    /// Puts whoever may still publish as the sink `sink` of these jobs aside, and ends the transactions that they have begun.
    ///
    /// # Errors
    /// Where the cluster does not answer, or does not allow it.
    pub fn fence(&self, jobs: Vec<String>, sink: &str) -> Result<(), PortError> {
        side_by_side(jobs, |_, job| self.fence_one(&format!("{job}.{sink}"))).into_iter().collect()
    }

    fn fence_one(&self, transactional_id: &str) -> Result<(), PortError> {
        let mut config = self.config.clone();
        config.set("transactional.id", transactional_id).set("enable.idempotence", "true");
        let producer = config.create_with_context(Context(Arc::clone(&self.connection)));
        let producer = producer.map_err(|error| PortError::Stop(self.connection.secrets().refused(&error)))?;
        let producer: Brief<ThreadedProducer<Context>> = Brief::new(producer);
        let fenced = producer.init_transactions(ANSWER_WITHIN);
        fenced.map_err(|error| self.connection.error(&format!("put \"{transactional_id}\" aside"), &error))
    }

    fn group(&self, job: &str, sink: &str) -> Group {
        Group::new(&format!("{job}.{sink}.epoch"), &self.config, &self.connection)
    }
}
