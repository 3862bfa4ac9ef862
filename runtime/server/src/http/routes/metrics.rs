//! The catalogue of metrics and their rows: pages, the newest of each key, SQL over everything.

use super::{Api, Routes};
use crate::http::answer::{self, encoding, link_next, moment};
use crate::http::extract::{Json, Path, Query};
use crate::http::problem::Problem;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tidemark_engine::descriptor::OutputColumn;
use tidemark_engine::metric::MetricSpec;
use tidemark_query::QueryError;
use tidemark_query::encode::{encode, objects};
use tidemark_query::rows::{LatestQuery, Order, Position, RowQuery, RowStore};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

/// Rows of a page where nobody says how many.
const PAGE: usize = 1_000;

pub(super) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(rows))
        .routes(routes!(latest))
        .routes(routes!(sql))
}

/// A metric: what it is, and what its rows look like.
#[derive(Serialize, ToSchema)]
struct Metric {
    /// Its name.
    name: String,
    /// Whether it is part of the running job; if not, only its rows are left.
    running: bool,
    /// Its own columns, behind those that every metric has.
    columns: Vec<Column>,
    /// What runs, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    deployment: Option<Deployment>,
}

/// A column of a metric's rows.
#[derive(Serialize, ToSchema)]
struct Column {
    /// Its name.
    name: String,
    /// `boolean`, `integer`, `float`, `text` or `json`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Whether a row may leave it null.
    nullable: bool,
}

/// What of a metric runs.
#[derive(Serialize, ToSchema)]
struct Deployment {
    /// The module's name.
    module: String,
    /// The module's version.
    version: String,
    /// SHA-256 of the module.
    digest: String,
    /// SHA-256 of the configuration.
    config_digest: String,
    /// The path of the key in events.
    key: String,
    /// Which events it wants, as in a configuration.
    #[schema(value_type = Object)]
    filter: Value,
    /// How rows are grouped in event time, as in a configuration.
    #[schema(value_type = Object)]
    window: Value,
    /// How long after its end a window can still change, in ms.
    allowed_lateness_ms: i64,
}

impl Metric {
    fn new(name: &str, columns: &[OutputColumn], spec: Option<&MetricSpec>) -> Self {
        let columns = columns.iter().map(|column| Column {
            name: column.name.clone(),
            kind: crate::describe::column_type(column.kind),
            nullable: column.nullable,
        });
        let deployment = spec.map(|spec| Deployment {
            module: spec.module.clone(),
            version: spec.version.clone(),
            digest: spec.digest.to_string(),
            config_digest: spec.config_digest.to_string(),
            key: spec.key.clone(),
            filter: serde_json::to_value(&spec.filter).unwrap_or_default(),
            window: serde_json::to_value(&spec.window).unwrap_or_default(),
            allowed_lateness_ms: spec.allowed_lateness_ms,
        });
        Self { name: name.to_owned(), running: spec.is_some(), columns: columns.collect(), deployment }
    }
}

/// Every metric that runs or has rows.
#[derive(Serialize, ToSchema)]
struct Metrics {
    metrics: Vec<Metric>,
}

/// The metrics that run or have rows.
#[utoipa::path(get, path = "/api/v1/metrics", tag = "metrics", responses((status = 200, description = "The metrics", body = Metrics)))]
async fn list(State(api): State<Arc<Api>>) -> Result<axum::Json<Metrics>, Problem> {
    let running = api.metrics();
    let tables = api.ask(|store, _| store.metrics()).await?;
    let metrics = tables
        .metrics
        .iter()
        .map(|(name, columns)| Metric::new(name, columns, running.iter().find(|spec| spec.name == *name)));
    Ok(axum::Json(Metrics { metrics: metrics.collect() }))
}

/// One metric.
#[utoipa::path(
    get, path = "/api/v1/metrics/{metric}", tag = "metrics",
    params(("metric" = String, Path, description = "Its name")),
    responses((status = 200, description = "The metric", body = Metric))
)]
async fn one(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<axum::Json<Metric>, Problem> {
    let running = api.metrics();
    let tables = api.ask(|store, _| store.metrics()).await?;
    let Some(columns) = tables.metrics.get(&name) else {
        return Err(unknown_metric(&name, tables.metrics.keys()));
    };
    Ok(axum::Json(Metric::new(&name, columns, running.iter().find(|spec| spec.name == name))))
}

/// There is no such metric.
pub(super) fn unknown_metric<'n>(name: &str, known: impl Iterator<Item = &'n String>) -> Problem {
    let known = known.cloned().collect::<Vec<_>>().join(", ");
    Problem::not_found("unknown-metric", format!("there is no metric {name}; there are {known}"))
}

/// A question about a metric, which must be there.
async fn ask_about<T: Send + 'static>(
    api: &Api,
    metric: &str,
    question: impl FnOnce(&dyn RowStore, tidemark_query::rows::Bounds) -> Result<T, QueryError> + Send + 'static,
) -> Result<T, Problem> {
    let name = metric.to_owned();
    let answered = api.ask(move |store, bounds| match store.columns(&name)? {
        Some(_) => question(store, bounds).map(Ok),
        None => Ok(Err(store.metrics()?)),
    });
    answered.await?.map_err(|tables| unknown_metric(metric, tables.metrics.keys()))
}

/// Which rows, and how.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RowParameters {
    /// Rows of this key only.
    key: Option<String>,
    /// Rows with an event time from here on: a date, a time with its zone (RFC 3339), or milliseconds since 1970.
    from: Option<String>,
    /// Rows with an event time before.
    until: Option<String>,
    /// `desc`, the newest first, or `asc`.
    order: Option<String>,
    /// Most rows; 1000 where nothing is said.
    limit: Option<usize>,
    /// Where a page before this one said that the next goes on. Everything else must be asked as before.
    cursor: Option<String>,
    /// `json`, `ndjson`, `csv` or `arrow`; else as `Accept` says.
    format: Option<String>,
}

/// Rows and where the next page goes on.
#[derive(Serialize, ToSchema)]
struct Page {
    /// The rows: one object each, with a field per column.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<Value>,
    /// The cursor of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Rows of a metric.
///
/// In the order of event time and row id. A window that fired again has one row, its last.
#[utoipa::path(
    get, path = "/api/v1/metrics/{metric}/rows", tag = "metrics",
    params(("metric" = String, Path, description = "Its name"), RowParameters),
    responses((status = 200, description = "A page of rows", content(
        (Page = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"),
    ), headers(
        ("Link", description = "The next page, if there is one"),
        ("Tidemark-Next-Cursor", description = "Its cursor, percent-encoded")
    )))
)]
async fn rows(
    State(api): State<Arc<Api>>,
    Path(metric): Path<String>,
    Query(asked): Query<RowParameters>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let encoding = encoding(asked.format.as_deref(), &headers)?;
    let order = match asked.order.as_deref() {
        None | Some("desc") => Order::Descending,
        Some("asc") => Order::Ascending,
        Some(other) => return Err(Problem::bad_request(format!("order must be asc or desc, not \"{other}\""))),
    };
    let query = RowQuery {
        metric: metric.clone(),
        key: asked.key,
        from: moment("from", asked.from.as_ref())?,
        until: moment("until", asked.until.as_ref())?,
        order,
        after: asked.cursor.as_deref().map(|cursor| read_cursor(cursor, order)).transpose()?,
        limit: answer::limit(asked.limit, PAGE, api.limits.rows)?,
    };
    let page = ask_about(&api, &metric, move |store, bounds| store.rows(&query, bounds)).await?;
    let next = page.next.map(|next| write_cursor(&next, order));
    answer_page(encoding, page.rows, next, &uri).await
}

async fn answer_page(
    encoding: tidemark_query::encode::Encoding,
    rows: arrow_array::RecordBatch,
    next: Option<String>,
    uri: &Uri,
) -> Result<Response, Problem> {
    let uri = uri.clone();
    // Thousands of rows take their time: not on a thread that others wait for.
    let made = tokio::task::spawn_blocking(move || {
        let (schema, batches) = (rows.schema(), [rows]);
        let is_json = encoding == tidemark_query::encode::Encoding::Json;
        let document = Page { rows: if is_json { objects(&batches) } else { Vec::new() }, next };
        let mut response = answer::of_rows(encoding, &document, || {
            encode(encoding, &schema, &batches).map_err(|error| Problem::internal("the answer", &error))
        })?;
        link_next(&mut response, &uri, document.next.as_deref());
        Ok(response)
    });
    made.await.map_err(|error| Problem::internal("the answer", &error))?
}

/// A position as a cursor: the order that it belongs to, the event time, the row id.
fn write_cursor(position: &Position, order: Order) -> String {
    let order = if order == Order::Ascending { 'a' } else { 'd' };
    format!("{order}{}.{}", position.event_time, position.row_id)
}

fn read_cursor(cursor: &str, order: Order) -> Result<Position, Problem> {
    let prefix = if order == Order::Ascending { 'a' } else { 'd' };
    let parts = cursor.strip_prefix(prefix).and_then(|rest| rest.split_once('.'));
    let position = parts.and_then(|(time, row_id)| Some((time.parse().ok()?, row_id.to_owned())));
    position.map(|(event_time, row_id)| Position { event_time, row_id }).ok_or_else(|| {
        Problem::bad_request("cursor is not one that a page in this order gave: take it from `next`, and keep `order`")
    })
}

/// Which newest rows, and how.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only describes the parameters: `key` comes any number of times")]
struct LatestParameters {
    /// A key; may come several times. Without any: every key.
    #[param(nullable = false)]
    key: Option<Vec<String>>,
    /// Rows with an event time from here on: a date, a time with its zone (RFC 3339), or milliseconds since 1970.
    from: Option<String>,
    /// Rows with an event time before.
    until: Option<String>,
    /// Most keys; 1000 where nothing is said.
    limit: Option<usize>,
    /// Where a page before this one said that the next goes on.
    cursor: Option<String>,
    /// `json`, `ndjson`, `csv` or `arrow`; else as `Accept` says.
    format: Option<String>,
}

/// The newest row of each key.
#[utoipa::path(
    get, path = "/api/v1/metrics/{metric}/latest", tag = "metrics",
    params(("metric" = String, Path, description = "Its name"), LatestParameters),
    responses((status = 200, description = "A row per key, by key", content(
        (Page = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"),
    ), headers(
        ("Link", description = "The next page, if there is one"),
        ("Tidemark-Next-Cursor", description = "Its cursor, percent-encoded")
    )))
)]
async fn latest(
    State(api): State<Arc<Api>>,
    Path(metric): Path<String>,
    Query(asked): Query<Vec<(String, String)>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (mut from, mut until, mut limit, mut after, mut format, mut keys) = (None, None, None, None, None, Vec::new());
    for (name, value) in asked {
        match name.as_str() {
            "key" => keys.push(value),
            "from" => from = Some(value),
            "until" => until = Some(value),
            "limit" => limit = Some(value),
            "cursor" => after = Some(value),
            "format" => format = Some(value),
            other => {
                let known = "key, from, until, limit, cursor, format";
                return Err(Problem::bad_request(format!("unknown parameter {other}; known here: {known}")));
            }
        }
    }
    let encoding = encoding(format.as_deref(), &headers)?;
    let limit = limit.map(|limit| limit.parse()).transpose();
    let limit = limit.map_err(|_| Problem::bad_request("limit must be a whole number"))?;
    let query = LatestQuery {
        metric: metric.clone(),
        keys,
        from: moment("from", from.as_ref())?,
        until: moment("until", until.as_ref())?,
        after,
        limit: answer::limit(limit, PAGE, api.limits.rows)?,
    };
    let page = ask_about(&api, &metric, move |store, bounds| store.latest(&query, bounds)).await?;
    answer_page(encoding, page.rows, page.next, &uri).await
}

/// A query in SQL.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SqlRequest {
    /// The query: `SELECT`, `WITH`, `EXPLAIN` and the like. Tables are `events`, `metrics`, `dead_letters`, and one per
    /// metric with underscores for hyphens.
    query: String,
    /// Most rows; 1000 where nothing is said. An answer with more is cut.
    #[schema(nullable = false)]
    limit: Option<usize>,
    /// `json`, `ndjson`, `csv` or `arrow`; else as `Accept` says.
    #[schema(nullable = false)]
    format: Option<String>,
}

/// The answer to a query.
#[derive(Serialize, ToSchema)]
struct SqlRows {
    /// The columns, in order.
    columns: Vec<SqlColumn>,
    /// The rows: one object each, with a field per column.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<Value>,
    /// Whether there are more rows than these.
    truncated: bool,
}

/// A column of an answer.
#[derive(Serialize, ToSchema)]
struct SqlColumn {
    /// Its name.
    name: String,
    /// Its Arrow type.
    #[serde(rename = "type")]
    kind: String,
}

/// Answer a query in SQL.
///
/// Only what reads is allowed, within limits of time, rows, bytes and memory.
#[utoipa::path(
    post, path = "/api/v1/sql", tag = "sql", request_body = SqlRequest,
    responses((status = 200, description = "The answer", content(
        (SqlRows = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"),
    ), headers(("Tidemark-Truncated", description = "`true` where there are more rows than these"))))
)]
async fn sql(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Json(asked): Json<SqlRequest>,
) -> Result<Response, Problem> {
    let encoding = encoding(asked.format.as_deref(), &headers)?;
    let limit = answer::limit(asked.limit, PAGE, api.limits.rows)?;
    api.ask(move |store, bounds| {
        let answer = store.sql(&asked.query, limit, bounds)?;
        let columns = answer
            .schema
            .fields()
            .iter()
            .map(|field| SqlColumn { name: field.name().clone(), kind: field.data_type().to_string() });
        let is_json = encoding == tidemark_query::encode::Encoding::Json;
        let document = SqlRows {
            columns: columns.collect(),
            rows: if is_json { objects(&answer.rows) } else { Vec::new() },
            truncated: answer.truncated,
        };
        Ok(answer::of_rows(encoding, &document, || {
            encode(encoding, &answer.schema, &answer.rows).map_err(|error| Problem::internal("the answer", &error))
        })
        .map(|mut response| {
            if answer.truncated {
                response.headers_mut().insert(answer::TRUNCATED, HeaderValue::from_static("true"));
            }
            response
        }))
    })
    .await?
}
