//! The stages of a level, run by every worker side by side: one barrier per level.

use super::{DeadLetter, Engine, EngineError, EventTime, StateShard};
use crate::batch::EventBatch;
use crate::stage::emission::StageRows;
use crate::stage::route::RoutedRow;
use crate::stage::{StageInput, Worker, WorkerRows};
use std::ops::Range;

/// A worker and its state.
type Share<'a> = (&'a mut Worker, &'a mut dyn StateShard);

/// Rows by stage of the level, worker and consumer.
type Routed = Vec<Vec<Vec<Vec<RoutedRow>>>>;

impl Engine {
    /// Runs the stages `level`. Returns each one's rows in canonical order, and how many timers were due.
    pub(super) fn run_level(
        &mut self,
        level: Range<usize>,
        batches: &[EventBatch],
        before: &[EventTime],
        after: &[EventTime],
        in_past: bool,
        dead: &mut Vec<DeadLetter>,
    ) -> Result<(Vec<(usize, StageRows)>, usize), EngineError> {
        let routed = self.route(level.clone(), batches, in_past, dead);
        let stages = &self.job.stages[level.clone()];
        let (key_groups, poison, patience) = (self.settings.key_groups, &self.poison, self.patience);
        let run = |index: usize, (worker, shard): Share<'_>| -> Result<Vec<WorkerRows>, EngineError> {
            let mut outputs = Vec::with_capacity(stages.len());
            for (place, stage) in stages.iter().enumerate() {
                let input = StageInput {
                    stage,
                    batches,
                    watermark: before[stage.index],
                    next_watermark: after[stage.index],
                    key_groups,
                    in_past,
                    quarantined: poison[stage.index] > stage.spec.error_budget,
                    patience,
                };
                outputs.push(worker.run(shard, input, &routed[place][index])?);
            }
            Ok(outputs)
        };
        let shares: Vec<Share<'_>> =
            self.workers.iter_mut().zip(&mut self.shards).map(|(worker, shard)| (worker, &mut **shard)).collect();
        let outputs: Vec<Vec<WorkerRows>> = self.threads.each(shares, &run).into_iter().collect::<Result<_, _>>()?;
        let timers = outputs.iter().flatten().map(|output| output.timers).sum();
        Ok((self.collect(level, outputs, after, dead)?, timers))
    }

    fn route(&self, level: Range<usize>, batches: &[EventBatch], in_past: bool, dead: &mut Vec<DeadLetter>) -> Routed {
        let route_stage = |index: usize| {
            let stage = &self.job.stages[index];
            let consumers: &[_] = if stage.takes_part(in_past) { &stage.consumers[..] } else { &[] };
            let mut routed = vec![vec![Vec::new(); stage.consumers.len()]; self.workers.len()];
            for (place, consumer) in consumers.iter().enumerate() {
                let mut workers = vec![Vec::new(); self.workers.len()];
                for batch in batches.iter().enumerate() {
                    consumer.route(stage, batch, self.settings.key_groups, &mut workers, dead);
                }
                stage.telemetry.rows_in.add(workers.iter().map(|rows| rows.len() as u64).sum());
                for (worker, rows) in workers.into_iter().enumerate() {
                    routed[worker][place] = rows;
                }
            }
            routed
        };
        level.map(route_stage).collect()
    }

    fn collect(
        &mut self,
        level: Range<usize>,
        outputs: Vec<Vec<WorkerRows>>,
        after: &[EventTime],
        dead: &mut Vec<DeadLetter>,
    ) -> Result<Vec<(usize, StageRows)>, EngineError> {
        let mut by_stage: Vec<Vec<WorkerRows>> = level.clone().map(|_| Vec::new()).collect();
        for outputs in outputs {
            by_stage.iter_mut().zip(outputs).for_each(|(stage, output)| stage.push(output));
        }
        let mut rows = Vec::with_capacity(level.len());
        for (index, outputs) in level.zip(by_stage) {
            let stage = &self.job.stages[index];
            let first = dead.len();
            let mut parts = Vec::with_capacity(outputs.len());
            for output in outputs {
                self.poison[index] = self.poison[index].saturating_add(output.poison);
                dead.extend(output.dead);
                parts.push(output.rows);
            }
            sort_letters(&mut dead[first..]);
            let quarantined = self.poison[index] > stage.spec.error_budget;
            if stage.is_retired() || stage.reads_past {
                // The gauges are those of the version that took over; time of the past is not the job's.
                rows.push((index, StageRows::merge(parts)?));
                continue;
            }
            stage.telemetry.watermark_ms.set(after[index].0);
            if quarantined && stage.telemetry.quarantined.get() == 0 {
                tracing::error!(metric = %stage.spec.name, "quarantined: more poison groups than its budget");
            }
            stage.telemetry.quarantined.set(i64::from(quarantined));
            rows.push((index, StageRows::merge(parts)?));
        }
        Ok(rows)
    }
}

/// Dead letters of one stage in an order that does not depend on the number of workers.
fn sort_letters(letters: &mut [DeadLetter]) {
    letters.sort_by(|a, b| {
        let key = |letter: &DeadLetter| {
            let metric = letter.metric.as_ref();
            let key = metric.map(|metric| (metric.key.clone(), metric.window));
            (letter.event_time, letter.position, key, letter.reason)
        };
        key(a).cmp(&key(b))
    });
}
