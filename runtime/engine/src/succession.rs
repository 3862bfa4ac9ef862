//! Succession: what a change of the metrics does to the stages and their states. Pure: a function of what is committed and
//! of the change, so that a re-run comes to the same.
//!
//! | the metric had | the new version | what becomes of its state |
//! | --- | --- | --- |
//! | nothing | any | it begins: with the first window of which it sees every row, or with the next row of a key |
//! | any window | computes the same, under other limits, sinks or lateness | it goes on in the same stage |
//! | tumbling, sliding, sessions | any | two stages: the old version ends the windows that are open, the new one takes those of which no row was seen yet |
//! | the same, but quarantined | the same window and key | windows that waited go to the new version: their states are migrated when they are next needed |
//! | key, join | the same key and window, and for a join the same input columns | the state goes to the new version, migrated when it is next needed |
//! | key, join | others | refused, unless it may be dropped |

use crate::deployment::{Change, Deployment, PastWanted};
use crate::descriptor::{InputColumn, OutputColumn, WindowSpec};
use crate::ids::{Epoch, StageId};
use crate::metric::MetricSpec;
use crate::progress::{Past, Progress, StageRecord};

/// What deciding needs to know of metrics.
pub(crate) trait Facts {
    /// The metric of a deployment.
    fn metric(&self, deployment: &Deployment) -> Result<MetricSpec, Vec<String>>;

    /// Whether a stage's module is over its error budget.
    fn is_quarantined(&self, stage: StageId) -> bool;

    /// Whether the events of the past can be had.
    fn has_history(&self) -> bool;
}

/// Earlier versions of a metric that are remembered.
const HISTORY: usize = 16;

/// Whether windows end by themselves, so that a version can be left to end its own.
pub(crate) const fn ends_by_itself(window: &WindowSpec) -> bool {
    matches!(window, WindowSpec::Tumbling { .. } | WindowSpec::Sliding { .. } | WindowSpec::Session { .. })
}

impl Progress {
    /// Makes `change` part of the job. Returns the stages whose state is dropped. After an error it is as undefined as a
    /// change that was half made: work on a copy.
    pub(crate) fn change(&mut self, change: &Change, facts: &dyn Facts) -> Result<Vec<StageId>, Vec<String>> {
        match change {
            Change::Undeploy { name } => self.undeploy(name),
            Change::Deploy { deployment, reset_state, past: None } => self.deploy(deployment, *reset_state, facts),
            Change::Deploy { deployment, past: Some(past), .. } => self.deploy_with_past(deployment, *past, facts),
        }
    }

    fn undeploy(&mut self, name: &str) -> Result<Vec<StageId>, Vec<String>> {
        if self.metrics.remove(name).is_none() {
            return Err(vec![format!("there is no metric {name}")]);
        }
        self.history.remove(name);
        let is_its = |stage: &StageRecord| stage.deployment.name == name;
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.stages).into_iter().partition(is_its);
        self.stages = kept;
        Ok(gone.into_iter().map(|stage| stage.id).collect())
    }

    fn deploy(
        &mut self,
        deployment: &Deployment,
        reset_state: bool,
        facts: &dyn Facts,
    ) -> Result<Vec<StageId>, Vec<String>> {
        let new = facts.metric(deployment)?;
        self.add_columns(&new)?;
        if let Some(old) = self.metrics.insert(deployment.name.clone(), deployment.clone()) {
            self.keep_history(old, deployment);
        }
        let windows = ends_by_itself(&new.window);
        let from = if windows { self.unseen() } else { i64::MIN };
        let current = self.stages.iter().position(|stage| stage.deployment.name == new.name && stage.until.is_none());
        let Some(current) = current else {
            // A paused one begins when the pause is over.
            if !(deployment.paused && windows) {
                self.begin(deployment, from, None)?;
            }
            return Ok(Vec::new());
        };
        let record = &self.stages[current];
        if record.past.is_some() {
            return Err(vec![still_reading(&new.name)]);
        }
        let old = facts.metric(&record.deployment)?;
        if windows && deployment.paused {
            return self.retire(current, &old);
        }
        if new.computes_as(&old) || inherits(&old, &new, facts.is_quarantined(record.id)) {
            self.stages[current].deployment = deployment.clone();
            return Ok(Vec::new());
        }
        if ends_by_itself(&old.window) {
            let sessions = |spec: &MetricSpec| matches!(spec.window, WindowSpec::Session { .. });
            // Which of two stages of sessions takes a row is a matter of its key.
            let from = if sessions(&old) && sessions(&new) { record.from } else { from.max(record.from) };
            let begun = self.stages[current].begun;
            let dropped = self.retire(current, &old)?;
            self.begin(deployment, from, None)?;
            if sessions(&old) && sessions(&new) {
                self.made_of(begun);
            }
            return Ok(dropped);
        }
        if !reset_state {
            return Err(vec![cannot_inherit(&old, &new)]);
        }
        let dropped = self.stages.remove(current);
        self.begin(deployment, from, None)?;
        if kind(&old.window) == kind(&new.window) {
            self.made_of(dropped.begun);
        }
        Ok(vec![dropped.id])
    }

    /// The stage that has just begun is to be made again, if ever, of the rows since `epoch`.
    fn made_of(&mut self, epoch: Epoch) {
        if let Some(stage) = self.stages.last_mut() {
            stage.begun = epoch;
        }
    }

    /// Deploys a metric that begins with the past.
    fn deploy_with_past(
        &mut self,
        deployment: &Deployment,
        past: PastWanted,
        facts: &dyn Facts,
    ) -> Result<Vec<StageId>, Vec<String>> {
        let new = facts.metric(deployment)?;
        let name = &new.name;
        let refuse = |reason: String| Err(vec![format!("metric {name}: {reason}")]);
        if !facts.has_history() {
            return refuse(
                "this job keeps no archive, so there is no past to begin with: turn on [archive]".to_owned(),
            );
        }
        if crate::job::upstream_of(&new).iter().next().is_some() {
            return refuse("it reads the rows of another metric, and only events are archived".to_owned());
        }
        self.add_columns(&new)?;
        let current = self.stages.iter().position(|stage| stage.deployment.name == new.name && stage.until.is_none());
        let (from, next, dropped) = match (past, current) {
            (PastWanted::Date { epoch, from_ms }, None) if !self.metrics.contains_key(name) => {
                (from_ms, epoch, Vec::new())
            }
            (PastWanted::Date { .. }, _) => {
                return refuse("it is deployed already: deploy it under another name, or undeploy it first".to_owned());
            }
            (PastWanted::CutOver, Some(current)) => {
                let record = self.stages[current].clone();
                if record.past.is_some() {
                    return Err(vec![still_reading(name)]);
                }
                let old = facts.metric(&record.deployment)?;
                let both_aligned = old.aligned().is_some() && new.aligned().is_some();
                if !both_aligned && kind(&old.window) != kind(&new.window) {
                    return refuse(
                        "it had another kind of window before, whose state is gone: roll back from now on".to_owned(),
                    );
                }
                // The windows before belong to another stage, which goes on to end them; sessions may have gone over from it.
                let goes = |stage: &StageRecord| {
                    stage.id == record.id || !both_aligned && stage.deployment.name == record.deployment.name
                };
                let dropped = self.stages.iter().filter(|stage| goes(stage)).map(|stage| stage.id).collect();
                self.stages.retain(|stage| !goes(stage));
                (record.from, record.begun, dropped)
            }
            (PastWanted::CutOver, None) => return refuse("no version of it runs: resume it first".to_owned()),
        };
        if let Some(old) = self.metrics.insert(name.clone(), deployment.clone()) {
            self.keep_history(old, deployment);
        }
        self.begin(deployment, from, Some(Past::from(next)))?;
        Ok(dropped)
    }

    /// Remembers what a metric was, for a roll-back. A pause is no version of its own.
    fn keep_history(&mut self, old: Deployment, new: &Deployment) {
        let plain =
            |deployment: &Deployment| Deployment { paused: false, origin: Default::default(), ..deployment.clone() };
        if plain(&old) == plain(new) {
            return;
        }
        let history = self.history.entry(old.name.clone()).or_default();
        history.push(plain(&old));
        if history.len() > HISTORY {
            history.remove(0);
        }
    }

    /// Makes room for the rows of `new` in the metric's table, which only ever gets more columns: its old rows are there,
    /// and rows of two versions stand side by side while windows of the older one are open.
    fn add_columns(&mut self, new: &MetricSpec) -> Result<(), Vec<String>> {
        let table = self.columns.entry(new.name.clone()).or_default();
        if table.is_empty() {
            table.clone_from(&new.output);
            return Ok(());
        }
        let mut mistakes = Vec::new();
        let mut refuse = |column: &str, what: &str| {
            let advice = "keep the column as it was, or deploy it under another name";
            mistakes.push(format!("metric {}: column {column} {what}; {advice}", new.name));
        };
        for known in table.iter() {
            match new.output.iter().find(|column| column.name == known.name) {
                Some(column) if column.kind != known.kind => refuse(&known.name, "has another type than in its table"),
                Some(column) if column.nullable && !known.nullable => refuse(&known.name, "is never null in its table"),
                None if !known.nullable => refuse(&known.name, "is never null in its table, and missing now"),
                _ => {}
            }
        }
        let known = |column: &&OutputColumn| table.iter().any(|known| known.name == column.name);
        // Rows of before lack them.
        let added: Vec<OutputColumn> = new.output.iter().filter(|column| !known(column)).cloned().collect();
        table.extend(added.into_iter().map(|column| OutputColumn { nullable: true, ..column }));
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    fn begin(&mut self, deployment: &Deployment, from: i64, past: Option<Past>) -> Result<(), Vec<String>> {
        let id = StageId(self.next_stage);
        let next = self.next_stage.checked_add(1);
        self.next_stage = next.ok_or_else(|| vec!["this job has seen 65,535 versions of metrics".to_owned()])?;
        // Else the epoch that commits this change.
        let begun = past.as_ref().map_or(Epoch(self.epoch.0 + 1), |past| past.next);
        self.stages.push(StageRecord {
            id,
            deployment: deployment.clone(),
            from,
            until: None,
            begun,
            past,
            arriving: false,
        });
        Ok(())
    }

    /// Leaves a stage to its open windows. One that never had any goes at once.
    fn retire(&mut self, place: usize, spec: &MetricSpec) -> Result<Vec<StageId>, Vec<String>> {
        let until = self.unseen();
        let stage = &mut self.stages[place];
        let sessions = matches!(spec.window, WindowSpec::Session { .. });
        if stage.from < until || sessions && until > i64::MIN {
            stage.until = Some(until);
            return Ok(Vec::new());
        }
        Ok(vec![self.stages.remove(place).id])
    }
}

/// Whether the state of `old` can become that of `new`.
fn inherits(old: &MetricSpec, new: &MetricSpec, quarantined: bool) -> bool {
    let same_keys = old.key == new.key && kind(&old.window) == kind(&new.window);
    match &old.window {
        WindowSpec::Key { .. } => same_keys,
        WindowSpec::IntervalJoin { .. } => same_keys && same_columns(old, new),
        window => quarantined && same_keys && *window == new.window,
    }
}

fn kind(window: &WindowSpec) -> std::mem::Discriminant<WindowSpec> {
    std::mem::discriminant(window)
}

/// Whether rows that wait for a partner are encoded alike.
fn same_columns(old: &MetricSpec, new: &MetricSpec) -> bool {
    let encoded = |input: &InputColumn| (input.path.clone(), input.kind, input.side);
    old.inputs.iter().map(encoded).eq(new.inputs.iter().map(encoded))
}

fn still_reading(name: &str) -> String {
    format!("metric {name}: it is still reading the past: wait until it has, or undeploy it")
}

fn cannot_inherit(old: &MetricSpec, new: &MetricSpec) -> String {
    let what = if kind(&old.window) != kind(&new.window) {
        "its state is that of another kind of window"
    } else if old.key != new.key {
        "its state belongs to keys of another path"
    } else {
        "rows that wait for a partner were kept with other input columns than it reads now"
    };
    format!("metric {}: {what}; deploy it under another name, or let it drop its state (reset_state)", new.name)
}
