//! A catalogue that remembers the metrics that it was shown: it outlives engines, as stored modules do.

use crate::deployment::{Catalogue, Deployment};
use crate::metric::MetricSpec;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A handle to metrics by what was asked for.
#[derive(Clone, Debug, Default)]
pub struct MemoryCatalogue(Arc<Mutex<BTreeMap<String, MetricSpec>>>);

impl MemoryCatalogue {
    /// Adds a metric, in place of one that was deployed in the same words.
    pub fn add(&self, metric: MetricSpec) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(words(&metric.deployment), metric);
    }
}

/// Pausing a metric does not make another one of it.
fn words(deployment: &Deployment) -> String {
    let deployment = Deployment { paused: false, origin: crate::deployment::Origin::File, ..deployment.clone() };
    serde_json::to_string(&deployment).unwrap_or_default()
}

impl Catalogue for MemoryCatalogue {
    fn metric(&self, deployment: &Deployment) -> Result<MetricSpec, Vec<String>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let metric = known.get(&words(deployment)).cloned();
        let metric = metric
            .ok_or_else(|| vec![format!("metric {}: module {} is not there", deployment.name, deployment.module)])?;
        Ok(MetricSpec { deployment: deployment.clone(), ..metric })
    }
}
