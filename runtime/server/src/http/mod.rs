//! Health and telemetry over HTTP: `/healthz` (the process lives), `/readyz` (the job runs), `/metrics` (Prometheus).
//!
//! Health is open to whoever reaches the address and says nothing but yes or no. Everything else needs the bearer
//! token where one is set; without a token only loopback addresses are listened on.

mod auth;

use crate::config::http::HttpSettings;
use crate::telemetry::Exporter;
use auth::Token;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The media type of the Prometheus text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Starts serving, if the settings say where.
pub async fn start(settings: &HttpSettings, exporter: Arc<Exporter>) -> std::io::Result<Option<Server>> {
    let Some(listen) = settings.listen else { return Ok(None) };
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let app = router(exporter, settings.token.as_ref().map(Token::new));
    tokio::spawn(async move {
        let until = async move {
            // An error is the sender being dropped, which means the same.
            let _ = stopped.await;
        };
        if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(until).await {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
    tracing::info!(%address, "serving /healthz, /readyz and /metrics");
    Ok(Some(Server { address, _stop: stop }))
}

fn router(exporter: Arc<Exporter>, token: Option<Token>) -> Router {
    let protected = Router::new().route("/metrics", get(metrics)).with_state(exporter.clone());
    let protected = match token {
        Some(token) => protected.layer(middleware::from_fn_with_state(Arc::new(token), require_token)),
        None => protected,
    };
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(exporter)
        .merge(protected)
}

async fn ready(State(exporter): State<Arc<Exporter>>) -> Response {
    if exporter.is_ready() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "not ready: the job is not running\n").into_response()
}

async fn metrics(State(exporter): State<Arc<Exporter>>) -> Response {
    ([(header::CONTENT_TYPE, PROMETHEUS)], exporter.render()).into_response()
}

async fn require_token(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
    if token.admits(given) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"tidemark\"")];
    (StatusCode::UNAUTHORIZED, challenge, "a bearer token is needed\n").into_response()
}
