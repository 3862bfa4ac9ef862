//! The engine's catalogue: deployments become metrics, of modules that are kept with the job.

use super::Deployed;
use super::meeting::{metric_of, metric_of_statement};
use super::statements::Terms;
use crate::modules::Registry;
use crate::telemetry::Exporter;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tidemark_engine::deployment::{Catalogue, Deployment, Origin};
use tidemark_engine::metric::MetricSpec;
use tidemark_sql_metric::SqlMetric;

/// Metrics that are remembered: what a change replaced, and what a roll-back brings back, need not be made again.
const REMEMBERED: usize = 256;

/// Every metric that a job has run or is about to.
pub struct JobCatalogue {
    registry: Arc<Registry>,
    exporter: Arc<Exporter>,
    made: Mutex<HashMap<String, MetricSpec>>,
}

impl JobCatalogue {
    /// Of modules in `registry`; counters of sandboxes go to `exporter`.
    #[must_use]
    pub fn new(registry: Arc<Registry>, exporter: Arc<Exporter>) -> Self {
        Self { registry, exporter, made: Mutex::default() }
    }

    /// Remembers a metric of the file.
    pub fn add(&self, metric: &Deployed) {
        if let Some((_, telemetry)) = &metric.module {
            self.exporter.watch_guest(&metric.spec.name, telemetry.clone());
        }
        self.remember(metric.spec.clone());
    }

    /// Remembers a metric that was tried out and is about to be deployed.
    pub fn remember(&self, spec: MetricSpec) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() >= REMEMBERED {
            made.clear();
        }
        made.insert(words(&spec.deployment), spec);
    }
}

impl Catalogue for JobCatalogue {
    fn metric(&self, deployment: &Deployment) -> Result<MetricSpec, Vec<String>> {
        let known = self.made.lock().unwrap_or_else(PoisonError::into_inner).get(&words(deployment)).cloned();
        if let Some(known) = known {
            return Ok(MetricSpec { deployment: deployment.clone(), ..known });
        }
        let name = &deployment.name;
        if !deployment.statement.is_null() {
            let spec = of_statement(deployment).map_err(|reason| vec![format!("metric {name}: {reason}")])?;
            self.remember(spec.clone());
            return Ok(spec);
        }
        let module = self.registry.module(deployment.module);
        let module = module.map_err(|error| vec![format!("metric {name}: {error}")])?;
        let (spec, telemetry) = metric_of(&module, deployment).map_err(|error| error.messages(name))?;
        self.exporter.watch_guest(name, telemetry);
        self.remember(spec.clone());
        Ok(spec)
    }
}

/// The metric of a statement that is kept with its deployment.
fn of_statement(deployment: &Deployment) -> Result<MetricSpec, String> {
    let terms: Terms = serde_json::from_value(deployment.statement.clone())
        .map_err(|error| format!("its statement cannot be read: {error}"))?;
    let planned = SqlMetric::plan(&terms.definition, &terms.surroundings);
    let planned =
        planned.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    if planned.digest() != deployment.module {
        return Err(
            "this release gives its statement another meaning: run it with the release that it ran with".to_owned()
        );
    }
    metric_of_statement(&planned, deployment).map_err(|reasons| reasons.join("; "))
}

/// What makes a metric that metric: not whether it is paused, where its rows go, or who asked for it.
fn words(deployment: &Deployment) -> String {
    let plain = Deployment { paused: false, cpu_budget: None, sinks: None, origin: Origin::File, ..deployment.clone() };
    serde_json::to_string(&plain).unwrap_or_default()
}
