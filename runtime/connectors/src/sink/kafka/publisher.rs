//! The publisher: brings an outbox into Kafka, as one transaction that also moves the marker.
//!
//! | what goes wrong | what is done |
//! | --- | --- |
//! | no answer, a leader that changes | the same call again; librdkafka repeats what it can by itself |
//! | the transaction cannot be committed | it is aborted, and the epoch published again |
//! | the producer is broken, or nobody knows whether the transaction was committed | a new producer, whose start ends the old transaction; then the marker tells |
//! | another producer has taken the place of this one | stop: another process runs the job |
//! | a right is missing, a record is too large | stop, with what a person can do |

use super::handle::{Handle, MarkWriter, Marks};
use super::marker::{Group, Marker, marker_offsets, source_offsets};
use super::outbox::{OutboxError, OutboxReader, Record};
use super::settings::Delivery;
use super::step;
use super::telemetry::KafkaSinkTelemetry;
use crate::fail_point::FailPoint;
use crate::kafka::{Connection, Context, PartitionName, Verdict, WATERMARK_HEADER, WRITER_HEADER, advice, code_of};
use rdkafka::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemark_engine::ids::Epoch;
use tidemark_engine::ports::PortError;

/// librdkafka's producer, with a thread that serves what it has to say.
pub(super) type Producer = ThreadedProducer<Context>;

/// How long one call of librdkafka may take before it is looked whether there is still use in waiting.
const CALL: Duration = Duration::from_secs(5);

/// How long one epoch is tried before the caller hears of it.
const WITHIN: Duration = Duration::from_secs(60);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// While librdkafka's queue is full, or is being emptied.
const QUEUE_PAUSE: Duration = Duration::from_millis(1);

/// Publishes outboxes.
pub(super) struct Publisher {
    config: ClientConfig,
    connection: Arc<Connection>,
    delivery: Delivery,
    transaction_timeout: Duration,
    transactional_id: String,
    /// A topic that is there, if one is known.
    topic: Option<String>,
    markers: Group,
    /// The group of the source, whose offsets go along.
    source: Option<Group>,
    producer: Option<Ready>,
    /// The newest epoch that is known to be out.
    published: Option<Marker>,
    /// Topics whose marker was read since the producer was made. Until then nobody knows what is out.
    asked: BTreeSet<String>,
    fail_point: FailPoint,
    telemetry: Arc<KafkaSinkTelemetry>,
}

/// How a publisher is made.
pub(super) struct PublisherParts {
    pub(super) config: ClientConfig,
    pub(super) connection: Arc<Connection>,
    pub(super) delivery: Delivery,
    pub(super) transaction_timeout: Duration,
    pub(super) transactional_id: String,
    pub(super) topic: Option<String>,
    pub(super) markers: Group,
    pub(super) source: Option<Group>,
    pub(super) fail_point: FailPoint,
}

/// A producer that may begin a transaction.
struct Ready {
    producer: Producer,
    markers: ConsumerGroupMetadata,
    source: Option<ConsumerGroupMetadata>,
}

/// What went wrong with an attempt.
enum Trouble {
    /// Needs a person.
    Stop(String),
    /// Take the transaction back and try again.
    Abort(String),
    /// Make a new producer and try again.
    Renew(String),
}

impl Publisher {
    pub(super) fn new(parts: PublisherParts) -> Self {
        let PublisherParts {
            config,
            connection,
            delivery,
            transaction_timeout,
            transactional_id,
            topic,
            markers,
            source,
            fail_point,
        } = parts;
        Self {
            config,
            telemetry: KafkaSinkTelemetry::new(&connection),
            connection,
            delivery,
            transaction_timeout,
            transactional_id,
            topic,
            markers,
            source,
            producer: None,
            published: None,
            asked: BTreeSet::new(),
            fail_point,
        }
    }

    /// How far it is.
    pub(super) fn telemetry(&self) -> Arc<KafkaSinkTelemetry> {
        Arc::clone(&self.telemetry)
    }

    /// Takes the place of every earlier producer of this name, ending its transaction. Done once, then remembered.
    pub(super) fn start(&mut self) -> Result<(), PortError> {
        if self.producer.is_some() {
            return Ok(());
        }
        let producer: Producer = self
            .config
            .create_with_context(Context(Arc::clone(&self.connection)))
            .map_err(|error| PortError::Stop(self.connection.secrets().refused(&error)))?;
        if self.delivery == Delivery::ExactlyOnce {
            let action = format!("begin transactions as \"{}\"", self.transactional_id);
            if let Some(topic) = &self.topic {
                // Waits for a broker: a producer that has none yet looks for its coordinator again half a second later.
                // Where none answers, the next call says so.
                let _ = producer.client().fetch_metadata(Some(topic), CALL);
            }
            let deadline = Instant::now() + WITHIN;
            while let Err(error) = producer.init_transactions(CALL) {
                let again = matches!(&error, KafkaError::Transaction(error) if error.is_retriable());
                if !again || Instant::now() > deadline || self.connection.hopeless().is_some() {
                    return Err(self.connection.error(&action, &error));
                }
            }
        }
        let source = self.source.as_ref().map(Group::metadata).transpose()?;
        self.producer = Some(Ready { producer, markers: self.markers.metadata()?, source });
        self.connection.up();
        Ok(())
    }

    /// Reads the marker that is kept for `topic`, and remembers it.
    pub(super) fn read_marker(&mut self, topic: &str) -> Result<Option<Marker>, PortError> {
        let marker = self.markers.marker(topic)?;
        self.asked.insert(topic.to_owned());
        if let Some(marker) = &marker {
            self.remember(marker.clone());
        }
        Ok(marker)
    }

    /// Notes that an epoch is out.
    pub(super) fn remember(&mut self, marker: Marker) {
        if self.published.as_ref().is_none_or(|published| published.epoch < marker.epoch) {
            self.telemetry.epoch.set(marker.epoch.0 as i64);
            self.published = Some(marker);
        }
    }

    /// The newest epoch that is known to be out.
    pub(super) fn newest(&self) -> Option<Epoch> {
        self.published.as_ref().map(|published| published.epoch)
    }

    /// Whether the epoch is out already.
    pub(super) fn is_out(&self, handle: &Handle) -> Result<bool, PortError> {
        match &self.published {
            Some(published) if published.epoch == handle.epoch && published.xxh3 != handle.content.xxh3 => {
                Err(PortError::Stop(format!(
                    "epoch {} was published to Kafka with other rows: another process runs this job, or its state was \
                     replaced; end the other one, or restore the newest checkpoint",
                    handle.epoch
                )))
            }
            Some(published) => Ok(published.epoch >= handle.epoch),
            None => Ok(false),
        }
    }

    /// Publishes the epoch, unless it is out. Can be repeated after an error.
    pub(super) fn publish(&mut self, handle: &Handle, path: &Path) -> Result<(), PortError> {
        let deadline = Instant::now() + WITHIN;
        loop {
            let message = match self.attempt(handle, path) {
                Ok(()) => return Ok(()),
                Err(Trouble::Stop(message)) => return Err(PortError::Stop(message)),
                Err(Trouble::Abort(message)) => {
                    self.abort();
                    message
                }
                Err(Trouble::Renew(message)) => {
                    self.producer = None;
                    message
                }
            };
            if let Some(error) = self.connection.hopeless() {
                return Err(error);
            }
            self.telemetry.repeated.add(1);
            let message = format!("epoch {} is not published to Kafka yet: {message}", handle.epoch);
            if Instant::now() > deadline {
                return Err(PortError::Retry(message));
            }
            tracing::warn!("{message}; trying again");
            std::thread::sleep(PAUSE);
        }
    }

    fn attempt(&mut self, handle: &Handle, path: &Path) -> Result<(), Trouble> {
        if self.producer.is_none() {
            // What became of the last transaction only the marker knows.
            self.asked.clear();
            self.start().map_err(Trouble::renew)?;
        }
        if !self.asked.contains(&handle.marker_topic) {
            self.read_marker(&handle.marker_topic).map_err(Trouble::renew)?;
        }
        if self.is_out(handle).map_err(Trouble::renew)? {
            return Ok(());
        }
        match self.delivery {
            Delivery::ExactlyOnce => self.transact(handle, path)?,
            Delivery::AtLeastOnce => self.deliver(handle, path)?,
        }
        self.remember(Marker { epoch: handle.epoch, xxh3: handle.content.xxh3.clone() });
        self.telemetry.records.add(handle.content.records);
        self.connection.up();
        Ok(())
    }

    /// One transaction.
    fn transact(&self, handle: &Handle, path: &Path) -> Result<(), Trouble> {
        let Ready { producer, markers, source } = self.ready()?;
        let begun = Instant::now();
        let trouble = |error: &KafkaError| self.trouble(error, begun);
        producer.begin_transaction().map_err(|error| trouble(&error))?;
        self.send_all(producer, handle, path)?;
        (self.fail_point)(step::PRODUCED);
        let offsets = marker_offsets(handle).map_err(|error| trouble(&error))?;
        self.repeat(begun, || producer.send_offsets_to_transaction(&offsets, markers, CALL))?;
        if let Some(source) = source.as_ref().filter(|_| !handle.positions.is_empty()) {
            let offsets = source_offsets(&handle.positions).map_err(|error| trouble(&error))?;
            self.repeat(begun, || producer.send_offsets_to_transaction(&offsets, source, CALL))?;
        }
        self.repeat(begun, || producer.commit_transaction(CALL))
    }

    /// Without a transaction: everything, then the marker.
    fn deliver(&self, handle: &Handle, path: &Path) -> Result<(), Trouble> {
        let Ready { producer, .. } = self.ready()?;
        let begun = Instant::now();
        self.send_all(producer, handle, path)?;
        (self.fail_point)(step::PRODUCED);
        let offsets = |list: Result<_, KafkaError>| list.map_err(|error| self.trouble(&error, begun));
        self.markers.commit(&offsets(marker_offsets(handle))?).map_err(Trouble::renew)?;
        if let Some(source) = self.source.as_ref().filter(|_| !handle.positions.is_empty()) {
            source.commit(&offsets(source_offsets(&handle.positions))?).map_err(Trouble::renew)?;
        }
        Ok(())
    }

    fn ready(&self) -> Result<&Ready, Trouble> {
        self.producer.as_ref().ok_or_else(|| Trouble::Renew("there is no producer".to_owned()))
    }

    /// Calls again what says that it can be called again.
    fn repeat(&self, begun: Instant, call: impl Fn() -> Result<(), KafkaError>) -> Result<(), Trouble> {
        loop {
            let Err(error) = call() else { return Ok(()) };
            self.check_delivered()?;
            let again = matches!(&error, KafkaError::Transaction(error) if error.is_retriable());
            // Behind its timeout the brokers have taken the transaction back.
            if !again || begun.elapsed() > self.transaction_timeout || self.connection.hopeless().is_some() {
                return Err(self.trouble(&error, begun));
            }
        }
    }

    /// Sends every record and waits until all are acknowledged.
    fn send_all(&self, producer: &Producer, handle: &Handle, path: &Path) -> Result<(), Trouble> {
        // What an earlier attempt left is of no interest.
        let _ = self.connection.take_undelivered();
        let begun = Instant::now();
        if handle.content.records > 0 {
            let unreadable = |error: OutboxError| {
                Trouble::Stop(format!(
                    "the outbox {} cannot be read: {error}; check the disk, and restore the newest checkpoint",
                    path.display()
                ))
            };
            let mut outbox = OutboxReader::open(path, &handle.content).map_err(unreadable)?;
            while let Some(mut chunk) = outbox.next().map_err(unreadable)? {
                let topic = chunk.topic;
                while let Some(record) = chunk.next().map_err(unreadable)? {
                    self.send(producer, topic, &record, begun)?;
                }
            }
        }
        for marks in handle.marks.iter().chain(&handle.exchange) {
            self.mark(producer, marks, begun)?;
        }
        self.flush(producer, begun)
    }

    /// Tells every partition of the cleansed events how far event time has come.
    fn mark(&self, producer: &Producer, marks: &Marks, begun: Instant) -> Result<(), Trouble> {
        let metadata = producer.client().fetch_metadata(Some(&marks.topic), CALL);
        let metadata = metadata.map_err(|error| self.trouble(&error, begun))?;
        let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        if partitions.is_empty() {
            return Err(Trouble::Abort(format!("topic {} has no partitions for now", marks.topic)));
        }
        let watermark = marks.watermark_ms.to_string();
        let writer = marks.writer.as_ref().map(|MarkWriter { family, writer, writers, idle }| {
            format!("{family}/{writer}/{writers}{}", if *idle { "/idle" } else { "" })
        });
        for partition in partitions {
            let header = Header { key: WATERMARK_HEADER, value: Some(&watermark) };
            let mut headers = OwnedHeaders::new_with_capacity(2).insert(header);
            if let Some(writer) = &writer {
                headers = headers.insert(Header { key: WRITER_HEADER, value: Some(writer) });
            }
            let message = BaseRecord::<[u8], [u8]>::to(&marks.topic).partition(partition.id()).headers(headers);
            self.send_message(producer, message, begun)?;
        }
        Ok(())
    }

    /// Waits until every record is acknowledged. Looked at again and again, because waiting in `rdkafka` takes a tenth
    /// of a second at least.
    fn flush(&self, producer: &Producer, begun: Instant) -> Result<(), Trouble> {
        loop {
            let flushed = producer.flush(Duration::ZERO);
            self.check_delivered()?;
            match flushed {
                Ok(()) => return Ok(()),
                Err(KafkaError::Flush(Code::OperationTimedOut)) => std::thread::sleep(QUEUE_PAUSE),
                Err(error) => return Err(self.trouble(&error, begun)),
            }
        }
    }

    fn send(&self, producer: &Producer, topic: &str, record: &Record<'_>, begun: Instant) -> Result<(), Trouble> {
        // No topic has a slash in its name: one that has is a partition.
        let place = PartitionName::parse(topic);
        let topic = place.as_ref().map_or(topic, |place| &place.topic);
        let mut message = BaseRecord::<[u8], [u8]>::to(topic).payload(record.value);
        message.partition = place.as_ref().map(|place| place.number);
        message.key = record.key;
        if !record.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(record.headers.len());
            let add = |headers: OwnedHeaders, (key, value): &(&str, &[u8])| {
                headers.insert(Header { key, value: Some(*value) })
            };
            message.headers = Some(record.headers.iter().fold(headers, add));
        }
        self.send_message(producer, message, begun)
    }

    fn send_message(
        &self,
        producer: &Producer,
        mut message: BaseRecord<'_, [u8], [u8]>,
        begun: Instant,
    ) -> Result<(), Trouble> {
        while let Err((error, refused)) = producer.send(message) {
            if code_of(&error) != Some(Code::QueueFull) {
                self.check_delivered()?;
                return Err(self.trouble(&error, begun));
            }
            self.check_delivered()?;
            message = refused;
            std::thread::sleep(QUEUE_PAUSE);
        }
        Ok(())
    }

    /// Fails if a record was refused or not acknowledged in time.
    fn check_delivered(&self) -> Result<(), Trouble> {
        match self.connection.take_undelivered() {
            None => Ok(()),
            Some(code) if Verdict::of(code) == Verdict::Stop => {
                Err(Trouble::Stop(format!("Kafka refuses a record: {code}; {}", advice(code))))
            }
            Some(code) => Err(Trouble::Abort(format!("a record was not delivered: {code}"))),
        }
    }

    fn abort(&mut self) {
        let Some(Ready { producer, .. }) = &self.producer else { return };
        if self.delivery == Delivery::ExactlyOnce
            && let Err(error) = producer.abort_transaction(CALL)
        {
            tracing::debug!(%error, "the transaction was not aborted; a new producer will do it");
            self.producer = None;
        }
    }

    fn trouble(&self, error: &KafkaError, begun: Instant) -> Trouble {
        let (code, message) = (code_of(error), self.connection.secrets().hide(&error.to_string()));
        if let Some(PortError::Stop(message)) = self.connection.hopeless() {
            return Trouble::Stop(message);
        }
        if matches!(code, Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)) {
            // The brokers put a producer aside just like that whose transaction has lasted too long.
            return if begun.elapsed() >= self.transaction_timeout {
                let limit = self.transaction_timeout.as_millis();
                Trouble::Renew(format!(
                    "it took longer than transaction_timeout_ms = {limit}: raise it if that repeats"
                ))
            } else {
                Trouble::Stop(format!(
                    "another process has begun to publish as \"{}\": two processes run this job; end one of them",
                    self.transactional_id
                ))
            };
        }
        match code.map(advice) {
            Some(advice) if !advice.is_empty() => return Trouble::Stop(format!("{message}; {advice}")),
            _ => {}
        }
        match error {
            KafkaError::Transaction(error) if error.txn_requires_abort() => Trouble::Abort(message),
            KafkaError::MessageProduction(_) => Trouble::Abort(message),
            _ => Trouble::Renew(message),
        }
    }
}

impl Trouble {
    /// A failure of something that leaves no transaction behind.
    fn renew(error: PortError) -> Self {
        match error {
            PortError::Stop(message) => Self::Stop(message),
            PortError::Retry(message) => Self::Renew(message),
        }
    }
}
