//! Sources: where raw records come from, cut into blocks and decoded ahead of the engine.
//!
//! [`RecordSource`] is the engine's port. Behind it an origin opens partitions from a position on, a cutter makes
//! blocks of their lines, and a [`Decoder`] turns blocks into batches, inline or in threads of its own. Which threads
//! there are decides only how fast it goes: the batches are the same.

mod cutter;
mod error;
mod feed;
pub mod generate;
mod inline;
mod input;
mod origin;
mod pipeline;
mod settings;

pub use error::SourceError;
pub use settings::{FileSettings, GenerateSourceSettings, ReadSettings, SourceKind, SourceSettings};

use crate::cleanse::{CleanseSettings, Decoder};
use cutter::BlockLimits;
use feed::FeedRules;
use inline::Inline;
use origin::Origin;
use pipeline::Pipeline;
use std::sync::Arc;
use std::time::Duration;
use tidemark_engine::ids::Partition;
use tidemark_engine::ports::{Next, PortError, Source, SourceStart};

/// How long a live source rests when nothing comes.
const POLL: Duration = Duration::from_millis(5);

/// How often a followed folder is looked through.
const RESCAN: Duration = Duration::from_millis(500);

/// Events from files, standard input or the generator.
pub struct RecordSource {
    settings: SourceSettings,
    cleanse: CleanseSettings,
    origin: Option<Origin>,
    bounded: bool,
    names: Vec<String>,
    running: Option<Running>,
}

enum Running {
    Inline(Box<Inline>),
    Ahead(Pipeline),
}

impl RecordSource {
    /// A source that has not started. Settings are checked by [`ReadSettings::mistakes`] and when it starts.
    #[must_use]
    pub fn new(settings: SourceSettings, cleanse: CleanseSettings) -> Self {
        let origin = Origin::new(settings.from.clone());
        let names = origin.names();
        Self { bounded: origin.bounded(), origin: Some(origin), settings, cleanse, names, running: None }
    }
}

impl Source for RecordSource {
    fn start(&mut self, start: SourceStart) -> Result<(), PortError> {
        let Some(mut origin) = self.origin.take() else {
            return Err(PortError::Stop("a source starts only once".to_owned()));
        };
        let ReadSettings { decoders, prefetch, max_record_bytes } = self.settings.read;
        if let Some(mistake) = self.settings.read.mistakes().into_iter().next() {
            return Err(PortError::Stop(mistake));
        }
        let decoder = Decoder::new(&self.cleanse, Arc::clone(&start.plan))
            .map_err(|mistakes| PortError::Stop(mistakes.to_string()))?;
        self.names = origin.initial(&start.positions)?;
        let limits =
            BlockLimits { records: start.block_records, bytes: start.block_bytes, record_bytes: max_record_bytes };
        let rules = FeedRules { limits, live: !self.bounded };
        self.running = Some(if decoders == 0 {
            Running::Inline(Box::new(Inline::new(origin, &self.names, rules, start, decoder)))
        } else {
            Running::Ahead(Pipeline::start(origin, &self.names, rules, start, &decoder, decoders, prefetch)?)
        });
        Ok(())
    }

    fn partitions(&self) -> &[String] {
        &self.names
    }

    fn next(&mut self, partition: Partition, wait: Duration) -> Result<Next, PortError> {
        match &mut self.running {
            None => Err(PortError::Stop("the source has not started".to_owned())),
            Some(Running::Inline(inline)) => inline.next(partition, wait, &mut self.names),
            Some(Running::Ahead(pipeline)) => pipeline.next(partition, wait, &mut self.names),
        }
    }

    fn bounded(&self) -> bool {
        self.bounded
    }
}

#[cfg(test)]
mod tests;
