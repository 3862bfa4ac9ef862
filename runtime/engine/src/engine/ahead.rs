//! What draining must know of the timers that are still open, over all stages and shards.

use super::EngineError;
use super::retry::{Patience, retry};
use crate::drain::Ahead;
use crate::job::Job;
use crate::ports::StateShard;
use crate::stage::Stage;
use tidemark_dataflow::EventTime;

/// Timers of the stages that run: those of a quarantined one wait for the end of time, those of a paused one longer.
pub(super) struct OpenTimers<'a> {
    pub(super) job: &'a Job,
    pub(super) shards: &'a mut [Box<dyn StateShard>],
    /// Poison groups by stage.
    pub(super) poison: &'a [u32],
    pub(super) patience: Patience,
}

impl OpenTimers<'_> {
    /// Stages that run, with the watermarks that they have when the source's is `source`.
    fn stages(&self, source: EventTime) -> impl Iterator<Item = (&Stage, EventTime)> {
        let stages = self.job.stages.iter().zip(self.job.watermarks(source));
        let waits = |stage: &Stage| {
            !stage.takes_part(false) || self.poison[stage.index] > stage.spec.error_budget && !stage.is_retired()
        };
        stages.filter(move |(stage, _)| !waits(stage))
    }
}

impl Ahead for OpenTimers<'_> {
    type Error = EngineError;

    fn earliest(&mut self) -> Result<Option<EventTime>, EngineError> {
        // A stage's watermark is the source's less a delay.
        let stages: Vec<_> = self.stages(EventTime(0)).map(|(stage, watermark)| (stage.id, -watermark.0)).collect();
        let mut earliest: Option<EventTime> = None;
        for (stage, delay_ms) in stages {
            for shard in &mut *self.shards {
                if let Some(due) = retry(self.patience, || shard.earliest(stage))? {
                    let due = due.plus_ms(delay_ms);
                    earliest = Some(earliest.map_or(due, |earliest| earliest.min(due)));
                }
            }
        }
        Ok(earliest)
    }

    fn count(&mut self, until: EventTime, limit: usize) -> Result<usize, EngineError> {
        let stages: Vec<_> = self.stages(until).map(|(stage, watermark)| (stage.id, watermark)).collect();
        let mut count = 0;
        for (stage, watermark) in stages {
            for shard in &mut *self.shards {
                let room = limit - count;
                count += retry(self.patience, || shard.count_due(stage, watermark, room))?;
            }
        }
        Ok(count)
    }
}
