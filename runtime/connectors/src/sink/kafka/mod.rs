//! The Kafka sink: rows as records, exactly once for consumers that read committed records only.
//!
//! ```text
//! write ──▶ open.outbox ──prepare──▶ e000000000012.outbox ──finalise──▶ one transaction: records, marker ──▶ removed
//! ```
//!
//! A transaction that stays open for as long as an epoch runs would be decided by the brokers' clock, and would have to
//! be decided before or after the state's commit, with a hole between the two. So the epoch's records wait in a file, the
//! outbox ([`outbox`]). Prepare syncs it; the engine's commit point decides, as it does for every sink; finalise
//! publishes it in one transaction ([`publisher`]), which also moves the marker ([`marker`]): an offset, committed for a
//! group of the sink's own, that says which epoch is out. So a process that dies at any moment finds out, when it starts
//! again, whether the last committed epoch is out, and publishes it if not.
//!
//! | the process dies | marker | outbox | recovery |
//! | --- | --- | --- | --- |
//! | before the commit point | older | there, or a part | removes it |
//! | behind it, before or in the transaction | older | there | ends the transaction, publishes |
//! | behind the transaction | this epoch | there | removes it |
//! | the same, and the disk is lost | this epoch | gone | nothing |
//! | before the transaction's commit, and the disk is lost | older | gone | needs the rows again: [`Sink::needs_rows`] |
//!
//! Cleansed events carry what a job of metrics cannot find out from the events alone: what lookup tables added, in a
//! header, and how far event time has come: with each epoch, every partition of their topic gets a record without a value
//! that says so in a header.
//!
//! Two processes that run one job cannot both publish: the producer that starts later takes the place of the earlier
//! one, which is told so and stops.

mod admission;
mod cluster;
mod event_key;
mod exchange;
mod handle;
mod marker;
mod note;
mod outbox;
mod published;
mod publisher;
mod records;
mod recovery;
mod rights;
mod settings;
mod telemetry;

pub use admission::admit;
pub use cluster::KafkaTopics;
pub use exchange::{ExchangeRoute, ExchangeSettings};
pub use handle::Position;
pub use published::{PublishedEpoch, PublishedEpochs};
pub use settings::{CreateTopics, DeadLettersSettings, Delivery, EventsSettings, KafkaSinkSettings, MetricsSettings};
pub use telemetry::KafkaSinkTelemetry;

use crate::cleanse::CleanseSettings;
use crate::durable;
use crate::fail_point::FailPoint;
use crate::kafka::{Connection, PartitionName};
use arrow_array::RecordBatch;
use cluster::Cluster;
use event_key::EventKey;
use exchange::Exchange;
use handle::{Handle, Marks, OPEN, outbox_path};
use marker::Group;
use note::Published;
use outbox::{Content, OutboxWriter};
use publisher::{Publisher, PublisherParts};
use rdkafka::ClientConfig;
use records::Records;
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tidemark_engine::ids::{Epoch, Offset};
use tidemark_engine::output::Table;
use tidemark_engine::ports::{PortError, Positions, Sink};

/// Names of the fail points.
mod step {
    pub(super) const PREPARED: &str = "kafka.prepare.synced";
    pub(super) const PUBLISH: &str = "kafka.publish.before";
    pub(super) const PRODUCED: &str = "kafka.publish.produced";
    pub(super) const COMMITTED: &str = "kafka.publish.committed";
    pub(super) const REMOVED: &str = "kafka.publish.removed";
    pub(super) const RECOVERED: &str = "kafka.recover.published";
}

/// The steps at which a test may end the process, in the order of an epoch, that of recovery last.
pub const FAIL_POINTS: [&str; 6] =
    [step::PREPARED, step::PUBLISH, step::PRODUCED, step::COMMITTED, step::REMOVED, step::RECOVERED];

/// Bytes that a message takes besides its record, at most about.
const MESSAGE_OVERHEAD: usize = 128;

/// Who writes: what its names in Kafka are made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KafkaSinkNames {
    /// The job. Jobs that share a cluster must have different names.
    pub job: String,
    /// The sink within the job.
    pub sink: String,
    /// The group whose offsets are committed together with the rows, if positions are given.
    pub source_group: Option<String>,
}

/// Rows as records of Kafka.
pub struct KafkaSink {
    name: String,
    folder: PathBuf,
    settings: KafkaSinkSettings,
    fail_point: FailPoint,
    /// Held as long as the sink lives.
    _lock: File,
    records: Records,
    /// What goes to other nodes.
    exchange: Option<Exchange>,
    outbox: OutboxWriter,
    /// The topics of the running epoch, and the bytes of the largest record for each.
    topics: BTreeMap<String, usize>,
    cluster: Cluster,
    publisher: Publisher,
    /// How far the source is behind the running epoch, if its group is told.
    positions: Vec<Position>,
    /// The source's watermark behind it.
    watermark_ms: Option<i64>,
    /// Whether the source is silent.
    idle: bool,
    /// Whether the committed epoch is not published, and its rows are lost with the disk that they were on.
    needs_rows: bool,
    tells_group: bool,
}

impl KafkaSink {
    /// Opens the outbox folder, created if it is missing, for this sink alone; looks at the cluster, its limits and the
    /// topics that are known from the start. `cleanse` is what the events were cleansed with.
    ///
    /// # Errors
    /// [`PortError::Stop`] for wrong settings, missing topics, refused credentials, and a folder that another process
    /// uses; [`PortError::Retry`] where no broker answers.
    pub fn open(
        settings: KafkaSinkSettings,
        names: &KafkaSinkNames,
        cleanse: &CleanseSettings,
        folder: &Path,
        fail_point: FailPoint,
    ) -> Result<Self, PortError> {
        let mistakes = settings.mistakes();
        if !mistakes.is_empty() {
            return Err(PortError::Stop(format!("settings of the Kafka sink: {}", mistakes.join("; "))));
        }
        let lock = take_folder(folder)?;
        let event_key = settings.events.as_ref().and_then(|events| events.key.as_deref());
        let event_key = event_key.map(|path| EventKey::new(path, cleanse)).transpose()?;
        let exchange = settings.exchange.clone().map(|exchange| Exchange::new(exchange, cleanse)).transpose()?;
        let (config, secrets) = settings.properties.client(&settings.brokers)?;
        let connection = Connection::new(&format!("sink {}", names.sink), secrets);
        let mut cluster = Cluster::new(config.clone(), &connection, settings.create_topics.clone());
        let is_exact = settings.delivery == Delivery::ExactlyOnce;
        let topics = settings.fixed_topics();
        cluster.check(is_exact.then_some(settings.transaction_timeout_ms), &topics)?;
        let transactional_id = format!("{}.{}", names.job, names.sink);
        let publisher = Publisher::new(PublisherParts {
            markers: Group::new(&format!("{transactional_id}.epoch"), &config, &connection),
            source: names.source_group.as_deref().map(|group| Group::new(group, &config, &connection)),
            config: producer_config(&settings, config, &transactional_id)?,
            connection,
            delivery: settings.delivery,
            transaction_timeout: Duration::from_millis(settings.transaction_timeout_ms.into()),
            transactional_id,
            topic: topics.into_iter().next(),
            fail_point: Arc::clone(&fail_point),
        });
        Ok(Self {
            name: names.sink.clone(),
            folder: folder.to_owned(),
            settings,
            fail_point,
            _lock: lock,
            records: Records::new(event_key),
            exchange,
            outbox: OutboxWriter::new(),
            topics: BTreeMap::new(),
            cluster,
            publisher,
            positions: Vec::new(),
            watermark_ms: None,
            idle: false,
            needs_rows: false,
            tells_group: names.source_group.is_some(),
        })
    }

    /// How far publishing is.
    #[must_use]
    pub fn telemetry(&self) -> Arc<KafkaSinkTelemetry> {
        self.publisher.telemetry()
    }

    /// Makes sure that Kafka will take what was written, while the epoch can still be refused.
    fn check_topics(&mut self) -> Result<(), PortError> {
        self.cluster.ensure(&self.topics.keys().cloned().collect())?;
        for (topic, bytes) in &self.topics {
            if let Some(most) = self.cluster.most_bytes(topic)
                && bytes + MESSAGE_OVERHEAD > most
            {
                return Err(PortError::Stop(format!(
                    "a record of {bytes} bytes is too large for topic {topic}, which takes messages of {most}: raise its \
                     max.message.bytes, or lower source.read.max_record_bytes"
                )));
            }
        }
        Ok(())
    }

    /// A topic that is there for sure: the same in every epoch, if one is known from the start.
    fn marker_topic(&self, positions: &[Position]) -> String {
        let fixed = self.settings.fixed_topics().into_iter().next();
        let written = || self.topics.keys().next().cloned();
        let read = || positions.first().map(|(topic, ..)| topic.clone());
        fixed.or_else(written).or_else(read).unwrap_or_default()
    }

    /// Publishes an epoch and forgets its outbox.
    fn publish(&mut self, handle: &Handle) -> Result<(), PortError> {
        let path = outbox_path(&self.folder, handle.epoch);
        (self.fail_point)(step::PUBLISH);
        self.publisher.publish(handle, &path)?;
        (self.fail_point)(step::COMMITTED);
        let (epoch, Content { xxh3, .. }) = (handle.epoch, handle.content.clone());
        note::write(&self.folder, &Published { epoch, xxh3, marker_topic: handle.marker_topic.clone() })?;
        durable::remove_file(&path).map_err(|error| durable::port_error("remove", &path, &error))?;
        (self.fail_point)(step::REMOVED);
        Ok(())
    }
}

impl Sink for KafkaSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn write(&mut self, table: &Arc<Table>, rows: &RecordBatch) -> Result<(), PortError> {
        // Before anything is added: a caller that tries again must not add it twice.
        let open = self.folder.join(OPEN);
        self.outbox.flush(&open).map_err(|error| durable::port_error("write", &open, &error))?;
        let mut largest = Vec::new();
        if let Some(topic) = self.settings.topic_of(&table.kind) {
            largest.push((topic.clone(), self.records.add(&table.kind, rows, &topic, &mut self.outbox)?));
        }
        if let Some(exchange) = &mut self.exchange {
            largest.extend(exchange.add(&table.kind, rows, &mut self.outbox)?);
        }
        for (topic, bytes) in largest {
            let known = self.topics.entry(topic).or_default();
            *known = bytes.max(*known);
        }
        Ok(())
    }

    fn positions(&mut self, positions: &Positions) {
        if self.tells_group {
            self.positions = positions.iter().filter_map(|(name, offset)| position(name, *offset)).collect();
        }
    }

    fn watermark(&mut self, watermark_ms: i64) {
        self.watermark_ms = Some(watermark_ms);
    }

    fn idle(&mut self, idle: bool) {
        self.idle = idle;
    }

    fn prepare(&mut self, epoch: Epoch) -> Result<Vec<u8>, PortError> {
        self.check_topics()?;
        let open = self.folder.join(OPEN);
        let content = self.outbox.finish(&open).map_err(|error| durable::port_error("write", &open, &error))?;
        if content.records > 0 {
            let path = outbox_path(&self.folder, epoch);
            let renamed = fs::rename(&open, &path).and_then(|()| durable::sync_folder(&self.folder));
            renamed.map_err(|error| durable::port_error("rename", &open, &error))?;
        }
        let positions = std::mem::take(&mut self.positions);
        let marks = self.settings.events.as_ref().filter(|events| events.watermarks).zip(self.watermark_ms);
        let marks =
            marks.map(|(events, watermark_ms)| Marks { topic: events.topic.clone(), watermark_ms, writer: None });
        let exchange = self.exchange.as_ref().map(|exchange| exchange.marks(self.watermark_ms, self.idle));
        let marker_topic = self.marker_topic(&positions);
        let handle = Handle::new(epoch, content, marker_topic, positions, marks, exchange.unwrap_or_default());
        self.outbox = OutboxWriter::new();
        self.topics.clear();
        (self.fail_point)(step::PREPARED);
        Ok(handle.to_bytes())
    }

    fn finalise(&mut self, epoch: Epoch, handle: &[u8]) -> Result<(), PortError> {
        let handle = Handle::parse(handle)?;
        if handle.epoch != epoch {
            return Err(PortError::Stop(format!("epoch {epoch} was finalised with the handle of {}", handle.epoch)));
        }
        if handle.is_empty() { Ok(()) } else { self.publish(&handle) }
    }

    fn recover(&mut self, committed: Epoch, handle: Option<&[u8]>) -> Result<(), PortError> {
        self.recover_from(committed, handle)
    }

    fn needs_rows(&self) -> bool {
        self.needs_rows
    }
}

/// The position of a partition of Kafka, as a group is told of it.
fn position(name: &str, offset: Offset) -> Option<Position> {
    let PartitionName { topic, number } = PartitionName::parse(name)?;
    Some((topic, number, i64::try_from(offset.0).unwrap_or(i64::MAX)))
}

/// What the producer is told: defaults that a property may change, and what nobody else may set.
fn producer_config(
    settings: &KafkaSinkSettings,
    mut config: ClientConfig,
    transactional_id: &str,
) -> Result<ClientConfig, PortError> {
    for (name, value) in [
        // As Java's producer does it, so that records of one key meet those of other programs.
        ("partitioner", "murmur2_random"),
        ("compression.codec", "lz4"),
        ("queue.buffering.max.kbytes", "65536"),
        ("message.max.bytes", "67108864"),
        ("reconnect.backoff.max.ms", "2000"),
        ("delivery.report.only.error", "true"),
    ] {
        config.set(name, value);
    }
    settings.properties.apply(&mut config).map_err(PortError::Stop)?;
    config.set("enable.idempotence", "true");
    if settings.delivery == Delivery::ExactlyOnce {
        config.set("transactional.id", transactional_id);
        config.set("transaction.timeout.ms", settings.transaction_timeout_ms.to_string());
    }
    Ok(config)
}

/// Takes the folder for one process, as long as the file is open.
fn take_folder(folder: &Path) -> Result<File, PortError> {
    let failed = |error: &std::io::Error| durable::port_error("open", folder, error);
    durable::create_folders(folder).map_err(|error| failed(&error))?;
    let options = File::options().create(true).truncate(false).write(true).open(folder.join("writer.lock"));
    let lock = options.map_err(|error| failed(&error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(PortError::Stop(format!(
            "another process writes to {}: end it, or give this job another folder",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failed(&error)),
    }
}
