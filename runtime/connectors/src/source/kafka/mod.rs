//! Events from Kafka: the engine's source over one cluster.
//!
//! ```text
//! librdkafka's threads ──queue per partition──▶ reader ──blocks──▶ decoders ──▶ engine
//!          └──errors, new partitions──▶ watching thread
//! ```
//!
//! The engine's partitions are Kafka's, named `topic/7`, and its offsets are Kafka's: the position of a partition is the
//! offset that is read next. A source does not share partitions out by a consumer group: it reads all of them, or those that it
//! is told to read, from the position that the job has committed with its state. Nothing is read of a transaction that is open or was aborted.
//!
//! While no broker answers, librdkafka tries to connect and the source has nothing to give. What cannot mend itself, a
//! topic that is gone or a right that was taken away, stops the source with a sentence that says what to do.

mod beginning;
mod builder;
mod client;
mod feed;
mod queue;
mod settings;
mod telemetry;
mod topics;
mod watch;

pub use settings::{KafkaSourceSettings, Start, Until};
pub use telemetry::{KafkaTelemetry, PartitionTelemetry};

use super::cutter::{BlockLimits, Cut};
use super::lines::place_in;
use super::origin::Origin;
use super::running::{self, Running};
use super::settings::ReadSettings;
use crate::cleanse::CleanseSettings;
use crate::kafka::{Brief, PartitionName};
use builder::BlockBuilder;
use client::Client;
use crossbeam_channel::{Receiver, Sender, bounded};
use feed::{KafkaFeed, Opened};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::topic_partition_list::Offset as KafkaOffset;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tidemark_engine::ids::{Offset, Partition};
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{Next, PortError, Positions, Source, SourceStart};
use watch::{Shared, Watch};

/// New partitions that may wait to be noticed.
const ANNOUNCEMENTS: usize = 64;

/// Events from Kafka.
pub struct KafkaSource {
    settings: KafkaSourceSettings,
    read: ReadSettings,
    cleanse: CleanseSettings,
    names: Vec<String>,
    /// Before `shared`, whose client must outlive what it gave.
    running: Option<Running<Topics>>,
    watching: Option<Watching>,
    shared: Arc<Shared>,
}

/// The watching thread; ends when dropped.
struct Watching {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl KafkaSource {
    /// Connects, and looks which partitions there are.
    ///
    /// # Errors
    /// [`PortError::Stop`] for wrong settings, refused credentials and topics that are not there; [`PortError::Retry`]
    /// where no broker answers within ten seconds.
    pub fn connect(
        settings: KafkaSourceSettings,
        read: ReadSettings,
        cleanse: CleanseSettings,
    ) -> Result<Self, PortError> {
        let mistakes = [settings.mistakes(), read.mistakes()].concat();
        if !mistakes.is_empty() {
            return Err(PortError::Stop(format!("settings of the Kafka source: {}", mistakes.join("; "))));
        }
        // A first client looks how many partitions there are, among which the second divides its memory.
        let names = find(&Brief::new(Client::new(&settings, 1)?), &settings)?;
        let shared = Shared::new(Client::new(&settings, names.len())?);
        let names = names.iter().map(ToString::to_string).collect();
        Ok(Self { settings, read, cleanse, names, running: None, watching: None, shared })
    }

    /// How far the source is.
    #[must_use]
    pub fn telemetry(&self) -> Arc<KafkaTelemetry> {
        Arc::clone(&self.shared.telemetry)
    }
}

impl Source for KafkaSource {
    fn start(&mut self, start: SourceStart) -> Result<(), PortError> {
        if self.running.is_some() {
            return Err(PortError::Stop("a source starts only once".to_owned()));
        }
        let client = &self.shared.client;
        let decoder = running::decoder(&self.cleanse, &start)?;
        let names = find(client, &self.settings)?;
        let opened = beginning::open_all(client, &self.settings, &names, &start.positions)?;
        client.assign(opened.iter().map(|opened| (opened.name.clone(), opened.position)))?;
        opened.iter().for_each(|opened| self.shared.add(opened));
        let (found, new) = bounded(ANNOUNCEMENTS);
        let (stop, stopped) = bounded(0);
        let watch = Watch {
            shared: Arc::clone(&self.shared),
            known: names.iter().cloned().collect(),
            discover: Duration::from_millis(self.settings.discover_ms),
            live: self.settings.until.is_none(),
            found,
            stop: stopped,
        };
        let thread = std::thread::Builder::new().name("source-watch".to_owned()).spawn(move || watch.run());
        let thread = thread.map_err(|error| PortError::Stop(format!("cannot start a watching thread: {error}")))?;
        self.watching = Some(Watching { stop: Some(stop), thread: Some(thread) });
        self.names = names.iter().map(ToString::to_string).collect();
        let topics = Topics {
            shared: Arc::clone(&self.shared),
            live: self.settings.until.is_none(),
            limits: BlockLimits::new(&start, &self.read),
            start,
            opened: opened.into_iter().map(|opened| (opened.name.to_string(), opened)).collect(),
            new,
            passed_over: self.settings.passed_over.clone(),
        };
        self.running = Some(Running::start(topics, &self.names, decoder, &self.read)?);
        Ok(())
    }

    fn partitions(&self) -> &[String] {
        &self.names
    }

    fn first_offset(&self, partition: Partition) -> Offset {
        let name = self.names.get(partition.0 as usize);
        let firsts = self.shared.firsts.lock().ok();
        Offset(name.zip(firsts).and_then(|(name, firsts)| firsts.get(name).copied()).unwrap_or(0))
    }

    fn next(&mut self, partition: Partition, wait: Duration) -> Result<Next, PortError> {
        running::next(&mut self.running, partition, wait, &mut self.names)
    }

    fn change_plan(&mut self, plan: Arc<ExtractionPlan>) -> Result<(), PortError> {
        running::change_plan(&mut self.running, &self.cleanse, plan)
    }

    fn bounded(&self) -> bool {
        self.settings.until.is_some()
    }

    fn written_by(&self, _: Partition) -> &[String] {
        &self.settings.written_by
    }

    fn reachable(&self) -> bool {
        self.shared.client.connection.is_up()
    }

    /// Tells the group, without waiting for an answer.
    fn committed(&mut self, positions: &Positions) {
        if self.settings.group.is_none() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (name, position) in positions {
            let offset = KafkaOffset::Offset(i64::try_from(position.0).unwrap_or(i64::MAX));
            if let Some(name) = PartitionName::parse(name) {
                // Only fails on offsets that are none.
                let _ = list.add_partition_offset(&name.topic, name.number, offset);
            }
        }
        if let Err(error) = self.shared.client.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "the consumer group was not told how far the job is");
        }
    }
}

/// The partitions that are there. Topics that are named must be.
fn find(client: &Client, settings: &KafkaSourceSettings) -> Result<Vec<PartitionName>, PortError> {
    let found = client.first_look()?;
    if !found.missing.is_empty() {
        return Err(PortError::Stop(format!(
            "Kafka source: there is no topic {}: create it, or correct `source.topics`",
            found.missing.join(", ")
        )));
    }
    if found.partitions.is_empty() {
        let message = format!("Kafka source: no topic matches {}", settings.topics.join(", "));
        if settings.until.is_some() {
            return Err(PortError::Stop(format!("{message}: correct `source.topics`, or take out `until`")));
        }
        tracing::warn!("{message} yet; waiting for one");
    }
    Ok(found.partitions.into_iter().collect())
}

/// Partitions of topics, as reading ahead sees them.
struct Topics {
    shared: Arc<Shared>,
    live: bool,
    limits: BlockLimits,
    start: SourceStart,
    /// Those that are not read yet, by name.
    opened: BTreeMap<String, Opened>,
    new: Receiver<Opened>,
    /// Offsets whose records are passed over, by partition.
    passed_over: BTreeMap<String, Vec<Range<u64>>>,
}

impl Origin for Topics {
    /// Nothing, if the partition was never opened: it has ended then.
    type Feed = Option<KafkaFeed>;

    fn live(&self) -> bool {
        self.live
    }

    fn waits(&self) -> bool {
        true
    }

    fn feed(&mut self, name: &str, partition: Partition) -> Self::Feed {
        let opened = self.opened.remove(name)?;
        let (position, cuts) = place_in(&self.start, name, opened.position);
        let cleansed = self.shared.client.cleansed;
        let builder = BlockBuilder::new(partition, position, self.limits, cuts, cleansed);
        let passed_over = self.passed_over.get(name).cloned().unwrap_or_default();
        Some(KafkaFeed::new(opened, builder, passed_over))
    }

    fn next(&mut self, feed: &mut Self::Feed) -> Result<Cut, PortError> {
        if let Some(failure) = self.shared.failure() {
            return Err(failure);
        }
        feed.as_mut().map_or(Ok(Cut::End), KafkaFeed::next)
    }

    fn discover(&mut self) -> Result<Vec<String>, PortError> {
        let names = self.new.try_iter().map(|opened| {
            let name = opened.name.to_string();
            self.opened.insert(name.clone(), opened);
            name
        });
        Ok(names.collect())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // Its message, if it panicked, is in the log.
            let _ = thread.join();
        }
    }
}
