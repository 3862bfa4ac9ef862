//! What is published of a job, as its markers in Kafka say, for whoever takes a job that does not run back to an earlier
//! moment.

use super::marker::Group;
use crate::kafka::{Connection, Properties};
use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::topic_partition_list::Offset;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

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

    fn group(&self, job: &str, sink: &str) -> Group {
        Group::new(&format!("{job}.{sink}.epoch"), &self.config, &self.connection)
    }
}
