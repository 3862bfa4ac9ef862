//! Brings events to a file or an endpoint, on a thread of its own.
//!
//! Bounded everywhere: events that wait, attempts, the time of each, the wait at the end. Knows nothing of what is in an
//! event.

use super::LineageTelemetry;
use crate::config::http::Secret;
use crate::config::lineage::{LineageSettings, LineageTarget};
use anyhow::{Context as _, bail};
use reqwest::{Client, StatusCode, Url, header, redirect};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Events that may wait.
const QUEUE: usize = 64;

/// Attempts to bring one event to an endpoint.
const ATTEMPTS: u32 = 5;

/// The pause behind the first attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How long one attempt may take.
const WITHIN: Duration = Duration::from_secs(5);

/// How long the end of the run waits for what is still on its way.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// The way of events to where they go.
pub(super) struct Delivery {
    queue: SyncSender<String>,
    /// Closed by the thread when it has ended.
    ended: Receiver<()>,
    telemetry: Arc<LineageTelemetry>,
}

impl Delivery {
    /// Starts the thread.
    pub(super) fn start(settings: &LineageSettings) -> anyhow::Result<Self> {
        let destination = Destination::new(settings)?;
        let (queue, events) = sync_channel::<String>(QUEUE);
        let (ending, ended) = sync_channel(0);
        let telemetry = Arc::new(LineageTelemetry::default());
        let counters = Arc::clone(&telemetry);
        let thread = std::thread::Builder::new().name("lineage".to_owned());
        thread
            .spawn(move || {
                // Dropped at the end, whatever the end is.
                let _ending: SyncSender<()> = ending;
                let mut is_away = false;
                for event in events {
                    match destination.bring(&event) {
                        Ok(()) => {
                            is_away = false;
                            counters.delivered.add(1);
                        }
                        Err(error) => {
                            counters.dropped.add(1);
                            // Once per outage; the counter tells the rest.
                            if !is_away {
                                tracing::warn!(error = format!("{error:#}"), "an event of lineage was not taken");
                            }
                            is_away = true;
                        }
                    }
                }
            })
            .context("cannot start a thread")?;
        Ok(Self { queue, ended, telemetry })
    }

    /// Queues an event; drops it where the queue is full.
    pub(super) fn send(&self, event: String) {
        if self.queue.try_send(event).is_err() {
            self.telemetry.dropped.add(1);
        }
    }

    /// What became of events.
    pub(super) fn telemetry(&self) -> Arc<LineageTelemetry> {
        Arc::clone(&self.telemetry)
    }

    /// Waits a moment until everything queued is out.
    pub(super) fn finish(self) {
        drop(self.queue);
        if self.ended.recv_timeout(LAST_WAIT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the last events of lineage were not taken in time");
        }
    }
}

enum Destination {
    File(PathBuf),
    Http(Box<Endpoint>),
}

struct Endpoint {
    runtime: tokio::runtime::Runtime,
    client: Client,
    url: Url,
    token: Option<Secret>,
}

impl Destination {
    fn new(settings: &LineageSettings) -> anyhow::Result<Self> {
        match &settings.to {
            LineageTarget::File(path) => Ok(Self::File(path.clone())),
            LineageTarget::Http(url) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let client = Client::builder().timeout(WITHIN).redirect(redirect::Policy::none()).build()?;
                let endpoint = Endpoint { runtime, client, url: url.clone(), token: settings.token.clone() };
                Ok(Self::Http(Box::new(endpoint)))
            }
        }
    }

    fn bring(&self, event: &str) -> anyhow::Result<()> {
        match self {
            Self::File(path) => append(path, event).with_context(|| format!("cannot write {}", path.display())),
            Self::Http(endpoint) => endpoint.post(event),
        }
    }
}

/// Adds a line in one write, so that lines of several processes don't mix.
fn append(path: &Path, event: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{event}\n").as_bytes())
}

/// What an attempt came to.
enum Attempt {
    Taken,
    Again(String),
    Refused(StatusCode),
}

impl Endpoint {
    fn post(&self, event: &str) -> anyhow::Result<()> {
        let mut pause = FIRST_PAUSE;
        for number in 1..=ATTEMPTS {
            match self.runtime.block_on(self.attempt(event)) {
                Attempt::Taken => return Ok(()),
                Attempt::Refused(status) => {
                    bail!("the endpoint refuses it: {status}; check `lineage.url` and the token")
                }
                Attempt::Again(reason) if number == ATTEMPTS => bail!("{reason}, {ATTEMPTS} times"),
                Attempt::Again(_) => {
                    std::thread::sleep(pause);
                    pause *= 2;
                }
            }
        }
        Ok(())
    }

    async fn attempt(&self, event: &str) -> Attempt {
        let request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "application/json");
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.reveal()),
            None => request,
        };
        match request.body(event.to_owned()).send().await {
            // Without the URL, whose query may hold a key.
            Err(error) => Attempt::Again(format!("{:#}", anyhow::Error::from(error.without_url()))),
            Ok(answer) if answer.status().is_success() => Attempt::Taken,
            Ok(answer) => match answer.status() {
                status if status.is_server_error() => Attempt::Again(format!("the endpoint answers {status}")),
                status @ (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => {
                    Attempt::Again(format!("the endpoint answers {status}"))
                }
                status => Attempt::Refused(status),
            },
        }
    }
}
