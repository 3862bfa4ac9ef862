//! Deployments: which metrics a job runs, as data that is committed, logged and made into metrics again.
//!
//! A [`Deployment`] names a module by its digest and says how it is run; with the module, which a [`Catalogue`] finds, it
//! is a [`MetricSpec`]. A [`Change`] is a decision from outside, so the tick log has it: a re-run takes it at the same
//! moment. What a change does to states is decided in [`crate::succession`].

use crate::ids::{Digest, Epoch};
use crate::metric::{MetricSpec, Overrides};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who asked for a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The job's file: it goes when it no longer stands there.
    #[default]
    File,
    /// Somebody while the job ran: it stays until it is undeployed.
    Api,
}

/// A metric as it was asked for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Deployment {
    /// Its name: rows are events of type `metric.<name>`.
    pub name: String,
    /// SHA-256 of its module, or of its statement.
    pub module: Digest,
    /// The statement, if it is no module: in the catalogue's own words.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub statement: Value,
    /// What replaces the module's defaults.
    #[serde(flatten)]
    pub overrides: Overrides,
    /// Configuration of the module.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
    /// What the module may use, in the sandbox's own words.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub limits: Value,
    /// The share of one core that its module may take; `None`: whatever is there. Who watches it is not the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_budget: Option<f64>,
    /// Names of the sinks for its rows; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sinks: Option<Vec<String>>,
    /// Whether it takes no rows for now.
    #[serde(default)]
    pub paused: bool,
    /// The live metric that this one runs beside to be compared with: their rows have the same ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow_of: Option<String>,
    /// Who asked for it.
    #[serde(default)]
    pub origin: Origin,
}

impl Deployment {
    /// Of a module without further wishes.
    #[must_use]
    pub fn new(name: &str, module: Digest) -> Self {
        Self {
            name: name.to_owned(),
            module,
            statement: Value::Null,
            overrides: Overrides::default(),
            config: Value::Null,
            limits: Value::Null,
            cpu_budget: None,
            sinks: None,
            paused: false,
            shadow_of: None,
            origin: Origin::default(),
        }
    }
}

/// With which events of the past a metric begins. They are read from the archive beside the live ones, and the metric
/// takes what comes from the moment at which it has read them all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "begin", rename_all = "kebab-case")]
pub enum PastWanted {
    /// With those of a date: a metric that is new.
    Date {
        /// The first epoch that has any.
        epoch: Epoch,
        /// The date, in ms of event time: windows that start earlier, and rows that are older, are not its.
        from_ms: i64,
    },
    /// As if the running version had never run: with those that came since it took over or, where its state was handed
    /// over to it, with those of which that was made.
    CutOver,
}

/// A change of the set of metrics.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// A new metric, another version of one, other terms, a pause or its end.
    Deploy {
        /// What is to be.
        deployment: Box<Deployment>,
        /// Whether it may begin without the state that it had, where that cannot be kept.
        #[serde(default)]
        reset_state: bool,
        /// Whether it begins with the past.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        past: Option<PastWanted>,
    },
    /// A metric goes, and its state with it.
    Undeploy {
        /// Which one.
        name: String,
    },
}

/// Makes metrics of deployments: knows every module that a job has ever run.
pub trait Catalogue: Send + Sync {
    /// The metric that `deployment` describes. The error lists every reason why there is none.
    fn metric(&self, deployment: &Deployment) -> Result<MetricSpec, Vec<String>>;
}

/// Why a change did not take effect.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It can't be: nothing has changed, and the job goes on.
    #[error("{}", .0.join("; "))]
    Refused(Vec<String>),
    /// The engine has stopped.
    #[error(transparent)]
    Engine(#[from] crate::error::EngineError),
}

impl ChangeError {
    /// For one reason.
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(vec![reason.into()])
    }
}
