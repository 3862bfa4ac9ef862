//! Lineage: tells an OpenLineage endpoint or file that the job runs, what it reads and writes, and which columns come
//! from which.
//!
//! ```text
//! run ── START, RUNNING, COMPLETE or FAIL ── queue ── thread ── file or HTTP
//!        [`event`], of [`datasets`]          64       [`delivery`]
//! ```
//!
//! Never in the job's way: an event that finds the queue full is dropped and counted, an endpoint that is away costs
//! nothing but a warning, and the end of the run waits a few seconds at most.

mod columns;
mod datasets;
mod delivery;
mod event;

use crate::catalogue::Deployed;
use crate::config::Config;
use datasets::Datasets;
use delivery::Delivery;
use event::{Events, Moment};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemark_engine::telemetry::{Counter, Telemetry};

/// What became of events.
#[derive(Debug, Default)]
pub struct LineageTelemetry {
    /// Events that a file or an endpoint took.
    pub delivered: Counter,
    /// Events that were given up.
    pub dropped: Counter,
}

/// The lineage of one run; does nothing where it is not configured.
#[derive(Default)]
pub struct Lineage(Option<Told>);

struct Told {
    events: Events,
    delivery: Delivery,
    interval: Duration,
    last: Instant,
}

impl Lineage {
    /// Tells that a run starts.
    #[must_use]
    pub fn start(config: &Config, metrics: &[Deployed], telemetry: Arc<Telemetry>) -> Self {
        let Some(settings) = &config.lineage else { return Self::default() };
        let datasets = Datasets::of(config, metrics);
        let bounded = config.source.is_bounded();
        let events = Events::new(&settings.namespace, &config.job.name, bounded, datasets, telemetry);
        let delivery = match Delivery::start(settings) {
            Ok(delivery) => delivery,
            Err(error) => {
                tracing::warn!(%error, "lineage is not told");
                return Self::default();
            }
        };
        delivery.send(events.event(Moment::Start));
        Self(Some(Told { events, delivery, interval: settings.interval, last: Instant::now() }))
    }

    /// What became of its events; `None` where lineage is off.
    #[must_use]
    pub fn telemetry(&self) -> Option<Arc<LineageTelemetry>> {
        self.0.as_ref().map(|told| told.delivery.telemetry())
    }

    /// Tells that the run goes on, if it is time to.
    pub fn running(&mut self) {
        if let Some(told) = &mut self.0
            && told.last.elapsed() >= told.interval
        {
            told.last = Instant::now();
            told.delivery.send(told.events.event(Moment::Running));
        }
    }

    /// Tells how the run ended, well or with this message, and waits a moment until that is out.
    pub fn end(self, failure: Option<String>) {
        let Some(told) = self.0 else { return };
        told.delivery.send(told.events.event(failure.map_or(Moment::Complete, Moment::Fail)));
        told.delivery.finish();
    }
}
