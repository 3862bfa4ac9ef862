//! Every route, by the scope that it needs.
//!
//! To add one: write the handler with its `#[utoipa::path]` in the file of its area, name it in that file's `routes`, and
//! name a new area here. The scope, the form of errors, limits of size and time, and the OpenAPI document follow.

mod deployments;
mod health;
mod letters;
mod live;
mod metrics;
mod modules;
mod nodes;
mod pipeline;
mod savepoints;
mod state;

use super::api::Api;
use crate::config::http::{HttpLimits, Scope};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// Routes of one area.
pub(super) type Routes = OpenApiRouter<Arc<Api>>;

/// Routes that need a token of this scope, or none.
pub(super) struct Group {
    pub(super) scope: Option<Scope>,
    pub(super) routes: Routes,
}

/// All of them.
pub(super) fn all(limits: &HttpLimits) -> Vec<Group> {
    let open = |routes| Group { scope: None, routes };
    let read = |routes| Group { scope: Some(Scope::Read), routes };
    vec![
        open(health::routes()),
        read(health::telemetry()),
        read(metrics::routes()),
        read(live::routes()),
        read(state::routes()),
        read(pipeline::routes()),
        read(nodes::routes()),
        read(savepoints::read()),
        Group { scope: Some(Scope::Operate), routes: savepoints::operate() },
        read(letters::read()),
        Group { scope: Some(Scope::Operate), routes: letters::operate() },
        read(deployments::read()),
        read(modules::read()),
        Group { scope: Some(Scope::Admin), routes: deployments::write() },
        Group { scope: Some(Scope::Admin), routes: modules::write(limits.module_bytes) },
    ]
}
