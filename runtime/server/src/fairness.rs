//! Fairness: a module that takes more time than its budget, for ten seconds, is paused. The clock decides, so the decision
//! comes from outside the engine, as a change like others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tidemark_engine::deployment::{Change, Deployment};
use tidemark_engine::telemetry::Telemetry;

/// How long time is added up before it is judged.
const SPAN: Duration = Duration::from_secs(10);

/// Watches the time in modules.
pub struct Fairness {
    since: Instant,
    /// Time in each metric's module, in nanoseconds, at `since`.
    before: BTreeMap<String, u64>,
}

impl Fairness {
    /// Begins to watch.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { since: now, before: BTreeMap::new() }
    }

    /// What has to change, if a span is over: metrics over their budgets are paused.
    pub fn check(
        &mut self,
        now: Instant,
        metrics: &BTreeMap<String, Deployment>,
        telemetry: &Telemetry,
    ) -> Vec<Change> {
        let span = now.saturating_duration_since(self.since);
        if span < SPAN {
            return Vec::new();
        }
        let times = telemetry.stages().into_iter().map(|(name, stage)| (name, stage.guest_ns.get()));
        let (before, times) = (std::mem::take(&mut self.before), times.collect::<BTreeMap<_, _>>());
        let mut changes = Vec::new();
        for deployment in metrics.values().filter(|deployment| !deployment.paused) {
            let Some(budget) = deployment.cpu_budget else { continue };
            let of = |times: &BTreeMap<String, u64>| times.get(&deployment.name).copied().unwrap_or(0);
            let share = of(&times).saturating_sub(of(&before)) as f64 / span.as_nanos() as f64;
            if share > budget {
                let metric = &deployment.name;
                tracing::error!(%metric, share, budget, "paused: its module takes more time than its budget");
                let deployment = Deployment { paused: true, ..deployment.clone() };
                changes.push(Change::Deploy { deployment: Box::new(deployment), reset_state: false, past: None });
            }
        }
        (self.since, self.before) = (now, times);
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemark_engine::ids::Digest;

    #[test]
    fn only_who_is_over_its_budget_is_paused() {
        let (telemetry, start) = (Telemetry::default(), Instant::now());
        let metric = |name: &str, cpu_budget| {
            let deployment = Deployment { cpu_budget, ..Deployment::new(name, Digest([0; 32])) };
            (name.to_owned(), deployment)
        };
        let metrics = BTreeMap::from([metric("slow", Some(0.5)), metric("fair", Some(0.5)), metric("free", None)]);
        let mut fairness = Fairness::new(start);
        let work = |slow: u64, fair: u64| {
            telemetry.stage("slow").guest_ns.add(slow * 1_000_000_000);
            telemetry.stage("free").guest_ns.add(slow * 1_000_000_000);
            telemetry.stage("fair").guest_ns.add(fair * 1_000_000_000);
        };
        work(9, 4);
        assert!(fairness.check(start + SPAN / 2, &metrics, &telemetry).is_empty(), "a burst is no trend");
        let changes = fairness.check(start + SPAN, &metrics, &telemetry);
        let [Change::Deploy { deployment, .. }] = &changes[..] else { panic!("{changes:?}") };
        assert!(deployment.name == "slow" && deployment.paused);
        work(4, 4);
        assert!(fairness.check(start + 2 * SPAN, &metrics, &telemetry).is_empty(), "what is past is past");
    }
}
