//! What a job holds of one key, and why two rows did not join.

use super::metrics::unknown_metric;
use super::{Api, Routes};
use crate::http::answer::iso;
use crate::http::extract::{Path, Query};
use crate::http::problem::Problem;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tidemark_engine::inspect::{self, Accumulator, KeyState, KeyTimer, Most, WaitingRow};
use tidemark_engine::metric::MetricSpec;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

/// What one look may cost.
const MOST: Most = Most { windows: 1_000, rows: 1_000, timers: 1_000_000, state_bytes: 1 << 10 };

pub(super) fn routes() -> Routes {
    Routes::default().routes(routes!(state))
}

/// Whose state.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StateParameters {
    /// The key.
    key: String,
}

/// What a job holds of a key for a metric, as of one commit.
#[derive(Serialize, ToSchema)]
struct StateOfKey {
    /// The metric.
    metric: String,
    /// The key.
    key: String,
    /// The key group that the key belongs to.
    key_group: u16,
    /// The last committed epoch, of which all of this is.
    epoch: u64,
    /// The metric's watermark then; null before the first event and behind the end of the input.
    watermark: Option<String>,
    /// How the metric groups rows, in words.
    window: String,
    /// Open windows and sessions, oldest first; for a metric without windows what it keeps of the key.
    accumulators: Vec<AccumulatorView>,
    /// For joins: the left rows that wait for a partner.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    left: Option<Vec<WaitingView>>,
    /// For joins: the right rows that wait for a partner.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    right: Option<Vec<WaitingView>>,
    /// When something happens next, earliest first.
    timers: Vec<TimerView>,
    /// Whether there is more than is shown.
    truncated: bool,
    /// What this means for a row that did not lead to anything, in sentences.
    notes: Vec<String>,
}

/// What a metric has made of the rows of a window so far.
#[derive(Serialize, ToSchema)]
struct AccumulatorView {
    window_start: Option<String>,
    window_end: Option<String>,
    /// For a metric without windows: the newest row's event time.
    newest_event_time: Option<String>,
    /// The module that wrote it.
    digest: String,
    state_version: u32,
    bytes: usize,
    /// Its first 1024 bytes, as hexadecimal digits.
    state: String,
}

/// A row that waits.
#[derive(Serialize, ToSchema)]
struct WaitingView {
    event_time: Option<String>,
    /// The watermark that ends its waiting.
    waits_until: Option<String>,
    /// Whether it has had a partner.
    matched: bool,
    partition: u32,
    offset: u64,
    /// Its values, by the names of the metric's input columns.
    #[schema(value_type = Object)]
    values: Value,
}

/// Something that is due.
#[derive(Serialize, ToSchema)]
struct TimerView {
    /// When the metric's watermark gets here.
    time: Option<String>,
    /// `fire`, `cleanup`, `user`, `expiry` or `join`.
    kind: String,
    /// The window that it is about.
    window_start: Option<String>,
}

/// What the job holds of a key.
///
/// Open windows, rows that wait for a partner in a join, timers, and the watermark that decides about them, all as of the
/// last committed epoch. Nothing is held up by looking.
#[utoipa::path(
    get, path = "/api/v1/metrics/{metric}/state", tag = "state",
    params(("metric" = String, Path, description = "Its name"), StateParameters),
    responses((status = 200, description = "What is held; nothing in it if the key is unknown", body = StateOfKey))
)]
async fn state(
    State(api): State<Arc<Api>>,
    Path(metric): Path<String>,
    Query(StateParameters { key }): Query<StateParameters>,
) -> Result<Json<StateOfKey>, Problem> {
    let job = api.job()?;
    let metrics = api.metrics();
    let Some(spec) = metrics.iter().find(|spec| spec.name == metric).cloned() else {
        let known: Vec<String> = metrics.iter().map(|spec| spec.name.clone()).collect();
        return Err(unknown_metric(&metric, known.iter()));
    };
    let inspector = job.state.clone();
    let asked = key.clone();
    let found = api.look(move || inspector.look(|state| inspect::key_state(state, &spec, &asked, MOST))).await?;
    let found = found.map_err(|error| Problem::internal("the look at the state", &error))?;
    let Some(found) = found else {
        return Err(Problem::conflict(
            "nothing-committed",
            "no epoch with this metric is committed yet: ask again later",
        ));
    };
    Ok(Json(view(&metrics, &metric, key, found)))
}

fn view(metrics: &[MetricSpec], metric: &str, key: String, found: KeyState) -> StateOfKey {
    let watermark = inspect::stage_watermark(metrics, metric, found.source_watermark);
    let spec = metrics.iter().find(|spec| spec.name == metric);
    let notes = spec.map(|spec| notes(spec, watermark.unwrap_or(i64::MIN), &found)).unwrap_or_default();
    let [left, right] = match found.waiting {
        Some(waiting) => [Some(waiting.left), Some(waiting.right)],
        None => [None, None],
    };
    StateOfKey {
        metric: metric.to_owned(),
        key,
        key_group: found.key_group,
        epoch: found.epoch,
        watermark: watermark.and_then(iso),
        window: spec.map(|spec| crate::describe::window(&spec.window)).unwrap_or_default(),
        accumulators: found.accumulators.into_iter().map(AccumulatorView::from).collect(),
        left: left.map(|rows| rows.into_iter().map(WaitingView::from).collect()),
        right: right.map(|rows| rows.into_iter().map(WaitingView::from).collect()),
        timers: found.timers.iter().map(TimerView::from).collect(),
        truncated: found.truncated,
        notes,
    }
}

/// What a person who misses a row wants to know.
fn notes(spec: &MetricSpec, watermark: i64, found: &KeyState) -> Vec<String> {
    let mut notes = Vec::new();
    let time = |ms: i64| iso(ms).unwrap_or_else(|| "no time yet".to_owned());
    let behind =
        "rows with an event time before that are late now: look for them among the dead letters with the reason late";
    notes.push(format!("the watermark is {}; {behind}", time(watermark)));
    if let Some(waiting) = &found.waiting {
        let (left, right) = (waiting.left_count, waiting.right_count);
        notes.push(format!("{left} left and {right} right rows wait; a row joins those of the other side whose distance is within the window"));
        for (row, other) in
            waiting.left.iter().map(|row| (row, "right")).chain(waiting.right.iter().map(|row| (row, "left")))
        {
            if !row.matched && notes.len() < 12 {
                notes.push(format!(
                    "the row of {} has no partner yet and waits until the watermark is {}: no {other} row of this key came \
                     within its bounds",
                    time(row.event_time),
                    time(row.waits_until)
                ));
            }
        }
        if left + right == 0 {
            notes.push(
                "nothing waits: rows of this key have all found their partner, waited too long, are late, or have \
                 another key than you think"
                    .to_owned(),
            );
        }
    } else if found.accumulators.is_empty() {
        notes.push("nothing is open: no row of this key came, or its windows have closed".to_owned());
    }
    let poison = "rows on which the module failed are among the dead letters with this metric and key";
    notes.push(format!("{poison} ({} is asked with `metric` and `key`)", spec.name));
    notes
}

impl From<Accumulator> for AccumulatorView {
    fn from(found: Accumulator) -> Self {
        Self {
            window_start: found.window.and_then(|(start, _)| iso(start)),
            window_end: found.window.and_then(|(_, end)| iso(end)),
            newest_event_time: found.newest.and_then(iso),
            digest: found.digest,
            state_version: found.state_version,
            bytes: found.bytes,
            state: found.state.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

impl From<WaitingRow> for WaitingView {
    fn from(row: WaitingRow) -> Self {
        Self {
            event_time: iso(row.event_time),
            waits_until: iso(row.waits_until),
            matched: row.matched,
            partition: row.partition,
            offset: row.offset,
            values: Value::Object(row.values),
        }
    }
}

impl From<&KeyTimer> for TimerView {
    fn from(timer: &KeyTimer) -> Self {
        Self { time: iso(timer.time), kind: timer.kind.to_owned(), window_start: timer.window_start.and_then(iso) }
    }
}
