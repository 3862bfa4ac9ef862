//! The HTTP server: the REST API below `/api/v1`, health and telemetry.
//!
//! Handlers stand in [`routes`], one file an area. What every request goes through is here: connections are bounded
//! ([`connections`]), tokens and their scopes checked ([`auth`]), bodies and times limited, and whatever goes wrong is a
//! problem document ([`problem`]). Health and the description of the API are open to whoever reaches the address; everything
//! else needs a bearer token where there are any, and without any only loopback addresses are listened on.
//!
//! Nothing here decides about rows, and no request holds up the engine.

mod answer;
mod api;
mod auth;
mod connections;
mod extract;
mod openapi;
mod problem;
#[expect(unused_qualifications, reason = "what utoipa::path makes of its parameters is qualified")]
mod routes;

pub use api::{Api, JobView, Lag, NodesView};
pub use problem::Problem;

use crate::config::http::HttpSettings;
use auth::{Guard, Tokens, admit};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use utoipa_axum::router::OpenApiRouter;

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    _stop: watch::Sender<()>,
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Starts serving, if the settings say where.
pub async fn start(settings: &HttpSettings, api: Arc<Api>) -> std::io::Result<Option<Server>> {
    let Some(listen) = settings.listen else { return Ok(None) };
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(());
    tokio::spawn(connections::serve(listener, router(settings, api), settings.limits.connections, stopped));
    tracing::info!(%address, "serving the API");
    Ok(Some(Server { address, _stop: stop }))
}

fn router(settings: &HttpSettings, api: Arc<Api>) -> Router {
    let tokens = Arc::new(Tokens::new(settings));
    let mut all = OpenApiRouter::with_openapi(openapi::empty());
    for routes::Group { scope, mut routes } in routes::all(&settings.limits) {
        openapi::complete(routes.get_openapi_mut(), scope);
        let routes = match scope {
            Some(scope) => {
                let guard = Guard { tokens: tokens.clone(), scope };
                routes.route_layer(middleware::from_fn_with_state(guard, admit))
            }
            None => routes,
        };
        all = all.merge(routes);
    }
    let (routes, document) = all.split_for_parts();
    let timeout = Duration::from_millis(settings.limits.timeout_ms);
    routes
        .with_state(api)
        .merge(openapi::routes(&document))
        .fallback(|| async { Problem::not_found("no-such-page", format!("see {}", openapi::PATH)) })
        .method_not_allowed_fallback(|| async { Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed") })
        .layer(DefaultBodyLimit::max(settings.limits.request_bytes))
        .layer(middleware::from_fn_with_state(timeout, in_time))
}

/// Ends what takes too long until its answer begins: the handler is dropped where it stands, so one that must not stop
/// half way does its work in a task of its own. Says to browsers and proxies what holds for every answer.
async fn in_time(State(timeout): State<Duration>, request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(timeout, next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout")
            .detail(format!("no answer within {} ms: ask for less", timeout.as_millis()))
            .into_response()
    });
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
