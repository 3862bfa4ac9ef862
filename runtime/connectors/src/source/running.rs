//! A source that has started: it reads inline or ahead, as its settings say.

use super::inline::Inline;
use super::origin::Origin;
use super::pipeline::Pipeline;
use super::settings::ReadSettings;
use crate::cleanse::{CleanseSettings, Decoder};
use std::sync::Arc;
use std::time::Duration;
use tidemark_engine::ids::Partition;
use tidemark_engine::plan::ExtractionPlan;
use tidemark_engine::ports::{Next, PortError, SourceStart};

/// How an origin is read.
pub(crate) enum Running<O: Origin> {
    Inline(Box<Inline<O>>),
    Ahead(Box<Pipeline>),
}

impl<O: Origin> Running<O> {
    /// Begins to read the partitions `names`.
    pub(crate) fn start(origin: O, names: &[String], decoder: Decoder, read: &ReadSettings) -> Result<Self, PortError> {
        Ok(if read.decoders == 0 {
            Self::Inline(Box::new(Inline::new(origin, names, decoder)))
        } else {
            Self::Ahead(Box::new(Pipeline::start(origin, names, decoder, read.decoders, read.prefetch)?))
        })
    }
}

impl<O: Origin> Running<O> {
    /// Gives every block from now on what `decoder` makes of it, those included that were decoded ahead.
    pub(crate) fn change_decoder(&mut self, decoder: Decoder) {
        match self {
            Self::Inline(inline) => inline.change_decoder(decoder),
            Self::Ahead(pipeline) => pipeline.change_decoder(decoder),
        }
    }
}

/// Changes what is extracted. See [`tidemark_engine::ports::Source::change_plan`].
pub(crate) fn change_plan<O: Origin>(
    running: &mut Option<Running<O>>,
    cleanse: &CleanseSettings,
    plan: Arc<ExtractionPlan>,
) -> Result<(), PortError> {
    let decoder = Decoder::new(cleanse, plan).map_err(|mistakes| PortError::Stop(mistakes.to_string()))?;
    let running = running.as_mut().ok_or_else(|| PortError::Stop("the source has not started".to_owned()))?;
    running.change_decoder(decoder);
    Ok(())
}

/// The next block of a partition. Adds the names of new partitions.
pub(crate) fn next<O: Origin>(
    running: &mut Option<Running<O>>,
    partition: Partition,
    wait: Duration,
    names: &mut Vec<String>,
) -> Result<Next, PortError> {
    match running {
        None => Err(PortError::Stop("the source has not started".to_owned())),
        Some(Running::Inline(inline)) => inline.next(partition, wait, names),
        Some(Running::Ahead(pipeline)) => pipeline.next(partition, wait, names),
    }
}

/// A decoder of what the engine asks for.
pub(crate) fn decoder(cleanse: &CleanseSettings, start: &SourceStart) -> Result<Decoder, PortError> {
    Decoder::new(cleanse, Arc::clone(&start.plan)).map_err(|mistakes| PortError::Stop(mistakes.to_string()))
}
