//! Whether the process lives and the job runs, and its counters for Prometheus. Health says nothing but yes or no.

use super::{Api, Routes};
use crate::http::problem::Problem;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use utoipa_axum::routes;

/// The media type of the Prometheus text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn routes() -> Routes {
    Routes::default().routes(routes!(healthz)).routes(routes!(readyz))
}

pub(super) fn telemetry() -> Routes {
    Routes::default().routes(routes!(metrics))
}

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "It does", body = str)))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the job runs.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, description = "It does", body = str)))]
async fn readyz(State(api): State<Arc<Api>>) -> Result<&'static str, Problem> {
    if api.exporter.is_ready() {
        return Ok("ready\n");
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready").detail("the job is not running"))
}

/// Counters in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, description = "Counters", body = str)))]
async fn metrics(State(api): State<Arc<Api>>) -> Response {
    ([(header::CONTENT_TYPE, PROMETHEUS)], api.exporter.render()).into_response()
}
