//! The OpenAPI document, and the page that shows it.
//!
//! The document is put together from the handlers' own annotations. What holds for every route (its scope, the form of
//! errors) is added here, so that no handler can forget it.

use super::problem;
use crate::config::http::Scope;
use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::get;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder};
use utoipa::{PartialSchema as _, ToSchema as _};

/// Where the document is.
pub(super) const PATH: &str = "/api/v1/openapi.json";

const BEARER: &str = "bearer";
const PAGE: &str = include_str!("page.html");

/// The page runs its own script, asks this server, and nobody else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'";

/// A document without routes.
pub(super) fn empty() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Tidemark")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Rows, state and operation of a Tidemark job. Errors are RFC 9457 problem documents."));
    let mut components = Components::new();
    let scheme = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Not needed where the server listens on a loopback address and has no tokens."))
            .build(),
    );
    components.add_security_scheme(BEARER, scheme);
    let name = problem::Problem::name().into_owned();
    components.schemas.insert(name, problem::Problem::schema());
    OpenApiBuilder::new().info(info.build()).components(Some(components)).build()
}

/// Adds to every operation what holds for all: the scope that it needs, and what an error looks like.
pub(super) fn complete(document: &mut OpenApi, scope: Option<Scope>) {
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            let needed = scope.map(|scope| SecurityRequirement::new(BEARER, [scope.name()]));
            operation.security = Some(needed.into_iter().collect());
            let content = Content::new(Some(Ref::from_schema_name(problem::Problem::name())));
            let problem = ResponseBuilder::new().description("A problem").content(problem::MEDIA_TYPE, content).build();
            operation.responses.responses.insert("default".to_owned(), problem.into());
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// Serves the document and its page.
pub(super) fn routes(document: &OpenApi) -> Router {
    let text: Bytes = document.to_json().map(Bytes::from).unwrap_or_else(|error| {
        tracing::error!(%error, "the OpenAPI document cannot be written");
        Bytes::from_static(b"{}")
    });
    let page = || async { ([(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)], axum::response::Html(PAGE)) };
    Router::new()
        .route(PATH, get(move || std::future::ready(([(header::CONTENT_TYPE, "application/json")], text.clone()))))
        .route("/api/v1", get(page))
        .route("/api/v1/", get(page))
}
