//! One tick: through dedup, enrichment and the stages, level by level, to the archive and the sinks.

use super::{Engine, EngineError, ahead};
use crate::archive;
use crate::batch::{Carried, EventBatch};
use crate::dead_letter::DeadLetter;
use crate::dedup::Dedup;
use crate::drain::Drain;
use crate::ids::Tick;
use crate::ingest::TickInput;
use crate::ports::Again;
use crate::telemetry::Telemetry;
use tidemark_dataflow::EventTime;
use tidemark_dataflow::watermark::Activity;

impl Engine {
    pub(super) fn run_tick(&mut self, tick: TickInput) -> Result<(), EngineError> {
        let TickInput { record, mut batches } = tick;
        self.progress.tick = Tick(self.progress.tick.0 + 1);
        self.telemetry.ticks.add(1);
        let mut dead: Vec<DeadLetter> = Vec::new();
        let partitions = self.ingest.names().count();
        self.watermarks.ensure(partitions);
        for (place, families) in self.ingest.written_by() {
            self.watermarks.expect(place, families);
        }
        let again: Vec<Option<Again>> = self.ingest.again().map(Option::<&Again>::cloned).collect();
        for index in (0..partitions).filter(|index| again[*index].is_some()) {
            // The time of what is submitted again has passed: it neither moves the watermark nor holds it back.
            self.watermarks.set_activity(index, Activity::Idle);
        }
        for batch in &mut batches {
            let again = again[batch.partition.0 as usize].as_ref();
            self.epoch.records += batch.records;
            self.telemetry.records.add(batch.records as u64);
            self.telemetry.bytes.add(batch.raw.buffer.len() as u64);
            dead.append(&mut batch.dead);
            // Before anything looks at it: what was dropped leaves no trace, so that the archive holds all that counts.
            match (again.and_then(|again| again.metric.as_deref()), &mut self.dedup) {
                (Some(metric), _) => self.leave_to(metric, batch, &mut dead),
                (None, Some(dedup)) => drop_duplicates(dedup, batch, &self.telemetry),
                (None, None) => {}
            }
            let newest = batch.newest_event_time();
            self.progress.newest_seen = self.progress.newest_seen.max(newest.map_or(i64::MIN, |newest| newest.0));
            let place = batch.partition.0 as usize;
            match (&batch.watermark, newest.filter(|_| again.is_none())) {
                (Carried::Nothing, Some(newest)) => self.watermarks.observe(place, newest),
                (Carried::At(watermark), _) => self.watermarks.carry(place, EventTime(*watermark)),
                (Carried::Marks(marks), _) => marks.iter().for_each(|mark| self.watermarks.hear(place, mark)),
                _ => {}
            }
        }
        self.enrichment.learn(&batches);
        batches.iter_mut().for_each(|batch| self.enrichment.fill(&self.plan, batch, &self.telemetry));
        for index in &record.idle {
            self.watermarks.set_activity(*index as usize, Activity::Idle);
        }
        for index in &record.ended {
            self.watermarks.set_activity(*index as usize, Activity::Ended);
        }
        self.epoch.ticks.push(record);
        let before = self.job.watermarks(self.watermarks.current());
        let target = self.drain_target()?;
        let watermark = self.watermarks.advance_up_to(target);
        let after = self.job.watermarks(watermark);
        self.telemetry.watermark_ms.set(watermark.0);
        if self.settings.archive {
            self.archive(&batches)?;
        }
        let timers = self.run_stages(batches, &before, &after, &mut dead)?;
        if self.progress.drain.is_some() {
            self.epoch.records += timers;
        }
        if let Some(dedup) = &mut self.dedup {
            dedup.expire(watermark, &self.telemetry);
        }
        self.write_dead(&dead)
    }

    /// How far the watermark may go in this tick: once every partition has ended, to the end of time in steps.
    fn drain_target(&mut self) -> Result<EventTime, EngineError> {
        if !self.watermarks.all_ended() && !self.ingest.ended() {
            return Ok(EventTime::MAX);
        }
        if self.reads_past() {
            // The end of time waits for who has not come to the present yet.
            return Ok(self.watermarks.current());
        }
        let mut ahead = ahead::OpenTimers {
            job: &self.job,
            shards: &mut self.shards,
            poison: &self.poison,
            patience: self.patience,
        };
        let drain = self.progress.drain.get_or_insert(Drain::START);
        drain.next(self.watermarks.current(), self.watermarks.as_if_active(), &mut ahead)
    }

    /// Runs every level. Returns how many timers were due.
    fn run_stages(
        &mut self,
        mut batches: Vec<EventBatch>,
        before: &[EventTime],
        after: &[EventTime],
        dead: &mut Vec<DeadLetter>,
    ) -> Result<usize, EngineError> {
        let mut timers = 0;
        for level in self.job.levels.clone() {
            let (rows, due) = self.run_level(level, &batches, before, after, false, dead)?;
            timers += due;
            for (index, rows) in rows {
                let stage = &self.job.stages[index];
                stage.telemetry.rows_out.add(rows.len() as u64);
                if rows.len() == 0 {
                    continue;
                }
                self.outputs.write_stage(stage, &rows, self.epoch.number)?;
                if self.job.has_readers(index) {
                    let newest = rows.times.iter().copied().max();
                    self.progress.newest_seen = self.progress.newest_seen.max(newest.unwrap_or(i64::MIN));
                    batches.push(rows.as_events(stage, &self.plan, self.progress.tick));
                }
            }
        }
        Ok(timers)
    }

    fn archive(&mut self, batches: &[EventBatch]) -> Result<(), EngineError> {
        if !self.outputs.take_rows() {
            return Ok(());
        }
        let names: Vec<&str> = self.ingest.names().collect();
        // What goes to one metric alone was archived when it first came.
        let is_new = self.ingest.again().map(|again| again.is_none_or(|again| again.metric.is_none()));
        let is_new: Vec<bool> = is_new.collect();
        let is_wanted = |batch: &&EventBatch| batch.rows() > 0 && is_new[batch.partition.0 as usize];
        for batch in batches.iter().filter(is_wanted) {
            let name = names[batch.partition.0 as usize];
            let rows = archive::event_rows(&self.events, &self.plan, batch, name, self.epoch.number)?;
            self.outputs.write(&self.events, &rows)?;
        }
        Ok(())
    }

    pub(super) fn write_dead(&mut self, dead: &[DeadLetter]) -> Result<(), EngineError> {
        if dead.is_empty() || !self.outputs.take_rows() {
            return Ok(());
        }
        dead.iter().for_each(|letter| self.telemetry.add_dead(letter.reason, 1));
        let names: Vec<&str> = self.ingest.names().collect();
        let rows = archive::dead_rows(&self.dead_letters, dead, &names, self.epoch.number)?;
        self.outputs.write(&self.dead_letters, &rows)
    }
}

/// Takes events out whose id was seen before.
fn drop_duplicates(dedup: &mut Dedup, batch: &mut EventBatch, telemetry: &Telemetry) {
    let mut duplicates = 0;
    for row in 0..batch.rows() {
        if !dedup.is_new(batch.ids[row], batch.event_times[row]) {
            batch.drop_row(row);
            duplicates += 1;
        }
    }
    telemetry.duplicates.add(duplicates);
}
