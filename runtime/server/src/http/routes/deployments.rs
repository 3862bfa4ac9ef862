//! What the job runs: metrics are deployed, changed, paused, tried out beside the live one, and taken back.

use super::modules::of_store;
use super::{Api, Routes};
use crate::http::extract::{Json, Path, Query};
use crate::http::problem::Problem;
use crate::operate::{Done, OperateError, Operator, shadow_of};
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use tidemark_engine::deployment::{Deployment, Origin};
use tidemark_engine::descriptor::OutputColumn;
use tidemark_engine::progress::StageRecord;
use tidemark_query::encode::objects;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

pub(super) fn read() -> Routes {
    Routes::default().routes(routes!(list)).routes(routes!(show)).routes(routes!(diff))
}

pub(super) fn write() -> Routes {
    Routes::default()
        .routes(routes!(deploy))
        .routes(routes!(undeploy))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(rollback))
        .routes(routes!(shadow))
        .routes(routes!(discard))
        .routes(routes!(promote))
}

/// A metric as it was asked for, and what runs of it.
#[derive(Serialize, ToSchema)]
struct Deployed {
    /// Its name.
    name: String,
    /// SHA-256 of its module.
    module: String,
    /// The version that its module says it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// `file`: it stands in the job's file. `api`: it was deployed while the job ran.
    origin: &'static str,
    /// Whether it takes no rows for now.
    paused: bool,
    /// The metric whose shadow it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow_of: Option<String>,
    /// What was asked for, as in `[[metric]]`.
    #[schema(value_type = Object)]
    settings: Value,
    /// The stages that run it: the newest version, and earlier ones that still have open windows.
    stages: Vec<Stage>,
    /// How many earlier versions it can go back to.
    earlier_versions: usize,
}

/// A version of a metric that runs.
#[derive(Serialize, ToSchema)]
struct Stage {
    /// Its number within the job.
    id: u16,
    /// SHA-256 of its module.
    module: String,
    /// It takes windows that start from here on, in ms; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_ms: Option<i64>,
    /// A later version has taken over: it ends windows that start before this, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<i64>,
    /// The last epoch of the past that it has read; absent: it takes what comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    past_epoch: Option<u64>,
    /// The epoch that it has to come to.
    #[serde(skip_serializing_if = "Option::is_none")]
    past_until: Option<u64>,
}

/// Deployments.
#[derive(Serialize, ToSchema)]
struct Deployments {
    /// The last committed epoch.
    epoch: u64,
    /// By name.
    deployments: Vec<Deployed>,
}

/// A change that is committed.
#[derive(Serialize, ToSchema)]
struct Changed {
    /// The epoch that it takes effect with.
    epoch: u64,
    /// How long it held processing up, in microseconds.
    held_up_us: u64,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ResetParameters {
    /// Whether state may be dropped that the version cannot take over.
    #[serde(default)]
    reset_state: bool,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RollbackParameters {
    /// Whether state may be dropped that the version cannot take over.
    #[serde(default)]
    reset_state: bool,
    /// Whether it is to be as if the later version had never run: what came since is read again from the archive.
    #[serde(default)]
    replay: bool,
}

impl Deployed {
    fn of(deployment: &Deployment, operator: &Operator) -> Self {
        let view = operator.view();
        let stage = |stage: &StageRecord| Stage {
            id: stage.id.0,
            module: stage.deployment.module.to_string(),
            from_ms: (stage.from != i64::MIN).then_some(stage.from),
            until_ms: stage.until,
            past_epoch: stage.past.as_ref().map(|past| past.next.0.saturating_sub(1)),
            past_until: stage.past.as_ref().map(|_| view.epoch),
        };
        let own = view.stages.iter().filter(|stage| stage.deployment.name == deployment.name);
        Self {
            name: deployment.name.clone(),
            module: deployment.module.to_string(),
            version: operator.metric(deployment).ok().map(|spec| spec.version),
            origin: match deployment.origin {
                Origin::File => "file",
                Origin::Api => "api",
            },
            paused: deployment.paused,
            shadow_of: deployment.shadow_of.clone(),
            settings: serde_json::to_value(deployment).unwrap_or_default(),
            stages: own.map(stage).collect(),
            earlier_versions: view.history.get(&deployment.name).map_or(0, Vec::len),
        }
    }
}

impl From<Done> for axum::Json<Changed> {
    fn from(Done { epoch, held_up_us }: Done) -> Self {
        axum::Json(Changed { epoch, held_up_us })
    }
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Self {
        match error {
            OperateError::Refused(reasons) => {
                let summary = reasons.join("; ");
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "change-refused").detail(summary).errors(reasons)
            }
            OperateError::Unknown(detail) => Self::not_found("unknown-metric", detail),
            OperateError::Conflict(detail) => Self::conflict("conflict", detail),
            OperateError::NotTaken(reason) => Self::busy(reason.to_string()),
            OperateError::Unavailable(detail) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "sink-unavailable").detail(detail)
            }
            OperateError::Store(error) => of_store(error),
            OperateError::Unanswered => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unanswered").detail(error.to_string())
            }
        }
    }
}

/// What the job runs.
#[utoipa::path(get, path = "/api/v1/deployments", tag = "deployments", responses((status = 200, description = "The deployments", body = Deployments)))]
async fn list(State(api): State<Arc<Api>>) -> Result<axum::Json<Deployments>, Problem> {
    let operator = api.operator()?;
    let view = operator.view();
    let deployments = view.metrics.values().map(|deployment| Deployed::of(deployment, operator)).collect();
    Ok(axum::Json(Deployments { epoch: view.epoch, deployments }))
}

/// One metric as it is deployed.
#[utoipa::path(
    get, path = "/api/v1/deployments/{metric}", tag = "deployments",
    params(("metric" = String, Path, description = "Its name")),
    responses((status = 200, description = "The deployment", body = Deployed))
)]
async fn show(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<axum::Json<Deployed>, Problem> {
    let operator = api.operator()?;
    Ok(axum::Json(Deployed::of(&operator.known(&name)?, operator)))
}

/// Deploys a metric, or another version of it.
///
/// The body has the fields of `[[metric]]`, with `module` as `sha256:…`. It is checked whole; the answer comes when the
/// change is committed. Windows that are open stay with the version that they began with. With `backfill_from`, a moment in
/// milliseconds or RFC 3339, a new metric begins with the events that were archived since then.
#[utoipa::path(
    put, path = "/api/v1/metrics/{metric}", tag = "deployments",
    params(("metric" = String, Path, description = "Its name")),
    request_body(content = Object),
    responses((status = 200, description = "It is committed", body = Changed))
)]
async fn deploy(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Json(fields): Json<Map<String, Value>>,
) -> Result<axum::Json<Changed>, Problem> {
    Ok(api.operator()?.deploy(&name, fields).await?.into())
}

/// Takes a metric away, with its state. Its rows stay.
#[utoipa::path(
    delete, path = "/api/v1/metrics/{metric}", tag = "deployments",
    params(("metric" = String, Path, description = "Its name")),
    responses((status = 200, description = "It is committed", body = Changed))
)]
async fn undeploy(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<axum::Json<Changed>, Problem> {
    Ok(api.operator()?.undeploy(&name).await?.into())
}

/// Pauses a metric: windows that are open end, and no new ones begin; keys and joins keep their state and take no rows.
#[utoipa::path(
    post, path = "/api/v1/metrics/{metric}/pause", tag = "deployments",
    params(("metric" = String, Path, description = "Its name")),
    responses((status = 200, description = "It is committed", body = Changed))
)]
async fn pause(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<axum::Json<Changed>, Problem> {
    Ok(api.operator()?.pause(&name, true).await?.into())
}

/// Ends a pause: with the next whole window, or the next row of a key.
#[utoipa::path(
    post, path = "/api/v1/metrics/{metric}/resume", tag = "deployments",
    params(("metric" = String, Path, description = "Its name")),
    responses((status = 200, description = "It is committed", body = Changed))
)]
async fn resume(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<axum::Json<Changed>, Problem> {
    Ok(api.operator()?.pause(&name, false).await?.into())
}

/// Goes back to the version before.
///
/// From now on, or with `replay` as if the later version had never run: its windows are made again from the archive, and
/// their rows take the place of its rows.
#[utoipa::path(
    post, path = "/api/v1/metrics/{metric}/rollback", tag = "deployments",
    params(("metric" = String, Path, description = "Its name"), RollbackParameters),
    responses((status = 200, description = "It is committed", body = Changed))
)]
async fn rollback(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Query(asked): Query<RollbackParameters>,
) -> Result<axum::Json<Changed>, Problem> {
    Ok(api.operator()?.rollback(&name, asked.reset_state, asked.replay).await?.into())
}

/// Runs a candidate beside the live metric: same input, own state, rows to the table of `<metric>-shadow`.
#[utoipa::path(
    put, path = "/api/v1/metrics/{metric}/shadow", tag = "deployments",
    params(("metric" = String, Path, description = "The live metric")),
    request_body(content = Object),
    responses((status = 200, description = "It is committed", body = Changed))
)]
async fn shadow(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Json(fields): Json<Map<String, Value>>,
) -> Result<axum::Json<Changed>, Problem> {
    Ok(api.operator()?.shadow(&name, fields).await?.into())
}

/// Takes the shadow away.
#[utoipa::path(
    delete, path = "/api/v1/metrics/{metric}/shadow", tag = "deployments",
    params(("metric" = String, Path, description = "The live metric")),
    responses((status = 200, description = "It is committed", body = Changed))
)]
async fn discard(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<axum::Json<Changed>, Problem> {
    Ok(api.operator()?.discard(&name).await?.into())
}

/// Puts the shadow in the place of the live metric.
#[utoipa::path(
    post, path = "/api/v1/metrics/{metric}/shadow/promote", tag = "deployments",
    params(("metric" = String, Path, description = "The live metric"), ResetParameters),
    responses((status = 200, description = "It is committed", body = Changed))
)]
async fn promote(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Query(asked): Query<ResetParameters>,
) -> Result<axum::Json<Changed>, Problem> {
    Ok(api.operator()?.promote(&name, asked.reset_state).await?.into())
}

/// How the rows of a shadow differ from those of the live metric.
#[derive(Serialize, ToSchema)]
struct Difference {
    /// Rows of windows that both versions have taken whole are compared, from this moment on, in ms.
    from_ms: i64,
    /// Rows of the live metric since.
    live_rows: u64,
    /// Rows of the shadow.
    shadow_rows: u64,
    /// Rows that are the same in every column of the metric.
    equal: u64,
    /// Rows that both have, and that differ.
    changed: u64,
    /// Rows that only the live metric has.
    only_live: u64,
    /// Rows that only the shadow has.
    only_shadow: u64,
    /// For each column that both have: in how many rows it differs, and for numbers by how much at most.
    columns: Vec<ColumnDifference>,
    /// Groups on which each module has failed since the process started.
    failures: [u64; 2],
    /// Time in each module per row that it took, in nanoseconds.
    ns_per_row: [u64; 2],
}

/// How one column differs.
#[derive(Serialize, ToSchema)]
struct ColumnDifference {
    /// Its name.
    name: String,
    /// In how many rows.
    rows: u64,
    /// By how much at most; absent for what is not a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    largest: Option<f64>,
}

/// Compares a shadow with the live metric.
#[utoipa::path(
    get, path = "/api/v1/metrics/{metric}/shadow/diff", tag = "deployments",
    params(("metric" = String, Path, description = "The live metric")),
    responses((status = 200, description = "The difference", body = Difference))
)]
async fn diff(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<axum::Json<Difference>, Problem> {
    let operator = api.operator()?;
    operator.known(&name)?;
    let shadow = shadow_of(&name);
    operator.known(&shadow)?;
    let view = operator.view();
    let from_ms = view.stages.iter().filter(|stage| stage.deployment.name == shadow).map(|stage| stage.from).min();
    let from_ms = from_ms.unwrap_or(i64::MIN);
    let columns = |metric: &str| view.columns.get(metric).cloned().unwrap_or_default();
    let (live, candidate) = (columns(&name), columns(&shadow));
    let in_both = |own: &OutputColumn| candidate.iter().any(|other| (&other.name, other.kind) == (&own.name, own.kind));
    let shared: Vec<OutputColumn> = live.into_iter().filter(in_both).collect();
    let query = crate::shadow::query(&name, &shadow, from_ms, &shared);
    let answer = api.ask(move |store, bounds| store.sql(&query, 1, bounds)).await?;
    let row = objects(&answer.rows).into_iter().next().unwrap_or_default();
    let count = |field: &str| row[field].as_u64().unwrap_or(0);
    let columns = shared.iter().enumerate().map(|(place, column)| ColumnDifference {
        name: column.name.clone(),
        rows: count(&format!("differs_{place}")),
        largest: row[&format!("largest_{place}")].as_f64(),
    });
    let stages = api.exporter.engine().stages();
    let of = |read: &dyn Fn(&tidemark_engine::telemetry::StageTelemetry) -> u64| {
        [&name, &shadow].map(|metric| stages.get(metric).map_or(0, |stage| read(stage)))
    };
    Ok(axum::Json(Difference {
        from_ms,
        live_rows: count("live_rows"),
        shadow_rows: count("shadow_rows"),
        equal: count("equal"),
        changed: count("changed"),
        only_live: count("only_live"),
        only_shadow: count("only_shadow"),
        columns: columns.filter(|column| column.rows > 0).collect(),
        failures: of(&|stage| stage.poison.get()),
        ns_per_row: of(&|stage| stage.guest_ns.get() / stage.rows_in.get().max(1)),
    }))
}
