//! Rows as they become visible, as server-sent events.

use super::{Api, Routes};
use crate::http::extract::{Path, Query};
use crate::http::problem::Problem;
use crate::live::{Live, LiveReader};
use arrow_array::cast::AsArray as _;
use arrow_array::{RecordBatch, StringArray};
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream;
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use tidemark_query::encode::objects;
use utoipa::IntoParams;
use utoipa_axum::routes;

pub(super) fn routes() -> Routes {
    Routes::default().routes(routes!(live))
}

/// Which rows.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LiveParameters {
    /// Rows of this key only.
    key: Option<String>,
}

/// Rows as they become visible.
///
/// Server-sent events: `row` with a row as JSON and its epoch as the id, behind the commit of that epoch; `lost` with the
/// number of rows that were left out because the reader is too slow. What was before, or was lost, is asked for as rows.
#[utoipa::path(
    get, path = "/api/v1/metrics/{metric}/live", tag = "metrics",
    params(("metric" = String, Path, description = "Its name"), LiveParameters),
    responses((status = 200, description = "Events without end", body = String, content_type = "text/event-stream"))
)]
async fn live(
    State(api): State<Arc<Api>>,
    Path(metric): Path<String>,
    Query(LiveParameters { key }): Query<LiveParameters>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let job = api.job()?;
    let metrics = api.metrics();
    if !metrics.iter().any(|spec| spec.name == metric) {
        let known: Vec<String> = metrics.iter().map(|spec| spec.name.clone()).collect();
        return Err(super::metrics::unknown_metric(&metric, known.iter()));
    }
    let Some(reader) = job.live.watch(&metric, api.limits.live_readers) else {
        return Err(Problem::busy(format!("{} readers of live rows are there already", api.limits.live_readers)));
    };
    Ok(Sse::new(events(reader, key)).keep_alive(KeepAlive::default()))
}

/// Each message as one piece of events: a row at a time would only cost more.
fn events(reader: LiveReader, key: Option<String>) -> impl Stream<Item = Result<Event, Infallible>> {
    let start = (reader, Vec::new().into_iter(), key);
    stream::unfold(start, async |(mut reader, mut ready, key)| {
        loop {
            if let Some(event) = ready.next() {
                return Some((Ok(event), (reader, ready, key)));
            }
            let next = reader.next().await?;
            ready = events_of(&next, key.as_deref()).into_iter();
        }
    })
}

fn events_of(live: &Live, key: Option<&str>) -> Vec<Event> {
    match live {
        Live::Lost(rows) => vec![Event::default().event("lost").data(format!("{{\"rows\":{rows}}}"))],
        Live::Rows { epoch, rows } => {
            let keys = key.and_then(|_| keys_of(rows));
            let wanted = |row: usize| keys.is_none_or(|keys| Some(keys.value(row)) == key);
            let objects = objects(std::slice::from_ref(rows)).into_iter().enumerate().filter(|(row, _)| wanted(*row));
            let event = |row: String| Event::default().event("row").id(epoch.to_string()).data(row);
            objects.map(|(_, row)| event(row.to_string())).collect()
        }
    }
}

fn keys_of(rows: &RecordBatch) -> Option<&StringArray> {
    rows.column_by_name("key").and_then(|column| column.as_string_opt())
}
