//! The epoch protocol: prepare, decide, finalise; and what recovery does with an interrupted one.
//!
//! | a crash after | state says | recovery |
//! | --- | --- | --- |
//! | rows were written | the epoch before | sinks forget the epoch; its input is read again |
//! | prepare | the epoch before | the same |
//! | the tick log has it | the epoch before | the same, and the record is dropped; if the state is lost, the log decides: the epoch is run again without writing, and finalised |
//! | the state has it | this epoch | sinks finalise it |
//! | sinks have shown it | this epoch | nothing |

use super::outputs::{Reached, handle_key};
use super::retry::retry;
use super::{Engine, EngineError, OpenEpoch};
use crate::fail_point;
use crate::ids::Epoch;
use crate::ports::MetaBatch;
use crate::progress::PartitionState;
use crate::tick_log::EpochRecord;
use std::collections::BTreeMap;
use std::time::Instant;
use tidemark_dataflow::EventTime;

impl Engine {
    /// The epoch protocol: prepare, decide, finalise.
    pub(super) fn commit(&mut self) -> Result<(), EngineError> {
        let started = Instant::now();
        let (number, again, patience) = (self.epoch.number, self.replay.pop_front(), self.patience);
        (self.hook)(fail_point::PREPARE);
        let reached = self.reached();
        let handles = self.outputs.prepare(number, &reached, again.as_ref().map(|record| &record.handles))?;
        (self.hook)(fail_point::PREPARED);
        if let (None, Some(log)) = (&again, &mut self.tick_log) {
            let record = EpochRecord {
                partitions: self.ingest.met(),
                changes: std::mem::take(&mut self.epoch.changes),
                caught_up: std::mem::take(&mut self.epoch.caught_up),
                ticks: std::mem::take(&mut self.epoch.ticks),
                handles: handles.clone(),
            };
            let record = record.encode();
            retry(patience, || log.append(number, &record))?;
            self.has_decided = true;
        }
        (self.hook)(fail_point::LOGGED);
        let ended = self.commit_state(number, &handles)?;
        (self.hook)(fail_point::COMMITTED);
        self.outputs.finalise(number, &handles)?;
        if again.is_none() {
            self.ingest.committed();
        }
        (self.hook)(fail_point::FINALISED);
        self.telemetry.epoch.set(number.0 as i64);
        self.telemetry.commit_ns.set(started.elapsed().as_nanos() as i64);
        self.telemetry.commits.observe(started.elapsed());
        self.telemetry.epochs.observe(self.epoch.opened.elapsed());
        self.epoch = OpenEpoch::new(Epoch(number.0 + 1));
        self.checkpoint(number)?;
        if ended && !self.progress.finished {
            self.compile_anew()?;
        }
        self.begin_epoch()
    }

    /// How far everything is that the open epoch takes in.
    fn reached(&self) -> Reached {
        // Behind the end of the source the watermark goes on to the end of time, which is no news for anybody else.
        let watermark = self.progress.drain.is_none().then(|| self.watermarks.current());
        Reached {
            positions: self.ingest.committing(),
            watermark: watermark.filter(|at| *at != EventTime::MIN),
            idle: self.watermarks.all_idle(),
        }
    }

    /// The commit point: one synced write of everything that the epoch changed. Returns whether stages have ended with it.
    fn commit_state(&mut self, number: Epoch, handles: &[(String, Vec<u8>)]) -> Result<bool, EngineError> {
        let ended = self.ended_stages()?;
        self.progress.stages.retain(|stage| !ended.contains(&stage.id));
        let dropped = [&self.epoch.dropped[..], &ended].concat();
        let mut meta = MetaBatch { dropped, ..MetaBatch::default() };
        if let Some(dedup) = &mut self.dedup {
            dedup.commit(number, &mut meta);
        }
        self.enrichment.commit(&mut meta);
        self.keep_progress(number);
        meta.puts.push(self.progress.entry());
        meta.puts.extend(handles.iter().map(|(name, handle)| (handle_key(name), handle.clone())));
        retry(self.patience, || self.state.commit(&mut self.shards, &meta))?;
        Ok(!ended.is_empty())
    }

    fn keep_progress(&mut self, number: Epoch) {
        self.progress.epoch = number;
        self.progress.next_partition = self.ingest.next_partition();
        let names = self.ingest.names().zip(self.ingest.positions());
        self.progress.partitions = names
            .map(|(name, position)| PartitionState {
                name: name.to_owned(),
                position,
                max_seen: EventTime::MIN.0,
                activity: "active".to_owned(),
                writers: BTreeMap::new(),
            })
            .collect();
        self.progress.keep_watermarks(&self.watermarks);
        self.progress.poison.clear();
        for (stage, count) in self.job.stages.iter().zip(&mut self.poison) {
            if *count <= stage.spec.error_budget {
                *count /= 2;
            }
            let held = (stage.spec.digest.to_string(), *count);
            self.progress.poison.insert(stage.id, held);
        }
    }

    fn checkpoint(&mut self, number: Epoch) -> Result<(), EngineError> {
        let every = self.settings.checkpoint_every;
        let due = every > 0 && number.0.is_multiple_of(every) || self.progress.finished;
        let may = !self.settings.shared || self.has_decided;
        if due && may { self.checkpoint_now(number) } else { Ok(()) }
    }

    /// Keeps an image of the last commit, which is that of epoch `number`.
    pub(super) fn checkpoint_now(&mut self, number: Epoch) -> Result<(), EngineError> {
        let every = self.settings.checkpoint_every;
        let Some(store) = self.checkpoints.as_mut().filter(|_| every > 0) else { return Ok(()) };
        let (folder, patience) = (&self.settings.snapshot_folder, self.patience);
        retry(patience, || self.state.snapshot(folder))?;
        (self.hook)(fail_point::SNAPSHOT);
        retry(patience, || store.save(number, folder))?;
        if let (Some(log), Some(oldest)) = (&mut self.tick_log, retry(patience, || store.oldest())?) {
            retry(patience, || log.forget_before(oldest))?;
        }
        self.telemetry.checkpoints.add(1);
        self.checkpointed = number;
        (self.hook)(fail_point::CHECKPOINTED);
        Ok(())
    }
}
