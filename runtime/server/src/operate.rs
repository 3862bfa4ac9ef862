//! What can be done with the metrics of a running job: deployed, changed, paused, tried out beside the live one, taken
//! back. Every order is checked whole before the job hears of it, and answered when it is committed.

use crate::catalogue::{JobCatalogue, read_request, renamed};
use crate::config::Config;
use crate::control::{Control, JobView, NotTaken};
use crate::modules::{OciRegistry, Registry};
use crate::savepoint::running::{SavepointError, Savepoints};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tidemark_connectors::checkpoint::CheckpointInfo;
use tidemark_connectors::module_store::ModuleStoreError;
use tidemark_connectors::sink::kafka;
use tidemark_engine::deployment::{Change, ChangeError, Deployment, Origin, PastWanted};
use tidemark_engine::descriptor::{Condition, WindowSpec};
use tidemark_engine::ids::{Digest, Epoch};
use tidemark_engine::metric::{METRIC_TYPE, MetricSpec};
use tidemark_engine::ports::PortError;
use tidemark_query::encode::objects;
use tidemark_query::rows::{Bounds, RowStore};

/// What a shadow is named: the live metric, and this.
const SHADOW: &str = "-shadow";

/// How long a question about the archive may take, and most bytes of its answer.
const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER_BYTES: usize = 1 << 20;

/// Why an order is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// It can't be, for these reasons.
    #[error("{}", .0.join("; "))]
    Refused(Vec<String>),
    /// There is no such metric or module.
    #[error("{0}")]
    Unknown(String),
    /// Not as things are.
    #[error("{0}")]
    Conflict(String),
    /// The job does not take it now.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// Somebody who has to be asked does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// The store of modules fails.
    #[error(transparent)]
    Store(ModuleStoreError),
    /// The job stopped meanwhile: whether it took effect is seen when it runs again.
    #[error("the job stopped before it answered; whether the change took effect is seen when it runs again")]
    Unanswered,
}

/// What came of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Done {
    /// The epoch that committed it.
    pub epoch: u64,
    /// How long it held processing up, in microseconds.
    pub held_up_us: u64,
}

/// Everything that orders need. Cheap to clone.
#[derive(Clone)]
pub struct Operator {
    control: Control,
    registry: Arc<Registry>,
    catalogue: Arc<JobCatalogue>,
    config: Arc<Config>,
    store: Arc<dyn RowStore>,
    savepoints: Savepoints,
}

impl Operator {
    /// For the job of `config`.
    #[must_use]
    pub fn new(
        control: Control,
        registry: Arc<Registry>,
        catalogue: Arc<JobCatalogue>,
        config: Arc<Config>,
        store: Arc<dyn RowStore>,
        savepoints: Savepoints,
    ) -> Self {
        Self { control, registry, catalogue, config, store, savepoints }
    }

    /// What the job runs.
    #[must_use]
    pub fn view(&self) -> Arc<JobView> {
        self.control.view()
    }

    /// The modules.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The registries of containers that modules may be pulled from.
    #[must_use]
    pub fn oci_registries(&self) -> &[OciRegistry] {
        &self.config.modules.registries
    }

    /// The savepoints.
    #[must_use]
    pub fn savepoints(&self) -> &Savepoints {
        &self.savepoints
    }

    /// Keeps the state of the job under a name.
    pub async fn keep(&self, name: String) -> Result<CheckpointInfo, SavepointError> {
        let answer = self.control.savepoint(name)?;
        answer.await.unwrap_or(Err(SavepointError::Unanswered))
    }

    /// The metric of a deployment.
    pub fn metric(&self, deployment: &Deployment) -> Result<MetricSpec, Vec<String>> {
        tidemark_engine::deployment::Catalogue::metric(&*self.catalogue, deployment)
    }

    /// Deploys a metric, or another version of it, as `fields` say: those of `[[metric]]`.
    pub async fn deploy(&self, name: &str, fields: Map<String, Value>) -> Result<Done, OperateError> {
        if name.ends_with(SHADOW) {
            return Err(OperateError::Refused(vec![format!(
                "name: what ends with {SHADOW} is the shadow of a metric"
            )]));
        }
        let mut fields = fields;
        let backfill = fields.remove("backfill_from").map(|from| moment(&from)).transpose();
        let backfill = backfill.map_err(|reason| OperateError::Refused(vec![reason]))?;
        let spec = self.read(name, fields).await?;
        if let Some(from_ms) = backfill {
            let past = PastWanted::Date { epoch: self.first_epoch(from_ms).await?, from_ms };
            return self.change(vec![with_past(spec.deployment.clone(), past)]).await;
        }
        let paused = self.view().metrics.get(name).is_some_and(|known| known.paused);
        let deployment = Deployment { paused, ..spec.deployment.clone() };
        self.change(vec![deploy(deployment, spec.may_reset_state)]).await
    }

    /// Takes a metric away, and its state with it.
    pub async fn undeploy(&self, name: &str) -> Result<Done, OperateError> {
        self.known(name)?;
        if self.config.metrics.iter().any(|metric| metric.name == name) {
            return Err(OperateError::Conflict(format!(
                "{name} stands in the job's file and would be back at the next start: take it out there, or pause it"
            )));
        }
        let shadow = shadow_of(name);
        let mut changes = vec![Change::Undeploy { name: name.to_owned() }];
        if self.view().metrics.contains_key(&shadow) {
            changes.push(Change::Undeploy { name: shadow });
        }
        self.change(changes).await
    }

    /// Pauses a metric, or ends its pause.
    pub async fn pause(&self, name: &str, paused: bool) -> Result<Done, OperateError> {
        let deployment = Deployment { paused, ..self.known(name)? };
        self.change(vec![deploy(deployment, false)]).await
    }

    /// Goes back to what the metric was before: from now on, or, with `replay`, as if the later version had never run.
    pub async fn rollback(&self, name: &str, reset_state: bool, replay: bool) -> Result<Done, OperateError> {
        let current = self.known(name)?;
        let view = self.view();
        let previous = view.history.get(name).and_then(|history| history.last()).cloned();
        let previous =
            previous.ok_or_else(|| OperateError::Conflict(format!("{name} has no earlier version to go back to")))?;
        let deployment = Deployment { paused: current.paused, origin: Origin::Api, ..previous };
        let change = if replay { with_past(deployment, PastWanted::CutOver) } else { deploy(deployment, reset_state) };
        self.change(vec![change]).await
    }

    /// The first epoch whose archive has events of `from_ms` or later.
    async fn first_epoch(&self, from_ms: i64) -> Result<Epoch, OperateError> {
        let query = format!("SELECT min(epoch) AS first FROM events WHERE CAST(event_time AS BIGINT) >= {from_ms}");
        let store = Arc::clone(&self.store);
        let answer =
            tokio::task::spawn_blocking(move || store.sql(&query, 1, Bounds::from_now(PATIENCE, ANSWER_BYTES)));
        let refused = |reason: String| OperateError::Refused(vec![format!("backfill_from: {reason}")]);
        let answer = answer.await.map_err(|error| refused(error.to_string()))?;
        let answer = answer.map_err(|error| refused(format!("the archive cannot be read: {error}")))?;
        let first = objects(&answer.rows).first().and_then(|row| row["first"].as_u64());
        // Nothing yet of so late a date.
        Ok(Epoch(first.unwrap_or_else(|| self.view().epoch.max(1))))
    }

    /// Runs a candidate beside the live metric, on the same input, with a state and a table of its own.
    pub async fn shadow(&self, name: &str, fields: Map<String, Value>) -> Result<Done, OperateError> {
        self.known(name)?;
        let shadow = shadow_of(name);
        let spec = self.read(&shadow, fields).await?;
        let deployment = Deployment { shadow_of: Some(name.to_owned()), ..spec.deployment.clone() };
        self.change(vec![deploy(deployment, true)]).await
    }

    /// Puts the shadow in the place of the live metric.
    pub async fn promote(&self, name: &str, reset_state: bool) -> Result<Done, OperateError> {
        let live = self.known(name)?;
        let candidate = self.known(&shadow_of(name))?;
        let deployment = Deployment {
            statement: renamed(candidate.statement.clone(), &live.name),
            name: live.name,
            paused: live.paused,
            shadow_of: None,
            origin: Origin::Api,
            ..candidate.clone()
        };
        self.change(vec![deploy(deployment, reset_state), Change::Undeploy { name: candidate.name }]).await
    }

    /// Takes the shadow away.
    pub async fn discard(&self, name: &str) -> Result<Done, OperateError> {
        let shadow = self.known(&shadow_of(name))?;
        self.change(vec![Change::Undeploy { name: shadow.name }]).await
    }

    /// Removes a module that nothing needs.
    pub fn remove_module(&self, digest: Digest) -> Result<(), OperateError> {
        if self.view().needs(digest) {
            return Err(OperateError::Conflict(format!(
                "module {digest} runs, has open windows, or could be rolled back to: undeploy its metrics first"
            )));
        }
        self.registry.remove(digest).map_err(|error| match error {
            ModuleStoreError::Missing(_) => OperateError::Unknown(error.to_string()),
            error => OperateError::Store(error),
        })
    }

    /// The deployment of a metric.
    pub fn known(&self, name: &str) -> Result<Deployment, OperateError> {
        let view = self.view();
        view.metrics.get(name).cloned().ok_or_else(|| {
            let names: Vec<&str> = view.metrics.keys().map(String::as_str).collect();
            OperateError::Unknown(format!("there is no metric {name}; there are {}", names.join(", ")))
        })
    }

    /// Reads and tries out what a request says, off the threads that answer requests.
    async fn read(&self, name: &str, fields: Map<String, Value>) -> Result<MetricSpec, OperateError> {
        let operator = self.clone();
        let name = name.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let view = operator.view();
            let names: Vec<String> = view.metrics.keys().cloned().chain([name.clone()]).collect();
            let deployed = view.columns.iter().filter(|(name, _)| view.metrics.contains_key(*name));
            let outputs = deployed.map(|(name, columns)| (name.clone(), columns.clone())).collect();
            let spec = read_request(&name, &fields, &operator.config, &names, &outputs, &operator.registry)?;
            if reads_itself(&spec) {
                return Err(vec![format!("filter: {name} would read its own rows")]);
            }
            operator.catalogue.remember(spec.clone());
            Ok(spec)
        });
        let read = read.await.map_err(|error| OperateError::Refused(vec![error.to_string()]))?;
        read.map_err(OperateError::Refused)
    }

    /// Refuses what has no place for its rows while nobody has to stop for it.
    async fn admit_rows(&self, changes: &[Change]) -> Result<(), OperateError> {
        let Some(settings) = self.config.sinks.kafka.clone() else { return Ok(()) };
        let names = changes.iter().filter_map(|change| match change {
            Change::Deploy { deployment, .. } if goes_to_kafka(deployment) => Some(deployment.name.clone()),
            _ => None,
        });
        let names: Vec<String> = names.collect();
        let asked =
            tokio::task::spawn_blocking(move || names.iter().try_for_each(|name| kafka::admit(&settings, name)));
        match asked.await {
            Ok(Ok(())) => Ok(()),
            // The job runs, and goes on.
            Ok(Err(PortError::Stop(reason))) => {
                let reason = reason.strip_suffix(", and start again").unwrap_or(&reason);
                Err(OperateError::Refused(vec![format!("sinks: {reason}")]))
            }
            Ok(Err(PortError::Retry(reason))) => Err(OperateError::Unavailable(reason)),
            Err(error) => Err(OperateError::Unavailable(error.to_string())),
        }
    }

    async fn change(&self, changes: Vec<Change>) -> Result<Done, OperateError> {
        self.admit_rows(&changes).await?;
        let answer = self.control.change(changes)?;
        match answer.await {
            Ok(Ok(held_up_ns)) => Ok(Done { epoch: self.view().epoch, held_up_us: held_up_ns / 1_000 }),
            Ok(Err(ChangeError::Refused(reasons))) => Err(OperateError::Refused(reasons)),
            Ok(Err(ChangeError::Engine(_))) | Err(_) => Err(OperateError::Unanswered),
        }
    }
}

/// Whether a deployment takes rows, and its own go to Kafka.
fn goes_to_kafka(deployment: &Deployment) -> bool {
    let named = deployment.sinks.as_ref().is_none_or(|names| names.iter().any(|name| name == "kafka"));
    named && !deployment.paused
}

/// The name of a metric's shadow.
#[must_use]
pub fn shadow_of(name: &str) -> String {
    format!("{name}{SHADOW}")
}

fn deploy(deployment: Deployment, reset_state: bool) -> Change {
    Change::Deploy { deployment: Box::new(deployment), reset_state, past: None }
}

fn with_past(deployment: Deployment, past: PastWanted) -> Change {
    Change::Deploy { deployment: Box::new(deployment), reset_state: false, past: Some(past) }
}

/// A date as a request tells it: milliseconds since 1970, or RFC 3339.
fn moment(value: &Value) -> Result<i64, String> {
    let parsed = value.as_str().and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
    let told = value.as_i64().or_else(|| parsed.map(|date| date.timestamp_millis()));
    told.ok_or_else(|| {
        format!("backfill_from: {value} is no moment: write milliseconds since 1970, or \"2026-01-31T12:00:00Z\"")
    })
}

fn reads_itself(spec: &MetricSpec) -> bool {
    let own = format!("{METRIC_TYPE}{}", spec.name);
    let sides = match &spec.window {
        WindowSpec::IntervalJoin { left, right, .. } => vec![&spec.filter, left, right],
        _ => vec![&spec.filter],
    };
    sides.into_iter().any(|filter| match filter.0.get("type") {
        Some(Condition::OneOf(types)) => types.contains(&own),
        _ => false,
    })
}
