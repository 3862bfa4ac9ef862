//! Health and telemetry over HTTP, and who may see them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tidemark_engine::dead_letter::Reason;
use tidemark_engine::telemetry::Telemetry;
use tidemark_query::rows::EmbeddedStore;
use tidemark_server::config::http::{HttpSettings, Scope, Secret, Token};
use tidemark_server::http::{self, Api, Server};
use tidemark_server::telemetry::Exporter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const TOKEN: &str = "0123456789abcdef";

async fn serve(token: Option<&str>) -> (Server, Arc<Exporter>, Arc<Telemetry>) {
    let telemetry = Arc::new(Telemetry::default());
    let exporter = Arc::new(Exporter::new("test", telemetry.clone()));
    let secret = token.map(|token| Secret::new(token).expect("a sound token"));
    let tokens = secret.into_iter().map(|secret| Token { scope: Scope::Read, secret }).collect();
    let settings = HttpSettings { listen: Some(([127, 0, 0, 1], 0).into()), tokens, ..HttpSettings::default() };
    let store = Arc::new(EmbeddedStore::new(Path::new("no-data"), 1 << 24));
    let api = Arc::new(Api::new(exporter.clone(), settings.limits.clone(), store));
    let server = http::start(&settings, api).await.expect("a free port").expect("an address is set");
    (server, exporter, telemetry)
}

/// Status and body of a GET.
async fn get(address: SocketAddr, path: &str, authorization: Option<&str>) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let authorization = authorization.map_or_else(String::new, |value| format!("Authorization: {value}\r\n"));
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer in UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

#[tokio::test]
async fn health_and_readiness_follow_the_job() {
    let (server, exporter, _) = serve(None).await;
    assert_eq!(get(server.address(), "/healthz", None).await, (200, "ok\n".to_owned()));
    assert_eq!(get(server.address(), "/readyz", None).await.0, 503);
    exporter.set_ready(true);
    assert_eq!(get(server.address(), "/readyz", None).await.0, 200);
    assert_eq!(get(server.address(), "/no-such-page", None).await.0, 404);
}

#[tokio::test]
async fn counters_are_served() {
    let (server, _, telemetry) = serve(None).await;
    telemetry.records.add(7);
    telemetry.add_dead(Reason::BrokenJson, 2);
    telemetry.stage("jitter-coefficient").rows_out.add(3);
    let (status, body) = get(server.address(), "/metrics", None).await;
    assert_eq!(status, 200);
    for line in [
        "tidemark_source_records_total 7",
        "tidemark_dead_letters_total{reason=\"broken_json\"} 2",
        "tidemark_metric_rows_out_total{metric=\"jitter-coefficient\"} 3",
        "# TYPE tidemark_epoch gauge",
    ] {
        assert!(body.lines().any(|found| found == line), "{line} in {body}");
    }
}

#[tokio::test]
async fn a_token_closes_everything_but_health() {
    let (server, exporter, _) = serve(Some(TOKEN)).await;
    exporter.set_ready(true);
    let address = server.address();
    assert_eq!(get(address, "/healthz", None).await.0, 200);
    assert_eq!(get(address, "/readyz", None).await.0, 200);
    for wrong in [None, Some("Bearer wrong"), Some("Basic 0123456789abcdef"), Some("Bearer 0123456789abcde")] {
        assert_eq!(get(address, "/metrics", wrong).await.0, 401, "{wrong:?}");
    }
    assert_eq!(get(address, "/metrics", Some("Bearer 0123456789abcdef")).await.0, 200);
}
