//! The nodes of a job that several run together, and who owns what.

use super::{Api, Routes};
use crate::http::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use std::sync::Arc;
use tidemark_connectors::kafka::Member;
use utoipa::ToSchema;
use utoipa_axum::routes;

pub(super) fn routes() -> Routes {
    Routes::default().routes(routes!(nodes))
}

/// The nodes of a job.
#[derive(Serialize, ToSchema)]
struct Nodes {
    /// In the order of their names; empty where one process runs the job.
    nodes: Vec<NodeView>,
}

/// A node.
#[derive(Serialize, ToSchema)]
struct NodeView {
    name: String,
    /// Where the brokers see it.
    host: String,
    /// The pieces of the job that it owns, as `topic/partition`; none while the job is being shared out anew.
    pieces: Vec<String>,
}

/// Who runs the job.
///
/// The nodes that run it together, and the pieces that each owns, as the coordinator of their group tells it.
#[utoipa::path(
    get, path = "/api/v1/nodes", tag = "pipeline",
    responses((status = 200, description = "The nodes", body = Nodes))
)]
async fn nodes(State(api): State<Arc<Api>>) -> Result<Json<Nodes>, Problem> {
    let Some(look) = api.nodes() else { return Ok(Json(Nodes { nodes: Vec::new() })) };
    let members = api.look(move || look()).await?;
    let members = members.map_err(|error| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no-answer").detail(format!("the group cannot be asked: {error}"))
    })?;
    let nodes = members.into_iter().map(|Member { name, host, partitions }| NodeView {
        name,
        host,
        pieces: partitions.iter().map(|(topic, partition)| format!("{topic}/{partition}")).collect(),
    });
    Ok(Json(Nodes { nodes: nodes.collect() }))
}
