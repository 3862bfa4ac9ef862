//! The watching thread: serves what librdkafka says to the client, looks for new partitions and for lost topics, keeps
//! telemetry fresh. It never touches a record.

use super::beginning::open_new;
use super::client::Client;
use super::feed::Opened;
use super::queue::known_end;
use super::telemetry::KafkaTelemetry;
use crate::kafka::PartitionName;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tidemark_engine::ports::PortError;

/// How long one round waits for librdkafka; also how soon the thread ends when it is told to.
const ROUND: Duration = Duration::from_millis(100);

/// How often telemetry is renewed, and brokers that do not answer are asked again.
const REFRESH: Duration = Duration::from_secs(1);

/// How many times in a row a topic must be missing to be gone: a broker that has just started may not know it yet.
const MISSES: u32 = 3;

/// What the watching thread shares with the others.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) telemetry: Arc<KafkaTelemetry>,
    /// Where the partitions without a committed position begin, by name.
    pub(super) firsts: Mutex<BTreeMap<String, u64>>,
    /// Why the source cannot go on, if so.
    failure: OnceLock<String>,
}

impl Shared {
    pub(super) fn new(client: Client) -> Arc<Self> {
        let telemetry = KafkaTelemetry::new(Arc::clone(&client.connection));
        Arc::new(Self { client, telemetry, firsts: Mutex::default(), failure: OnceLock::new() })
    }

    /// Why the source cannot go on, if so.
    pub(super) fn failure(&self) -> Option<PortError> {
        let own = self.failure.get().map(|message| PortError::Stop(message.clone()));
        own.or_else(|| self.client.connection.hopeless())
    }

    /// Notes partitions that are about to be read.
    pub(super) fn add(&self, opened: &Opened) {
        if let Ok(mut firsts) = self.firsts.lock() {
            firsts.insert(opened.name.to_string(), opened.position);
        }
        self.telemetry.add(Arc::clone(&opened.telemetry));
    }
}

/// The thread's own part.
pub(super) struct Watch {
    pub(super) shared: Arc<Shared>,
    pub(super) known: BTreeSet<PartitionName>,
    pub(super) discover: Duration,
    /// Whether new partitions are wanted.
    pub(super) live: bool,
    /// New partitions, being read.
    pub(super) found: Sender<Opened>,
    /// Closed when the source ends.
    pub(super) stop: Receiver<()>,
}

impl Watch {
    /// Runs until the source ends.
    pub(super) fn run(mut self) {
        let (mut refreshed, mut discovered) = (Instant::now(), Instant::now());
        let mut misses = 0;
        while self.stop.try_recv() == Err(TryRecvError::Empty) {
            self.shared.client.serve(ROUND);
            if refreshed.elapsed() < REFRESH {
                continue;
            }
            refreshed = Instant::now();
            self.refresh();
            if discovered.elapsed() < self.discover && self.shared.client.connection.is_up() {
                continue;
            }
            discovered = Instant::now();
            match self.discover(&mut misses) {
                Ok(()) => {}
                Err(PortError::Retry(message)) => self.shared.client.connection.down(&message),
                // The first failure is the one that counts.
                Err(PortError::Stop(message)) => drop(self.shared.failure.set(message)),
            }
        }
    }

    fn refresh(&self) {
        let by_name: BTreeMap<String, &PartitionName> =
            self.known.iter().map(|name| (name.to_string(), name)).collect();
        for partition in self.shared.telemetry.partitions() {
            let end = by_name.get(&partition.name).and_then(|name| known_end(&self.shared.client.consumer, name));
            if let Some(end) = end {
                partition.end.set(end as i64);
            }
        }
    }

    fn discover(&mut self, misses: &mut u32) -> Result<(), PortError> {
        let client = &self.shared.client;
        let found = client.look_again()?;
        let lost = self.known.iter().find(|name| !found.partitions.contains(name));
        *misses = if lost.is_some() { *misses + 1 } else { 0 };
        if let Some(lost) = lost
            && *misses >= MISSES
        {
            return Err(PortError::Stop(format!(
                "source topic {} is gone, or has lost partitions: bring it back with its records, or take it out of \
                 `source.topics` and start with an empty data folder",
                lost.topic
            )));
        }
        if !self.live {
            return Ok(());
        }
        for name in found.partitions.difference(&self.known.clone()) {
            let opened = open_new(client, name)?;
            client.assign([(name.clone(), opened.position)].into_iter())?;
            tracing::info!(partition = %name, "a new partition is read");
            self.shared.add(&opened);
            self.known.insert(name.clone());
            if self.found.send(opened).is_err() {
                break;
            }
        }
        Ok(())
    }
}
