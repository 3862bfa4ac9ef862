//! Savepoints of the job that runs: taken, listed, and kept no longer. Restoring one is for a job that is stopped.

use super::{Api, Routes};
use crate::http::extract::{Json, Path};
use crate::http::problem::Problem;
use crate::savepoint::running::SavepointError;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidemark_connectors::checkpoint::CheckpointInfo;
use utoipa::ToSchema;
use utoipa_axum::routes;

pub(super) fn read() -> Routes {
    Routes::default().routes(routes!(list))
}

pub(super) fn operate() -> Routes {
    Routes::default().routes(routes!(create)).routes(routes!(remove))
}

/// The savepoints of a job.
#[derive(Serialize, ToSchema)]
struct Savepoints {
    /// The oldest first.
    savepoints: Vec<Savepoint>,
}

/// The state of the job behind an epoch, kept until it is removed.
#[derive(Serialize, ToSchema)]
struct Savepoint {
    name: String,
    /// The epoch that it is of.
    epoch: u64,
    /// Bytes of its files, some of which other checkpoints may share.
    bytes: u64,
}

/// The savepoint that is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Lower-case letters, digits and hyphens, starting with a letter, at most 64 of them.
    name: String,
}

impl From<CheckpointInfo> for Savepoint {
    fn from(kept: CheckpointInfo) -> Self {
        Self { name: kept.name.unwrap_or_default(), epoch: kept.epoch.0, bytes: kept.bytes }
    }
}

impl From<SavepointError> for Problem {
    fn from(error: SavepointError) -> Self {
        let detail = error.to_string();
        match error {
            SavepointError::BadName(_) => Self::bad_request(detail),
            SavepointError::Unknown(_) => Self::not_found("unknown-savepoint", detail),
            SavepointError::Conflict(_) => Self::conflict("savepoint-refused", detail),
            SavepointError::NotTaken(_) => Self::busy(detail),
            SavepointError::Store(_) => Self::internal("the savepoint", &detail),
            SavepointError::Unanswered => Self::new(StatusCode::SERVICE_UNAVAILABLE, "unanswered").detail(detail),
        }
    }
}

/// The savepoints of the job.
#[utoipa::path(
    get, path = "/api/v1/savepoints", tag = "savepoints",
    responses((status = 200, description = "The savepoints", body = Savepoints))
)]
async fn list(State(api): State<Arc<Api>>) -> Result<axum::Json<Savepoints>, Problem> {
    let savepoints = api.operator()?.savepoints().clone();
    let kept = api.look(move || savepoints.list()).await??;
    Ok(axum::Json(Savepoints { savepoints: kept.into_iter().map(Savepoint::from).collect() }))
}

/// Keeps the state of the job under a name.
///
/// It is taken behind the next epoch, while the job goes on, and answered when it is durable. Where that takes longer than
/// a request may, it is kept all the same.
#[utoipa::path(
    post, path = "/api/v1/savepoints", tag = "savepoints",
    request_body(content = Wanted),
    responses((status = 201, description = "It is kept", body = Savepoint))
)]
async fn create(
    State(api): State<Arc<Api>>,
    Json(Wanted { name }): Json<Wanted>,
) -> Result<(StatusCode, axum::Json<Savepoint>), Problem> {
    let operator = api.operator()?;
    let (savepoints, wanted) = (operator.savepoints().clone(), name.clone());
    api.look(move || savepoints.admit(&wanted)).await??;
    let kept = operator.keep(name).await?;
    Ok((StatusCode::CREATED, axum::Json(kept.into())))
}

/// Keeps a savepoint no longer.
#[utoipa::path(
    delete, path = "/api/v1/savepoints/{name}", tag = "savepoints",
    params(("name" = String, Path, description = "The savepoint")),
    responses((status = 200, description = "It is a checkpoint like any other now", body = Savepoint))
)]
async fn remove(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<axum::Json<Savepoint>, Problem> {
    let savepoints = api.operator()?.savepoints().clone();
    let removed = api.look(move || savepoints.remove(&name)).await??;
    Ok(axum::Json(removed.into()))
}
