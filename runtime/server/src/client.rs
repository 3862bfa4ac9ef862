//! A client of a running job's API, for commands.

use crate::exit::Failure;
use clap::Args;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::http::request;
use hyper::{Method, Request, Uri, header};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// The media type of documents.
pub const JSON: &str = "application/json";

/// Most bytes of an answer.
const ANSWER_BYTES: usize = 64 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the job is.
#[derive(Clone, Debug, Args)]
pub struct ServerArguments {
    /// The address of the job's API.
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "TIDEMARK_URL")]
    pub url: String,
    /// A file with the bearer token; without one the variable TIDEMARK_TOKEN, if it is set.
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The document.
    pub body: Value,
}

/// Sends requests, one after the other.
pub struct Client {
    base: String,
    token: Option<String>,
    runtime: tokio::runtime::Runtime,
    http: Http<hyper_rustls::HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Client {
    /// A client of the job that `arguments` name.
    pub fn new(arguments: &ServerArguments) -> Result<Self, Failure> {
        let token = match &arguments.token_file {
            Some(file) => {
                let read = std::fs::read_to_string(file);
                Some(read.map_err(|error| Failure::Usage(format!("cannot read {}: {error}", file.display())))?)
            }
            None => std::env::var("TIDEMARK_TOKEN").ok(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tls = hyper_rustls::HttpsConnectorBuilder::new().with_native_roots()?;
        let http = Http::builder(TokioExecutor::new()).build(tls.https_or_http().enable_http1().build());
        let (base, token) =
            (arguments.url.trim_end_matches('/').to_owned(), token.map(|token| token.trim().to_owned()));
        Ok(Self { base, token, runtime, http })
    }

    /// Asks for a document.
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        self.done(Method::GET, path, Bytes::new(), JSON)
    }

    /// Uploads a module, or says where it is, with its signature where there is one.
    pub fn push(&self, path: &str, content: &str, bytes: Vec<u8>, signature: Option<&str>) -> Result<Value, Failure> {
        let request = self.request(Method::POST, path, content)?;
        let request = match signature {
            Some(signature) => request.header("tidemark-signature", signature),
            None => request,
        };
        into_done(self.exchange(request, bytes.into())?)
    }

    /// Sends a request and expects it to be done; the problem document of one that is not becomes the failure.
    pub fn done(&self, method: Method, path: &str, body: Bytes, content: &str) -> Result<Value, Failure> {
        into_done(self.send(method, path, body, content)?)
    }

    /// Sends a request.
    pub fn send(&self, method: Method, path: &str, body: Bytes, content: &str) -> Result<Answer, Failure> {
        self.exchange(self.request(method, path, content)?, body)
    }

    fn request(&self, method: Method, path: &str, content: &str) -> Result<request::Builder, Failure> {
        let uri: Uri = format!("{}{path}", self.base)
            .parse()
            .map_err(|error| Failure::Usage(format!("{} is no address: {error}", self.base)))?;
        let request = Request::builder().method(method).uri(uri).header(header::CONTENT_TYPE, content);
        Ok(match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        })
    }

    fn exchange(&self, request: request::Builder, body: Bytes) -> Result<Answer, Failure> {
        let request = request.body(Full::new(body)).map_err(Failure::failed)?;
        let unreachable =
            |error: &dyn std::fmt::Display| Failure::failed(format!("no answer from {}: {error}", self.base));
        self.runtime.block_on(async {
            let answered = tokio::time::timeout(PATIENCE, async {
                let response = self.http.request(request).await.map_err(|error| unreachable(&error))?;
                let status = response.status().as_u16();
                let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
                let body = body.map_err(|error| unreachable(&error))?.to_bytes();
                let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
                Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or_else(|_| text()) })
            });
            answered.await.map_err(|_| unreachable(&"it takes too long"))?
        })
    }
}

/// The document of what was done; the problem of what was not becomes the failure.
fn into_done(Answer { status, body }: Answer) -> Result<Value, Failure> {
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let text = |field: &str| body[field].as_str().map(str::to_owned);
    let detail = text("detail").or_else(|| text("title")).unwrap_or_else(|| body.to_string());
    let errors: Vec<&str> = body["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // One reason is the detail itself.
    let lines: Vec<String> = errors.iter().filter(|_| errors.len() > 1).map(|error| format!("\n  {error}")).collect();
    Err(Failure::failed(format!("refused ({status}): {detail}{}", lines.concat())))
}
