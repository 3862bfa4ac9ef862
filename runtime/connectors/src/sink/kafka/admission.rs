//! Whether the rows of a metric that is about to be deployed have a place in Kafka: asked by a client of its own, before the
//! running job hears of the metric. A topic that is missing is made where that is wanted.

use super::KafkaSinkSettings;
use super::cluster::Cluster;
use crate::kafka::Connection;
use std::collections::BTreeSet;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;

/// Makes sure that rows of `metric` can be written. Takes as long as the brokers need to answer.
///
/// # Errors
/// [`PortError::Stop`] where they cannot, with what to do; [`PortError::Retry`] where no broker answers.
pub fn admit(settings: &KafkaSinkSettings, metric: &str) -> Result<(), PortError> {
    let Some(topic) = settings.topic_of(&TableKind::Metric(metric.to_owned())) else { return Ok(()) };
    let (config, secrets) = settings.properties.client(&settings.brokers)?;
    let connection = Connection::new("sink kafka", secrets);
    let mut cluster = Cluster::new(config, &connection, settings.create_topics.clone());
    cluster.ensure(&BTreeSet::from([topic]))
}
