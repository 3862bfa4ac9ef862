//! Sources: where raw records come from, cut into blocks and decoded ahead of the engine.
//!
//! [`RecordSource`] and [`kafka::KafkaSource`] are the engine's ports. Behind them an origin reads blocks of partitions
//! from a position on, and a [`Decoder`](crate::cleanse::Decoder) turns blocks into batches, inline or in threads of its
//! own. Which threads there are decides only how fast it goes: the batches are the same.

pub mod again;
mod cutter;
mod error;
pub mod generate;
mod inline;
mod input;
pub mod kafka;
mod lines;
mod origin;
mod pipeline;
mod places;
mod running;
mod settings;
mod spent;

pub use error::SourceError;
pub use settings::{FileSettings, GenerateSourceSettings, ReadSettings, SourceKind, SourceSettings};

use crate::cleanse::CleanseSettings;
use cutter::BlockLimits;
use lines::Lines;
use places::Places;
use running::Running;
use std::sync::Arc;
use std::time::Duration;
use tidemark_engine::ids::Partition;
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{Next, PortError, Source, SourceStart};

/// How long a live source rests when nothing comes.
const POLL: Duration = Duration::from_millis(5);

/// How often a followed folder is looked through.
const RESCAN: Duration = Duration::from_millis(500);

/// Events from files, standard input or the generator.
pub struct RecordSource {
    settings: SourceSettings,
    cleanse: CleanseSettings,
    places: Option<Places>,
    bounded: bool,
    names: Vec<String>,
    running: Option<Running<Lines>>,
}

impl RecordSource {
    /// A source that has not started. Settings are checked by [`ReadSettings::mistakes`] and when it starts.
    #[must_use]
    pub fn new(settings: SourceSettings, cleanse: CleanseSettings) -> Self {
        let places = Places::new(settings.from.clone());
        let names = places.names();
        Self { bounded: places.bounded(), places: Some(places), settings, cleanse, names, running: None }
    }
}

impl Source for RecordSource {
    fn start(&mut self, start: SourceStart) -> Result<(), PortError> {
        let Some(mut places) = self.places.take() else {
            return Err(PortError::Stop("a source starts only once".to_owned()));
        };
        let read = &self.settings.read;
        if let Some(mistake) = read.mistakes().into_iter().next() {
            return Err(PortError::Stop(mistake));
        }
        let decoder = running::decoder(&self.cleanse, &start)?;
        self.names = places.initial(&start.positions)?;
        let limits = BlockLimits::new(&start, read);
        let lines = Lines { places, limits, start };
        self.running = Some(Running::start(lines, &self.names, decoder, read)?);
        Ok(())
    }

    fn partitions(&self) -> &[String] {
        &self.names
    }

    fn next(&mut self, partition: Partition, wait: Duration) -> Result<Next, PortError> {
        running::next(&mut self.running, partition, wait, &mut self.names)
    }

    fn change_plan(&mut self, plan: Arc<ExtractionPlan>) -> Result<(), PortError> {
        running::change_plan(&mut self.running, &self.cleanse, plan)
    }

    fn bounded(&self) -> bool {
        self.bounded
    }
}

#[cfg(test)]
mod tests;
