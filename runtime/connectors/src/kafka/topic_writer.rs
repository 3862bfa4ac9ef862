//! Lines to a topic, as a producer outside the job sends them: in batches, each line once per attempt that is known to
//! have failed, none lost in silence. Not for rows: those have a sink, which knows of epochs.

use super::{Connection, Context, Properties, advice, code_of};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemark_engine::ports::PortError;

/// How long the cluster may take to say whether the topic is there.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How long everything sent may take to be acknowledged.
const FLUSH_WITHIN: Duration = Duration::from_secs(60);

/// While librdkafka's queue is full.
const QUEUE_PAUSE: Duration = Duration::from_millis(1);

/// A producer and its topic.
pub struct TopicWriter {
    producer: ThreadedProducer<Context>,
    connection: Arc<Connection>,
    topic: String,
}

impl TopicWriter {
    /// Connects, and makes sure that the topic is there.
    ///
    /// # Errors
    /// [`PortError::Stop`] for wrong properties, refused credentials and a topic that is not there;
    /// [`PortError::Retry`] where no broker answers in time.
    pub fn connect(brokers: &[String], topic: &str, properties: &Properties) -> Result<Self, PortError> {
        let mut config = ClientConfig::new();
        for (name, value) in [
            ("client.id", "tidemark-generate"),
            ("partitioner", "murmur2_random"),
            ("compression.codec", "lz4"),
            ("linger.ms", "20"),
            ("reconnect.backoff.max.ms", "2000"),
            ("delivery.report.only.error", "true"),
        ] {
            config.set(name, value);
        }
        let secrets = properties.apply(&mut config).map_err(PortError::Stop)?;
        config.set("bootstrap.servers", brokers.join(",")).set("enable.idempotence", "true");
        config.set("allow.auto.create.topics", "false");
        let connection = Connection::new("generator", secrets);
        let producer = config.create_with_context(Context(Arc::clone(&connection)));
        let producer = producer.map_err(|error| PortError::Stop(connection.secrets().refused(&error)))?;
        let writer = Self { producer, connection, topic: topic.to_owned() };
        writer.look()?;
        Ok(writer)
    }

    /// Queues a record; waits while the queue is full.
    ///
    /// # Errors
    /// It, or an earlier one, cannot be delivered.
    pub fn send(&self, key: &[u8], value: &[u8]) -> Result<(), PortError> {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).payload(value).key(key);
        while let Err((error, refused)) = self.producer.send(record) {
            self.check()?;
            if code_of(&error) != Some(Code::QueueFull) {
                return Err(self.error(&error));
            }
            record = refused;
            std::thread::sleep(QUEUE_PAUSE);
        }
        Ok(())
    }

    /// Waits until everything sent is acknowledged.
    ///
    /// # Errors
    /// Something is not, in time or for good.
    pub fn flush(&self) -> Result<(), PortError> {
        self.producer.flush(FLUSH_WITHIN).map_err(|error| self.error(&error))?;
        self.check()
    }

    fn look(&self) -> Result<(), PortError> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        loop {
            let found = self.producer.client().fetch_metadata(Some(&self.topic), Duration::from_secs(1));
            let problem = match found {
                Ok(metadata) => match metadata.topics().first().and_then(|topic| topic.error()).map(Code::from) {
                    None => {
                        self.connection.up();
                        return Ok(());
                    }
                    Some(code) => KafkaError::MetadataFetch(code),
                },
                Err(error) => error,
            };
            let is_final = code_of(&problem).is_some_and(|code| !advice(code).is_empty());
            if is_final || self.connection.hopeless().is_some() || Instant::now() > deadline {
                return Err(self.error(&problem));
            }
        }
    }

    fn check(&self) -> Result<(), PortError> {
        match self.connection.take_undelivered() {
            None => Ok(()),
            Some(code) => Err(self.error(&KafkaError::MessageProduction(code))),
        }
    }

    fn error(&self, error: &KafkaError) -> PortError {
        self.connection.error(&format!("write to topic {}", self.topic), error)
    }
}
