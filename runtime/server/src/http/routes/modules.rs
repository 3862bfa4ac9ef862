//! Modules: uploaded, admitted, listed, removed.

use super::{Api, Routes};
use crate::http::extract::Path;
use crate::http::problem::Problem;
use crate::modules::{Admission, ModuleRecord, PullError, Reference, Registry, RegistryError, Signature, pull};
use crate::operate::Operator;
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tidemark_connectors::module_store::{ModuleStoreError, Upload};
use tidemark_engine::ids::Digest;
use tidemark_wasm_host::contract::Finding;
use utoipa::ToSchema;
use utoipa_axum::routes;

/// Where an ed25519 signature of the digest is sent, as hexadecimal digits.
const SIGNATURE: HeaderName = HeaderName::from_static("tidemark-signature");

pub(super) fn read() -> Routes {
    Routes::default().routes(routes!(list)).routes(routes!(show))
}

pub(super) fn write(most_bytes: usize) -> Routes {
    // The store counts what arrives, which may be less than a client announces.
    let upload = Routes::default().routes(routes!(push)).layer(DefaultBodyLimit::max(most_bytes));
    upload.routes(routes!(remove))
}

/// A module.
#[derive(Serialize, ToSchema)]
pub(super) struct Module {
    /// SHA-256 of its bytes.
    digest: String,
    /// Its size.
    bytes: u64,
    /// `checking`, `admitted` or `refused`.
    status: &'static str,
    /// Why it is refused, each reason with how to mend it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    /// How long compiling and checking took, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    checked_ms: Option<u64>,
    /// What the contract tests found, one for each promise: `check`, `outcome` and, where one is broken, what was seen and
    /// how to mend it. Known of modules that came since the job was started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    contract: Vec<Finding>,
    /// Metrics that run it.
    metrics: Vec<String>,
    /// What it says of itself; only where one module is asked for.
    #[serde(skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Object)]
    description: Value,
}

impl Module {
    fn of(record: ModuleRecord, operator: &Operator) -> Self {
        let view = operator.view();
        let running = view.metrics.values().filter(|deployment| deployment.module == record.digest);
        let (status, reasons) = match record.admission {
            Admission::Checking => ("checking", Vec::new()),
            Admission::Admitted => ("admitted", Vec::new()),
            Admission::Refused(reasons) => ("refused", reasons),
        };
        Self {
            digest: record.digest.to_string(),
            bytes: record.bytes,
            status,
            reasons,
            checked_ms: record.checked_ms,
            contract: record.findings,
            metrics: running.map(|deployment| deployment.name.clone()).collect(),
            description: Value::Null,
        }
    }
}

/// Where to pull a module from.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Pull {
    /// An artifact in a registry that the job's file names: `REGISTRY/REPOSITORY@sha256:…`, the digest being that of its
    /// manifest.
    oci: String,
}

/// Most bytes of that.
const PULL_BYTES: usize = 16 << 10;

/// Modules.
#[derive(Serialize, ToSchema)]
struct Modules {
    modules: Vec<Module>,
}

/// Uploads a module, or has the job pull one from a registry of containers.
///
/// The bytes of a `.wasm` component are the body, or a JSON document that names an artifact. The answer comes when they have arrived; compiling and checking go on,
/// and `GET /api/v1/modules/{digest}` tells how far they are.
#[utoipa::path(
    post, path = "/api/v1/modules", tag = "modules",
    params(("Tidemark-Signature" = Option<String>, Header, description = "ed25519 signature of the SHA-256 digest, hexadecimal")),
    request_body(content((Vec<u8> = "application/wasm"), (Pull = "application/json"))),
    responses((status = 202, description = "It is being checked", body = Module))
)]
async fn push(State(api): State<Arc<Api>>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let operator = api.operator()?;
    let registry = operator.registry().clone();
    let signature = headers.get(SIGNATURE).map(|value| {
        let text = value.to_str().map_err(|_| "it is not text".to_owned())?;
        text.parse::<Signature>()
    });
    let signature = signature.transpose().map_err(|error| Problem::bad_request(format!("{SIGNATURE}: {error}")))?;
    let upload = match headers.get(header::CONTENT_TYPE).is_some_and(|media| media == "application/json") {
        true => pulled(operator, body).await?,
        false => uploaded(&registry, &headers, body).await?,
    };
    let digest = registry.admit(upload, signature).map_err(of_registry)?;
    let record = registry.show(digest).map_err(of_store)?;
    let record = record.ok_or_else(|| Problem::not_found("unknown-module", format!("there is no module {digest}")))?;
    let mut response = (StatusCode::ACCEPTED, axum::Json(Module::of(record, operator))).into_response();
    if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/modules/{digest}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// What the body is.
async fn uploaded(registry: &Registry, headers: &HeaderMap, body: Body) -> Result<Upload, Problem> {
    let limit = registry.module_bytes();
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(of_store(ModuleStoreError::TooLarge { limit }));
    }
    let mut upload = registry.upload().map_err(of_store)?;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| Problem::bad_request(format!("the upload broke off: {error}")))?;
        upload.write(&piece).map_err(of_store)?;
    }
    Ok(upload)
}

/// What a registry has under the name that the body says.
async fn pulled(operator: &Operator, body: Body) -> Result<Upload, Problem> {
    let registry = operator.registry();
    let body = to_bytes(body, PULL_BYTES).await;
    let body = body.map_err(|error| Problem::bad_request(format!("the document cannot be read: {error}")))?;
    let Pull { oci } = serde_json::from_slice(&body).map_err(|error| {
        Problem::bad_request(format!("write {{\"oci\": \"REGISTRY/REPOSITORY@sha256:…\"}}: {error}"))
    })?;
    let reference: Reference = oci.parse().map_err(|reason| Problem::bad_request(format!("oci {reason}")))?;
    let upload = registry.upload().map_err(of_store)?;
    pull(operator.oci_registries(), &reference, upload, registry.module_bytes()).await.map_err(of_pull)
}

/// The modules that are kept, being checked, or were refused lately.
#[utoipa::path(get, path = "/api/v1/modules", tag = "modules", responses((status = 200, description = "The modules", body = Modules)))]
async fn list(State(api): State<Arc<Api>>) -> Result<axum::Json<Modules>, Problem> {
    let operator = api.operator()?;
    let records = operator.registry().list().map_err(of_store)?;
    let modules = records.into_iter().map(|record| Module::of(record, operator)).collect();
    Ok(axum::Json(Modules { modules }))
}

/// One module: how far it is, and what it says of itself.
#[utoipa::path(
    get, path = "/api/v1/modules/{digest}", tag = "modules",
    params(("digest" = String, Path, description = "SHA-256 of its bytes")),
    responses((status = 200, description = "The module", body = Module))
)]
async fn show(State(api): State<Arc<Api>>, Path(digest): Path<String>) -> Result<axum::Json<Module>, Problem> {
    let operator = api.operator()?.clone();
    let digest: Digest = digest.parse().map_err(Problem::bad_request)?;
    let registry = operator.registry().clone();
    let record = registry.show(digest).map_err(of_store)?;
    let record = record.ok_or_else(|| Problem::not_found("unknown-module", format!("there is no module {digest}")))?;
    let admitted = record.admission == Admission::Admitted;
    let mut module = Module::of(record, &operator);
    if admitted {
        // A module that was pushed before the process started may have to be compiled first.
        let loaded = tokio::task::spawn_blocking(move || registry.module(digest)).await;
        let loaded = loaded.map_err(|error| Problem::internal("compiling the module", &error))?.map_err(of_registry)?;
        module.description = serde_json::to_value(loaded.descriptor()).unwrap_or_default();
    }
    Ok(axum::Json(module))
}

/// Removes a module that nothing needs.
#[utoipa::path(
    delete, path = "/api/v1/modules/{digest}", tag = "modules",
    params(("digest" = String, Path, description = "SHA-256 of its bytes")),
    responses((status = 204, description = "It is gone"))
)]
async fn remove(State(api): State<Arc<Api>>, Path(digest): Path<String>) -> Result<StatusCode, Problem> {
    let digest: Digest = digest.parse().map_err(Problem::bad_request)?;
    api.operator()?.remove_module(digest)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn of_store(error: ModuleStoreError) -> Problem {
    match error {
        ModuleStoreError::Missing(_) => Problem::not_found("unknown-module", error.to_string()),
        ModuleStoreError::TooLarge { .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large").detail(error.to_string())
        }
        error => Problem::internal("the store of modules", &error),
    }
}

fn of_pull(error: PullError) -> Problem {
    let (status, kind) = match error {
        PullError::NotNamed(_) | PullError::Unfit { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "module-refused"),
        PullError::Missing(_) => (StatusCode::NOT_FOUND, "unknown-module"),
        PullError::Denied(_) | PullError::Unreachable { .. } => (StatusCode::BAD_GATEWAY, "registry-unavailable"),
        PullError::Store(error) => return of_store(error),
    };
    Problem::new(status, kind).detail(error.to_string())
}

fn of_registry(error: RegistryError) -> Problem {
    match error {
        RegistryError::Refused(reasons) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "module-refused").detail(reasons.join("; ")).errors(reasons)
        }
        RegistryError::Checking(_) | RegistryError::Busy(_) => Problem::busy(error.to_string()),
        RegistryError::Store(error) => of_store(error),
    }
}
