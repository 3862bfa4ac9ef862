//! A metric as deployed: the facts of the code and the facts of operation, checked against each other.

use crate::deployment::Deployment;
use crate::descriptor::{Bound, Descriptor, Filter, InputColumn, OutputColumn, Take, Unmatched, WindowSpec};
use crate::guest::GuestFactory;
use crate::ids::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use tidemark_dataflow::join::{IntervalJoin, Matches};
use tidemark_dataflow::window::AlignedWindows;

/// What a deployment may set instead of the module's defaults.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Overrides {
    /// Filter, replacing the module's whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Path of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowSpec>,
    /// How long after its end a window can still change; 0 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_lateness_ms: Option<i64>,
    /// Poison groups that are tolerated before the module is quarantined; see [`MetricSpec::error_budget`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_budget: Option<u32>,
}

/// A metric, ready to run.
#[derive(Clone)]
pub struct MetricSpec {
    /// What was asked for, to make it again of.
    pub deployment: Deployment,
    /// Its name: rows are events of type `metric.<name>`.
    pub name: String,
    /// The module's name and version, as rows show them.
    pub module: String,
    /// The module's version.
    pub version: String,
    /// SHA-256 of the module.
    pub digest: Digest,
    /// SHA-256 of the configuration.
    pub config_digest: Digest,
    /// Input columns.
    pub inputs: Vec<InputColumn>,
    /// Which rows it wants.
    pub filter: Filter,
    /// Path of the key.
    pub key: String,
    /// Its window.
    pub window: WindowSpec,
    /// How long after its end a window can still change, in ms.
    pub allowed_lateness_ms: i64,
    /// Output columns.
    pub output: Vec<OutputColumn>,
    /// Version of the state's encoding.
    pub state_version: u32,
    /// Poison groups before quarantine. The count is halved at each epoch, so this is about the number per two epochs.
    pub error_budget: u32,
    /// Whether a deployment of it from the job's file may drop state that it cannot take over.
    pub may_reset_state: bool,
    /// Makes instances.
    pub guest: Arc<dyn GuestFactory>,
}

impl fmt::Debug for MetricSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricSpec").field("name", &self.name).field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// Poison groups that are tolerated when neither module nor deployment says otherwise.
pub const DEFAULT_ERROR_BUDGET: u32 = 1_000;

/// Most windows that one row may belong to: each costs an accumulator and a share of every call.
const MAX_WINDOWS_PER_ROW: i64 = 10_000;

impl MetricSpec {
    /// Joins a module's description with a deployment. The error lists every contradiction.
    pub fn new(
        descriptor: &Descriptor,
        deployment: Deployment,
        config_digest: Digest,
        guest: Arc<dyn GuestFactory>,
    ) -> Result<Self, Vec<String>> {
        let overrides = deployment.overrides.clone();
        let spec = Self {
            name: deployment.name.clone(),
            module: descriptor.name.clone(),
            version: descriptor.version.clone(),
            digest: deployment.module,
            config_digest,
            inputs: descriptor.inputs.clone(),
            filter: overrides.filter.unwrap_or_else(|| descriptor.filter.clone()),
            key: overrides.key.unwrap_or_else(|| descriptor.key.clone()),
            window: overrides.window.unwrap_or_else(|| descriptor.window.clone()),
            allowed_lateness_ms: overrides.allowed_lateness_ms.unwrap_or(0),
            output: descriptor.output.clone(),
            state_version: descriptor.state_version,
            error_budget: overrides.error_budget.unwrap_or(DEFAULT_ERROR_BUDGET),
            may_reset_state: false,
            deployment,
            guest,
        };
        let mistakes = spec.mistakes(descriptor);
        if mistakes.is_empty() { Ok(spec) } else { Err(mistakes) }
    }

    fn mistakes(&self, descriptor: &Descriptor) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut check = |holds: bool, mistake: &str| {
            if !holds {
                mistakes.push(format!("metric {}: {mistake}", self.name));
            }
        };
        check(!self.key.is_empty(), "key is empty: name the path that identifies what is measured");
        check(self.allowed_lateness_ms >= 0, "allowed lateness is negative");
        match &self.window {
            WindowSpec::Tumbling { .. } | WindowSpec::Sliding { .. } => {
                check(
                    self.aligned().is_some(),
                    "window size and slide must be positive, and the offset smaller than the slide",
                );
                check(
                    self.aligned().is_none_or(|windows| windows.windows_per_row() <= MAX_WINDOWS_PER_ROW),
                    "each row would belong to more than 10,000 windows: slide by more, or make the windows shorter",
                );
            }
            WindowSpec::Session { gap_ms } => {
                check(*gap_ms > 0, "session gap must be positive");
                check(descriptor.mergeable, "session windows need a module that can merge states");
            }
            WindowSpec::Key { ttl_ms } => check(ttl_ms.is_none_or(|ttl| ttl > 0), "time to live must be positive"),
            WindowSpec::IntervalJoin { .. } => {
                check(self.interval_join().is_some(), "the join's interval is empty: lower is above upper");
                check(self.inputs.iter().all(|input| input.side.is_some()), "a join's columns need a side each");
            }
        }
        let is_join = matches!(self.window, WindowSpec::IntervalJoin { .. });
        check(
            is_join || self.inputs.iter().all(|input| input.side.is_none()),
            "columns with a side need a join window",
        );
        mistakes
    }

    /// The assigner of tumbling and sliding windows; `None` for other kinds and impossible numbers.
    #[must_use]
    pub fn aligned(&self) -> Option<AlignedWindows> {
        match self.window {
            WindowSpec::Tumbling { size_ms, offset_ms } => AlignedWindows::tumbling(size_ms, offset_ms),
            WindowSpec::Sliding { size_ms, slide_ms, offset_ms } => {
                AlignedWindows::sliding(size_ms, slide_ms, offset_ms)
            }
            _ => None,
        }
    }

    /// The terms of an interval join; `None` for other kinds and an empty interval.
    #[must_use]
    pub fn interval_join(&self) -> Option<IntervalJoin> {
        let WindowSpec::IntervalJoin { lower_ms, upper_ms, lower, upper, take, unmatched, .. } = &self.window else {
            return None;
        };
        let inwards = |bound: &Bound| i64::from(*bound == Bound::Exclusive);
        let matches = match take {
            Take::All => Matches::All,
            Take::First => Matches::First,
        };
        let left = matches!(unmatched, Unmatched::Left | Unmatched::Both);
        let right = matches!(unmatched, Unmatched::Right | Unmatched::Both);
        IntervalJoin::new(lower_ms.checked_add(inwards(lower))?, upper_ms.checked_sub(inwards(upper))?, matches)
            .map(|join| join.with_unmatched(left, right))
    }

    /// Whether it computes the same as `other`: what differs is who may use what and where rows go.
    #[must_use]
    pub fn computes_as(&self, other: &Self) -> bool {
        (self.digest, self.config_digest) == (other.digest, other.config_digest)
            && (&self.filter, &self.key, &self.window) == (&other.filter, &other.key, &other.window)
    }

    /// The name that its rows' ids are made of: a shadow's rows have those of the live metric.
    #[must_use]
    pub fn row_name(&self) -> &str {
        self.deployment.shadow_of.as_deref().unwrap_or(&self.name)
    }

    /// How far its rows can lie behind the watermark that made them, in ms.
    #[must_use]
    pub fn output_delay_ms(&self) -> i64 {
        self.interval_join().map_or(0, |join| join.output_delay_ms())
    }

    /// The event type of its rows.
    #[must_use]
    pub fn event_type(&self) -> String {
        format!("{METRIC_TYPE}{}", self.name)
    }
}

/// What the event types of metric rows start with.
pub const METRIC_TYPE: &str = "metric.";
