//! Records that are submitted again for one metric: to it alone, and back as dead letters where it takes none. They are not
//! archived a second time, so nothing else would ever bring them to it.

use super::Engine;
use crate::batch::EventBatch;
use crate::dead_letter::{DeadLetter, GroupContext, Reason};
use crate::ids::Digest;
use crate::stage::Stage;
use crate::stage::route::dead_row;
use bytes::Bytes;
use tidemark_dataflow::EventTime;

impl Engine {
    /// Leaves the rows of `batch` to the stages of `metric`, and puts those aside that none of them takes.
    pub(super) fn leave_to(&self, metric: &str, batch: &mut EventBatch, dead: &mut Vec<DeadLetter>) {
        self.job.restrict(batch, metric);
        let own: Vec<&Stage> = self.job.stages.iter().filter(|stage| stage.spec.name == metric).collect();
        for row in (0..batch.rows()).filter(|row| !batch.is_dropped(*row)).collect::<Vec<_>>() {
            let time = EventTime(batch.event_times[row]);
            if own.iter().any(|stage| stage.has_place_for(time)) {
                continue;
            }
            let detail = self.why_not(metric, &own).to_owned();
            dead.push(match own.first() {
                Some(stage) => dead_row(stage, batch, row, Reason::NotTaken, detail),
                None => self.dead_row_of_none(metric, batch, row, detail),
            });
            batch.drop_row(row);
        }
    }

    fn why_not(&self, metric: &str, own: &[&Stage]) -> &'static str {
        match self.progress.metrics.get(metric) {
            None => "the metric does not run: deploy it, then submit this letter again",
            Some(deployment) if deployment.paused => "the metric is paused: resume it, then submit this letter again",
            Some(_) if own.iter().any(|stage| stage.reads_past) => {
                "the metric is still reading the past: submit this letter again when it has"
            }
            Some(_) => "no version of the metric that runs has windows of this time: they are of before it began",
        }
    }

    /// Of a row for a metric that has no stage.
    fn dead_row_of_none(&self, metric: &str, batch: &EventBatch, row: usize, detail: String) -> DeadLetter {
        let digest = self.progress.metrics.get(metric).map_or(Digest([0; 32]), |deployment| deployment.module);
        DeadLetter {
            reason: Reason::NotTaken,
            detail,
            position: Some((batch.partition, batch.offsets[row])),
            event_time: Some(batch.event_times[row]),
            payload: Bytes::copy_from_slice(batch.raw.get(row)),
            metric: Some(Box::new(GroupContext {
                metric: metric.to_owned(),
                digest,
                key: String::new(),
                window: None,
                state: Vec::new(),
            })),
        }
    }
}
