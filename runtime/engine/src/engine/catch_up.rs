//! Metrics that begin with the past: they are taken through the archive, an epoch of it after the other, at the beginning of
//! live epochs, until nothing is left between them and what comes.
//!
//! What they have read is committed with the epoch in which they read it, together with their states and rows, so it is read
//! once, whenever the process dies. How much is read in an epoch is the clock's to decide, so the tick log has it. A stage
//! that has read everything that is committed, while nothing is open, has no gap before it: from there on it takes part.

use super::retry::retry;
use super::{Engine, EngineError, EventTime};
use crate::batch::EventBatch;
use crate::enrichment::Enrichment;
use crate::ids::{Epoch, Partition, StageId};
use crate::ports::PortError;
use crate::progress::Past;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The share of an epoch's interval that reading the past may take: what comes has the rest.
const SHARE: u32 = 2;

/// Epochs of the past that are read in an epoch at least: with one, the present would never come nearer.
const LEAST: usize = 2;

/// How long an epoch of a live source lasts that has spent `past_took` on the past: what comes has at least as long, even
/// where [`LEAST`] epochs of the archive take longer than their share.
pub(super) fn length_of_epoch(interval: Duration, past_took: Duration) -> Duration {
    interval.max(past_took.saturating_mul(SHARE))
}

impl Engine {
    /// Whether a metric still reads the past.
    pub(super) fn reads_past(&self) -> bool {
        self.progress.stages.iter().any(|stage| stage.past.is_some())
    }

    /// Reads on in the past, once an epoch, before its first tick. In an epoch that is run again, as far as then.
    pub(super) fn read_past(&mut self) -> Result<(), EngineError> {
        if self.epoch.past_is_read || !self.epoch.ticks.is_empty() {
            return Ok(());
        }
        self.epoch.past_is_read = true;
        self.settle()?;
        if !self.reads_past() {
            return Ok(());
        }
        let read = match self.replay.front() {
            Some(record) => record.caught_up.clone(),
            None => self.as_far_as_there_is_time()?,
        };
        if self.replay.front().is_some() {
            for (id, until) in &read {
                while self.past(*id).is_some_and(|past| past.next <= *until) {
                    self.read_epoch(*id)?;
                }
            }
        }
        self.epoch.caught_up = read;
        let committed = self.progress.epoch;
        let mut arrived = Vec::new();
        for stage in &mut self.progress.stages {
            // Only who has read something in this epoch: so a re-run finds the same moment.
            let has_read = self.epoch.caught_up.iter().any(|(id, _)| *id == stage.id);
            if let Some(past) = stage.past.take_if(|past| has_read && past.next > committed) {
                tracing::info!(metric = stage.deployment.name, "has read the past and takes what comes");
                stage.arriving = true;
                arrived.push((stage.id, EventTime(past.watermark)));
            }
        }
        if arrived.is_empty() {
            return Ok(());
        }
        self.compile_anew()?;
        arrived.into_iter().try_for_each(|(id, watermark)| self.arrive(id, watermark))
    }

    /// Tells sinks that rows of stages which arrived in the epoch before take nobody's place any more.
    fn settle(&mut self) -> Result<(), EngineError> {
        let arrived = self.progress.stages.iter_mut().filter(|stage| stage.arriving);
        if arrived.map(|stage| stage.arriving = false).count() == 0 {
            return Ok(());
        }
        self.compile_anew()
    }

    /// Closes what the job's watermark has passed, which is ahead of the one that followed from the past: the next tick may
    /// be far.
    fn arrive(&mut self, id: StageId, watermark: EventTime) -> Result<(), EngineError> {
        let after = self.job.watermarks(self.watermarks.current());
        let before = vec![watermark; after.len()];
        let Some(index) = self.job.stages.iter().position(|stage| stage.id == id) else { return Ok(()) };
        self.run_past(index, &[], &before, &after, false)
    }

    /// Reads a few epochs of the past, for every metric that has to. Returns how far each has come.
    fn as_far_as_there_is_time(&mut self) -> Result<Vec<(StageId, Epoch)>, EngineError> {
        let (started, committed) = (Instant::now(), self.progress.epoch);
        let budget = self.settings.epoch_interval / SHARE;
        let reading: Vec<StageId> =
            self.progress.stages.iter().filter(|stage| stage.past.is_some()).map(|stage| stage.id).collect();
        let mut read = Vec::with_capacity(reading.len());
        let mut rows = 0;
        for id in reading {
            let (mut until, mut epochs) = (None, 0);
            while let Some(next) = self.past(id).map(|past| past.next).filter(|next| *next <= committed) {
                rows += self.read_epoch(id)?;
                (until, epochs) = (Some(next), epochs + 1);
                let is_enough = started.elapsed() >= budget || rows >= self.settings.epoch_records;
                if is_enough && epochs >= LEAST {
                    break;
                }
            }
            // Behind a date of the future there is nothing yet: it has read all of it.
            let until = until.or_else(|| self.past(id).is_some_and(|past| past.next > committed).then_some(committed));
            read.extend(until.map(|until| (id, until)));
        }
        self.epoch.past_took = started.elapsed();
        Ok(read)
    }

    fn past(&self, id: StageId) -> Option<&Past> {
        self.progress.stages.iter().find(|stage| stage.id == id)?.past.as_ref()
    }

    /// Takes the stage `id` through the next epoch of its past. Returns how many rows that has.
    fn read_epoch(&mut self, id: StageId) -> Result<usize, EngineError> {
        let Some(mut past) = self.past(id).cloned() else { return Ok(0) };
        let Some(stage) = self.job.stages.iter().find(|stage| stage.id == id) else { return Ok(0) };
        let (index, from) = (stage.index, stage.from);
        let (epoch, committed, plan) = (past.next, self.progress.epoch, Arc::clone(&self.plan));
        let Some(history) = &mut self.history else {
            return Err(EngineError::Job(
                "a metric of this job still reads the past, and the archive is turned off: turn [archive] on again"
                    .to_owned(),
            ));
        };
        let blocks = retry(self.patience, || history.events(epoch, committed, &plan))?;
        let names: Vec<&str> = self.ingest.names().collect();
        // What was submitted again neither moves the watermark nor holds it back.
        let moves: Vec<bool> = self.ingest.again().map(|again| again.is_none()).collect();
        let mut batches = Vec::with_capacity(blocks.len());
        for (name, mut batch) in blocks {
            let place = names.iter().position(|own| *own == name).ok_or_else(|| {
                PortError::Stop(format!("the archive has events of partition {name}, which the source has never had"))
            })?;
            batch.partition = Partition(place as u32);
            leave_out_older(&mut batch, from);
            Enrichment::fill_as_then(&plan, &mut batch);
            if let Some(newest) = batch.newest_event_time().filter(|_| moves[place]) {
                let seen = past.max_seen.entry(name).or_insert(i64::MIN);
                *seen = (*seen).max(newest.0);
            }
            batches.push(batch);
        }
        batches.sort_by_key(|batch| batch.partition);
        let before = past.watermark;
        past.watermark = before.max(self.watermark_of(&past, moves.iter().filter(|moves| **moves).count()));
        let stages = self.job.stages.len();
        let of_all = |watermark: i64| vec![EventTime(watermark); stages];
        let rows: usize = batches.iter().map(EventBatch::rows).sum();
        self.run_past(index, &batches, &of_all(before), &of_all(past.watermark), true)?;
        past.next = Epoch(past.next.0 + 1);
        if let Some(stage) = self.progress.stages.iter_mut().find(|stage| stage.id == id) {
            stage.past = Some(past);
        }
        Ok(rows)
    }

    /// Runs one stage, and writes what comes of it.
    fn run_past(
        &mut self,
        index: usize,
        batches: &[EventBatch],
        before: &[EventTime],
        after: &[EventTime],
        in_past: bool,
    ) -> Result<(), EngineError> {
        let mut dead = Vec::new();
        let (emitted, _) = self.run_level(index..index + 1, batches, before, after, in_past, &mut dead)?;
        for (index, emitted) in emitted {
            let stage = &self.job.stages[index];
            stage.telemetry.rows_out.add(emitted.len() as u64);
            self.outputs.write_stage(stage, &emitted, self.epoch.number)?;
        }
        self.write_dead(&dead)
    }

    /// The watermark that follows from what was read: never ahead of what it was when that came, since a partition that has
    /// had no event yet, or was idle then, holds it back.
    fn watermark_of(&self, past: &Past, partitions: usize) -> i64 {
        if past.max_seen.len() < partitions {
            return i64::MIN;
        }
        let bound = self.settings.watermark_bound_ms;
        let of = |seen: &i64| seen.min(&(i64::MAX - 1)).saturating_sub(bound).saturating_sub(1);
        past.max_seen.values().map(of).min().unwrap_or(i64::MIN)
    }
}

/// Rows of before the stage begins are not its.
fn leave_out_older(batch: &mut EventBatch, from: i64) {
    for row in 0..batch.rows() {
        if batch.event_times[row] < from {
            batch.drop_row(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_has_half_of_the_time_or_more() {
        let ms = Duration::from_millis;
        for (interval, past_took) in [(1_000, 0), (1_000, 500), (1_000, 501), (1_000, 20_000), (0, 30)] {
            let length = length_of_epoch(ms(interval), ms(past_took));
            assert!(length >= ms(interval) && length - ms(past_took) >= length / SHARE, "{interval} {past_took}");
        }
    }
}
