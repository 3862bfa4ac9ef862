//! Changes of the metrics while the job runs: considered on a copy, then taken over at an epoch boundary.
//!
//! A change is an epoch of its own without ticks: the log has it, and the state commits it with the states that it
//! drops. A crash before that leaves the metrics as they were, a crash after it leaves them changed; nothing is half
//! changed. What the job starts with differently from last time is the beginning of the next epoch instead.
//!
//! | a crash after | the log says | recovery |
//! | --- | --- | --- |
//! | the change was accepted, before the open epoch was committed | nothing of it | as if it had never been asked for |
//! | the open epoch was committed, the change not logged | nothing of it | the same |
//! | the log has the change, the state not | the change, as the last record | the state is there: the record is dropped, as if it had never been asked for; it is lost: the change is run again |
//! | the state has it | the change | the job goes on with the new metrics |

use super::{Engine, EngineError, OpenEpoch};
use crate::deployment::{Catalogue, Change, ChangeError, Deployment, Origin};
use crate::enrichment::Enrichment;
use crate::fail_point;
use crate::guest::{Guest, VarBytes};
use crate::ids::StageId;
use crate::job::{Job, Running, Tables};
use crate::metric::MetricSpec;
use crate::output::Table;
use crate::pane::Pane;
use crate::plan::ExtractionPlan;
use crate::ports::{PortError, StateBackend};
use crate::progress::Progress;
use crate::stage::Stage;
use crate::succession::Facts;
use crate::telemetry::Telemetry;
use std::sync::Arc;
use std::time::Instant;
use tidemark_dataflow::EventTime;

/// States of a metric that a new version must be able to migrate at least one of.
const SAMPLES: usize = 16;

/// A job that is compiled and not running yet.
pub(super) struct Compiled {
    pub(super) progress: Progress,
    pub(super) job: Job,
    pub(super) plan: Arc<ExtractionPlan>,
    /// Stages whose state goes.
    pub(super) dropped: Vec<StageId>,
}

impl Engine {
    /// Changes the metrics. What is open is committed first; then all of `changes` take effect, as one committed step, or
    /// none does. Returns how long it held processing up, in nanoseconds.
    ///
    /// Modules should have been compiled before: [`Catalogue::metric`] is asked for them meanwhile.
    pub fn change(&mut self, changes: Vec<Change>) -> Result<u64, ChangeError> {
        if !self.replay.is_empty() {
            return Err(ChangeError::refused("the job is recovering what it had done before: try again in a moment"));
        }
        if self.progress.finished || self.ingest.ended() {
            return Err(ChangeError::refused("the source has ended: a finished job takes no change any more"));
        }
        if !self.at_epoch_boundary() {
            self.commit()?;
        }
        let started = Instant::now();
        let compiled = self.consider(&changes)?;
        self.check_migrations(&compiled)?;
        self.take_over(compiled)?;
        self.epoch.changes = changes;
        (self.hook)(fail_point::CHANGED);
        self.commit()?;
        let held_up = started.elapsed().as_nanos() as u64;
        self.telemetry.changes.add(1);
        self.telemetry.change_ns.set(held_up as i64);
        self.telemetry.change_max_ns.set(self.telemetry.change_max_ns.get().max(held_up as i64));
        Ok(held_up)
    }

    /// Whether `changes` could take effect now, without their doing so.
    pub fn check_change(&self, changes: &[Change]) -> Result<(), ChangeError> {
        self.check_migrations(&self.consider(changes)?)
    }

    /// Makes the changes again that the tick log has of the epoch that is run again.
    pub(super) fn change_again(&mut self, changes: &[Change]) -> Result<(), EngineError> {
        let compiled = self.consider(changes);
        compiled.and_then(|compiled| self.take_over(compiled)).map_err(|error| match error {
            ChangeError::Engine(error) => error,
            ChangeError::Refused(reasons) => EngineError::Job(format!(
                "a change of the metrics that was made before cannot be made again: {}",
                reasons.join("; ")
            )),
        })?;
        self.epoch.changes = changes.to_vec();
        Ok(())
    }

    /// Brings the job to what it is started with, where that differs from how it was left.
    pub(super) fn start_with(&mut self, metrics: &[MetricSpec]) -> Result<(), EngineError> {
        let changes = differences(&self.progress, metrics);
        if changes.is_empty() || self.progress.finished {
            return Ok(());
        }
        let compiled = self.consider(&changes);
        let taken =
            compiled.and_then(|compiled| self.check_migrations(&compiled).and_then(|()| self.take_over(compiled)));
        taken.map_err(into_stop)?;
        self.epoch.changes = changes;
        Ok(())
    }

    fn consider(&self, changes: &[Change]) -> Result<Compiled, ChangeError> {
        let facts = Known {
            stages: &self.job.stages,
            poison: &self.poison,
            catalogue: &*self.catalogue,
            has_history: self.history.is_some(),
        };
        let terms = Terms {
            enrichment: &self.enrichment,
            archive: self.settings.archive,
            rows_from_elsewhere: self.settings.rows_from_elsewhere,
            telemetry: &self.telemetry,
        };
        consider(&self.progress, changes, &facts, &terms)
    }

    fn check_migrations(&self, compiled: &Compiled) -> Result<(), ChangeError> {
        check_migrations(&*self.state, &self.job, &compiled.job)
    }

    /// Puts a compiled job in place of the one that runs. After [`ChangeError::Refused`] nothing has changed.
    pub(super) fn take_over(&mut self, compiled: Compiled) -> Result<(), ChangeError> {
        let Compiled { mut progress, job, plan, dropped } = compiled;
        let old_place = |stage: &Stage| {
            let same = |old: &&Stage| old.id == stage.id && Arc::ptr_eq(&old.spec.guest, &stage.spec.guest);
            self.job.stages.iter().find(same).map(|old| old.index)
        };
        let places: Vec<Option<usize>> = job.stages.iter().map(old_place).collect();
        let mut fresh: Vec<Vec<Option<Box<dyn Guest>>>> = Vec::with_capacity(self.workers.len());
        for _ in &self.workers {
            let guests = job.stages.iter().zip(&places).map(|(stage, place)| match place {
                Some(_) => Ok(None),
                None => stage.spec.guest.instantiate().map(Some),
            });
            let guests: Result<Vec<_>, _> = guests.collect();
            fresh.push(guests.map_err(|error| ChangeError::refused(error.to_string()))?);
        }
        if *plan != *self.plan {
            self.ingest.change_plan(plan.clone()).map_err(|error| match error {
                PortError::Stop(reason) => ChangeError::refused(reason),
                retry @ PortError::Retry(_) => ChangeError::Engine(retry.into()),
            })?;
        }
        for (worker, fresh) in self.workers.iter_mut().zip(fresh) {
            let mut old: Vec<Option<Box<dyn Guest>>> =
                std::mem::take(&mut worker.guests).into_iter().map(Some).collect();
            let guests = fresh.into_iter().zip(&places).map(|(fresh, place)| {
                let kept = place.and_then(|place| old[place].take());
                kept.or(fresh).expect("a stage has its old instance or a fresh one")
            });
            worker.guests = guests.collect();
        }
        progress.poison.retain(|id, _| job.stages.iter().any(|stage| stage.id == *id));
        // What is counted since the last commit is not in the progress yet.
        for (stage, count) in self.job.stages.iter().zip(&self.poison) {
            if job.stages.iter().any(|new| new.id == stage.id) {
                progress.poison.insert(stage.id, (stage.spec.digest.to_string(), *count));
            }
        }
        self.poison = held_poison(&job, &progress);
        (self.job, self.plan, self.progress) = (job, plan, progress);
        self.epoch.dropped.extend(dropped);
        Ok(())
    }

    /// Stages of versions that were taken over from, and whose last window has ended.
    pub(super) fn ended_stages(&mut self) -> Result<Vec<StageId>, EngineError> {
        let watermarks = self.job.watermarks(self.watermarks.current());
        let mut ended = Vec::new();
        for stage in &self.job.stages {
            let Some(until) = stage.until else { continue };
            // No window that starts before `until` can still be opened.
            let closed = match stage.spec.aligned() {
                Some(windows) => {
                    let last = EventTime(until).plus_ms(windows.size_ms()).plus_ms(stage.spec.allowed_lateness_ms);
                    watermarks[stage.index] >= last
                }
                None => true,
            };
            if !closed {
                continue;
            }
            let mut open = false;
            for shard in &mut self.shards {
                open |= super::retry::retry(self.patience, || shard.earliest(stage.id))?.is_some();
            }
            if !open {
                ended.push(stage.id);
            }
        }
        Ok(ended)
    }

    /// Compiles the job anew, as its stages are now.
    pub(super) fn compile_anew(&mut self) -> Result<(), EngineError> {
        let compiled = self.consider(&[]);
        compiled.and_then(|compiled| self.take_over(compiled)).map_err(into_stop)
    }
}

impl OpenEpoch {
    /// Whether nothing happened in it.
    pub(super) fn is_empty(&self) -> bool {
        self.ticks.is_empty() && self.changes.is_empty() && self.caught_up.is_empty()
    }
}

/// Poison groups held against each stage's module.
pub(super) fn held_poison(job: &Job, progress: &Progress) -> Vec<u32> {
    let held = |stage: &Stage| {
        let held = progress.poison.get(&stage.id);
        held.filter(|(digest, _)| *digest == stage.spec.digest.to_string()).map_or(0, |(_, count)| *count)
    };
    job.stages.iter().map(held).collect()
}

/// What compiling needs besides the metrics.
pub(super) struct Terms<'a> {
    pub(super) enrichment: &'a Enrichment,
    pub(super) archive: bool,
    pub(super) rows_from_elsewhere: bool,
    pub(super) telemetry: &'a Telemetry,
}

/// The job as it was committed and, where `wanted` differs from it, as it goes on, with what has changed.
pub(super) fn open(
    committed: Progress,
    wanted: Option<&[MetricSpec]>,
    catalogue: &dyn Catalogue,
    state: &dyn StateBackend,
    terms: &Terms<'_>,
    has_history: bool,
) -> Result<(Compiled, Vec<Change>), EngineError> {
    let facts = Known { stages: &[], poison: &[], catalogue, has_history };
    let old = consider(&committed, &[], &facts, terms).map_err(into_stop)?;
    let changes = wanted.map_or_else(Vec::new, |wanted| differences(&committed, wanted));
    if changes.is_empty() {
        return Ok((old, changes));
    }
    let poison = held_poison(&old.job, &committed);
    let facts = Known { stages: &old.job.stages, poison: &poison, catalogue, has_history };
    let new = consider(&committed, &changes, &facts, terms).map_err(into_stop)?;
    check_migrations(state, &old.job, &new.job).map_err(into_stop)?;
    Ok((new, changes))
}

fn consider(
    progress: &Progress,
    changes: &[Change],
    facts: &Known<'_>,
    terms: &Terms<'_>,
) -> Result<Compiled, ChangeError> {
    let mut progress = progress.clone();
    let mut dropped = Vec::new();
    for change in changes {
        dropped.extend(progress.change(change, facts).map_err(ChangeError::Refused)?);
    }
    let mut running: Vec<Running> = Vec::with_capacity(progress.stages.len());
    for record in &progress.stages {
        running.push((record.clone(), facts.metric(&record.deployment).map_err(ChangeError::Refused)?));
    }
    let table = |(name, deployment): (&String, &Deployment)| {
        let columns = progress.columns.get(name).map_or(&[][..], Vec::as_slice);
        let replaces = running
            .iter()
            .any(|(record, spec)| spec.name == *name && (spec.allowed_lateness_ms > 0 || record.repeats_rows()));
        let table = Table { sinks: deployment.sinks.clone(), replaces, ..Table::clone(&Table::metric(name, columns)) };
        (name.clone(), Arc::new(table))
    };
    let tables: Tables = progress.metrics.iter().map(table).collect();
    let mut plan = ExtractionPlan::default();
    let modules = &mut progress.modules;
    let job = Job::compile(running, &tables, &mut plan, modules, terms.telemetry, terms.rows_from_elsewhere);
    let job = job.map_err(ChangeError::refused)?;
    terms.enrichment.add_slots(&mut plan, terms.archive);
    Ok(Compiled { job, plan: Arc::new(plan), dropped, progress })
}

/// A version that takes states over must be able to migrate at least one of those that are there.
fn check_migrations(state: &dyn StateBackend, old: &Job, new: &Job) -> Result<(), ChangeError> {
    for stage in new.stages.iter().filter(|stage| stage.spec.interval_join().is_none()) {
        let (name, version) = (&stage.spec.name, stage.spec.state_version);
        let takes_over = |old: &&Stage| old.id == stage.id && old.spec.state_version != version;
        if !old.stages.iter().any(|old| takes_over(&old)) {
            continue;
        }
        let samples = state.sample(stage.id, SAMPLES).map_err(EngineError::from)?;
        let mut guest = stage.spec.guest.instantiate().map_err(|error| ChangeError::refused(error.to_string()))?;
        let mut failures = Vec::new();
        let mut tried = 0;
        for pane in samples.iter().filter_map(|value| Pane::decode(value).ok()) {
            if pane.state.is_empty() || pane.state_version == version {
                continue;
            }
            let mut states = VarBytes::default();
            states.push(pane.state);
            let folded = guest.migrate(&states, pane.state_version);
            let folded = folded.map_err(|error| ChangeError::refused(error.to_string()))?;
            failures.extend(folded.failures.into_iter().map(|failure| (pane.state_version, failure.detail)));
            tried += 1;
        }
        if let Some((found, detail)) = failures.first().filter(|_| failures.len() == tried) {
            return Err(ChangeError::refused(format!(
                "metric {name}: none of {tried} states of version {found} can be migrated to version {version}: {detail}; \
                 implement `migrate`, or let it drop its state (reset_state)"
            )));
        }
    }
    Ok(())
}

/// A refusal where there is nobody to refuse: the run ends.
fn into_stop(error: ChangeError) -> EngineError {
    match error {
        ChangeError::Engine(error) => error,
        ChangeError::Refused(reasons) => EngineError::Job(reasons.join("; ")),
    }
}

/// What is known of metrics: those that run, and every other from the catalogue.
struct Known<'a> {
    stages: &'a [Stage],
    /// By stage.
    poison: &'a [u32],
    catalogue: &'a dyn Catalogue,
    has_history: bool,
}

impl Facts for Known<'_> {
    fn metric(&self, deployment: &Deployment) -> Result<MetricSpec, Vec<String>> {
        match self.stages.iter().find(|stage| stage.spec.deployment == *deployment) {
            Some(stage) => Ok(stage.spec.clone()),
            None => self.catalogue.metric(deployment),
        }
    }

    fn has_history(&self) -> bool {
        self.has_history
    }

    fn is_quarantined(&self, id: StageId) -> bool {
        let stage = self.stages.iter().find(|stage| stage.id == id);
        stage.is_some_and(|stage| self.poison[stage.index] > stage.spec.error_budget)
    }
}

/// What has to change for the metrics of the job's file to be those of `wanted`. Metrics that somebody deployed while the
/// job ran stay as they are.
fn differences(progress: &Progress, wanted: &[MetricSpec]) -> Vec<Change> {
    let of_file = |deployment: &&Deployment| deployment.origin == Origin::File;
    let gone = progress.metrics.values().filter(of_file).map(|deployment| deployment.name.clone());
    let gone = gone.filter(|name| !wanted.iter().any(|metric| metric.name == *name));
    let mut changes: Vec<Change> = gone.map(|name| Change::Undeploy { name }).collect();
    for metric in wanted {
        let known = progress.metrics.get(&metric.name);
        if let Some(known) = known.filter(|known| known.origin != Origin::File) {
            tracing::warn!(metric = known.name, "was deployed while the job ran: what the file says of it is not used");
            continue;
        }
        // A pause outlives a restart.
        let deployment = Deployment { paused: known.is_some_and(|known| known.paused), ..metric.deployment.clone() };
        if known != Some(&deployment) {
            let reset_state = metric.may_reset_state;
            changes.push(Change::Deploy { deployment: Box::new(deployment), reset_state, past: None });
        }
    }
    changes
}
