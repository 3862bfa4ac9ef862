//! Dead letters: what could not be processed, and submitting it again.

use super::{Api, Routes};
use crate::http::answer::{self, encoding, link_next, moment};
use crate::http::api::JobView;
use crate::http::extract::{Json, Query};
use crate::http::problem::Problem;
use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, BinaryArray, BooleanArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use tidemark_connectors::source::again::{AgainError, AgainLog, Submission};
use tidemark_query::QueryError;
use tidemark_query::encode::{Encoding, encode, objects};
use tidemark_query::rows::DeadLetterQuery;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

/// Letters of a page where nobody says how many.
const PAGE: usize = 100;

/// Letters that are submitted again at most with one request.
const MOST_SUBMITTED: usize = 1_000;

/// Reasons of letters whose record is not there as a whole.
const CUT: [&str; 1] = ["too_long"];

pub(super) fn read() -> Routes {
    Routes::default().routes(routes!(list))
}

pub(super) fn operate() -> Routes {
    Routes::default().routes(routes!(resubmit))
}

/// Which dead letters.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LetterParameters {
    /// With this reason, for example `late`.
    reason: Option<String>,
    /// Of this metric.
    metric: Option<String>,
    /// Of this key.
    key: Option<String>,
    /// With an event time from here on: a date, a time with its zone (RFC 3339), or milliseconds since 1970.
    from: Option<String>,
    /// With an event time before.
    until: Option<String>,
    /// Most letters; 100 where nothing is said.
    limit: Option<usize>,
    /// Where a page before this one said that the next goes on.
    cursor: Option<String>,
    /// `json`, `ndjson`, `csv` or `arrow`; else as `Accept` says.
    format: Option<String>,
}

/// Dead letters, the newest first, and where the next page goes on.
#[derive(Serialize, ToSchema)]
struct Letters {
    /// One object each: `id`, `reason`, `detail`, where it came from, `payload_text`, whether it was `resubmitted`.
    #[schema(value_type = Vec<Object>)]
    letters: Vec<Value>,
    /// The cursor of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Dead letters.
///
/// The newest epoch's first.
#[utoipa::path(
    get, path = "/api/v1/dead-letters", tag = "dead letters", params(LetterParameters),
    responses((status = 200, description = "A page of letters", content(
        (Letters = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"),
    ), headers(
        ("Link", description = "The next page, if there is one"),
        ("Tidemark-Next-Cursor", description = "Its cursor, percent-encoded")
    )))
)]
async fn list(
    State(api): State<Arc<Api>>,
    Query(asked): Query<LetterParameters>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let encoding = encoding(asked.format.as_deref(), &headers)?;
    let query = DeadLetterQuery {
        reason: asked.reason,
        metric: asked.metric,
        key: asked.key,
        from: moment("from", asked.from.as_ref())?,
        until: moment("until", asked.until.as_ref())?,
        after: asked.cursor,
        limit: answer::limit(asked.limit, PAGE, api.limits.rows)?,
        ..DeadLetterQuery::default()
    };
    let again = api.job().ok().and_then(|job| job.again);
    let (rows, next) = api
        .ask(move |store, bounds| {
            let page = store.dead_letters(&query, bounds)?;
            let rows = with_resubmitted(&page.rows, again.as_deref());
            Ok((rows.map_err(|error| QueryError::Failed(error.to_string()))?, page.next))
        })
        .await?;
    let batches = [rows];
    let letters = if encoding == Encoding::Json { objects(&batches) } else { Vec::new() };
    let document = Letters { letters, next };
    let mut response = answer::of_rows(encoding, &document, || {
        encode(encoding, &batches[0].schema(), &batches).map_err(|error| Problem::internal("the answer", &error))
    })?;
    link_next(&mut response, &uri, document.next.as_deref());
    Ok(response)
}

/// Adds whether each letter was submitted again.
fn with_resubmitted(
    rows: &RecordBatch,
    again: Option<&Mutex<AgainLog>>,
) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let again = again.map(|again| again.lock().unwrap_or_else(PoisonError::into_inner));
    let ids = rows.column(0).as_string::<i32>();
    let was = |id: Option<&str>| again.as_ref().zip(id).is_some_and(|(again, id)| again.has(id));
    let resubmitted: BooleanArray = ids.iter().map(|id| Some(was(id))).collect();
    let fields = rows.schema().fields().iter().cloned().collect::<Vec<_>>();
    let field = Arc::new(Field::new("resubmitted", DataType::Boolean, false));
    let columns: Vec<ArrayRef> = rows.columns().iter().cloned().chain([Arc::new(resubmitted) as ArrayRef]).collect();
    RecordBatch::try_new(Arc::new(Schema::new([fields, vec![field]].concat())), columns)
}

/// Which dead letters to submit again: those with these ids, or those that a filter names.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Resubmission {
    /// Ids, as the list has them.
    #[schema(nullable = false)]
    ids: Option<Vec<String>>,
    /// Those with this reason.
    #[schema(nullable = false)]
    reason: Option<String>,
    /// Those of this metric.
    #[schema(nullable = false)]
    metric: Option<String>,
    /// Those of this key.
    #[schema(nullable = false)]
    key: Option<String>,
    /// Those with an event time from here on.
    #[schema(nullable = false)]
    from: Option<String>,
    /// Those with an event time before.
    #[schema(nullable = false)]
    until: Option<String>,
    /// At most so many, the newest first; 1000 where nothing is said, and at most.
    #[schema(nullable = false)]
    limit: Option<usize>,
}

/// What became of letters that were to be submitted again.
#[derive(Serialize, ToSchema)]
struct Resubmitted {
    /// Ids that are input once more, from the next tick on.
    submitted: Vec<String>,
    /// Ids that had been submitted before; nothing was done about them.
    already_submitted: Vec<String>,
    /// Letters that cannot be submitted again, and why.
    refused: Vec<Refused>,
    /// Records that were appended to the input.
    records: usize,
    /// Whether the filter names more letters than were looked at: ask again.
    more: bool,
}

/// A letter that cannot be submitted again.
#[derive(Serialize, ToSchema)]
struct Refused {
    id: String,
    /// Why not, and what to do instead.
    detail: String,
}

/// Submit dead letters again.
///
/// Their records become input of the running job once more, exactly once however often this is asked: those that failed
/// before any metric had them go the way of every event, those of one metric go to that metric alone. They never move the
/// watermark: what was late is late again, unless the metric allows for more lateness by now.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/resubmit", tag = "dead letters", request_body = Resubmission,
    responses((status = 202, description = "What was submitted is on disk, and will be read", body = Resubmitted))
)]
async fn resubmit(
    State(api): State<Arc<Api>>,
    Json(asked): Json<Resubmission>,
) -> Result<(StatusCode, axum::Json<Resubmitted>), Problem> {
    let job = api.job()?;
    let Some(again) = job.again.clone() else { return Err(unable(&job)) };
    let has_filter = asked.reason.is_some()
        || asked.metric.is_some()
        || asked.key.is_some()
        || asked.from.is_some()
        || asked.until.is_some();
    if asked.ids.is_none() && !has_filter {
        return Err(Problem::bad_request("name letters by `ids`, or by a filter: reason, metric, key, from, until"));
    }
    if asked.ids.as_ref().is_some_and(|ids| ids.is_empty() || ids.len() > MOST_SUBMITTED) {
        return Err(Problem::bad_request(format!("ids must be 1 to {MOST_SUBMITTED}")));
    }
    let wanted = asked.ids.clone();
    let query = DeadLetterQuery {
        ids: asked.ids.unwrap_or_default(),
        reason: asked.reason,
        metric: asked.metric,
        key: asked.key,
        from: moment("from", asked.from.as_ref())?,
        until: moment("until", asked.until.as_ref())?,
        limit: answer::limit(asked.limit, MOST_SUBMITTED, MOST_SUBMITTED)?,
        with_payload: true,
        ..DeadLetterQuery::default()
    };
    let metrics = api.metrics();
    let reading: Vec<String> = api.operator().map_or_else(
        |_| Vec::new(),
        |operator| {
            let view = operator.view();
            let reading = view.stages.iter().filter(|stage| stage.past.is_some());
            reading.map(|stage| stage.deployment.name.clone()).collect()
        },
    );
    // On a thread of its own to the end, whether or not the client waits for it.
    let done = api.ask(move |store, bounds| {
        let page = store.dead_letters(&query, bounds)?;
        let obstacle = |metric: &str| match metrics.iter().find(|spec| spec.name == metric) {
            None => Some(format!("the metric {metric} does not run: deploy it first")),
            Some(spec) if spec.deployment.paused => Some(format!("the metric {metric} is paused: resume it first")),
            Some(_) if reading.iter().any(|name| name == metric) => {
                Some(format!("the metric {metric} is still reading the past: wait until it has"))
            }
            Some(_) => None,
        };
        let (submissions, mut refused) = sort(&page.rows, &obstacle);
        let found: Vec<&String> =
            submissions.iter().map(|one| &one.id).chain(refused.iter().map(|one| &one.id)).collect();
        let missing = wanted.iter().flatten().filter(|id| !found.contains(id));
        let missing: Vec<Refused> = missing
            .map(|id| Refused { id: id.clone(), detail: "there is no such letter: take ids from the list".to_owned() })
            .collect();
        refused.extend(missing);
        let submitted = again.lock().unwrap_or_else(PoisonError::into_inner).submit(submissions);
        Ok(submitted.map(|submitted| Resubmitted {
            submitted: submitted.now,
            already_submitted: submitted.before,
            refused,
            records: submitted.records,
            more: page.next.is_some(),
        }))
    });
    match done.await? {
        Ok(resubmitted) => Ok((StatusCode::ACCEPTED, axum::Json(resubmitted))),
        Err(error @ AgainError::Full { .. }) => {
            Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, "full").detail(error.to_string()))
        }
        Err(error) => Err(Problem::internal("submitting again", &error)),
    }
}

fn unable(job: &JobView) -> Problem {
    let detail = if job.bounded {
        "the job's source ends by itself, and a run takes what it began with: put the mended events into the input of the \
         next run"
    } else {
        "the job takes nothing but its source"
    };
    Problem::conflict("not-resubmittable", detail)
}

/// What can be submitted of these letters, and what cannot.
fn sort(rows: &RecordBatch, obstacle_of: &dyn Fn(&str) -> Option<String>) -> (Vec<Submission>, Vec<Refused>) {
    let (mut submissions, mut refused) = (Vec::new(), Vec::new());
    let texts = |name| rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let payloads: Option<&BinaryArray> = rows.column_by_name("payload").and_then(|column| column.as_binary_opt());
    let text = |column: Option<&StringArray>, row: usize| {
        column.filter(|column| column.is_valid(row)).map(|column| column.value(row).to_owned())
    };
    for row in 0..rows.num_rows() {
        let id = text(texts("id"), row).unwrap_or_default();
        let reason = text(texts("reason"), row).unwrap_or_default();
        let (metric, partition) = (text(texts("metric"), row), text(texts("partition"), row));
        let payload = payloads.map_or(&[][..], |payloads| payloads.value(row));
        let obstacle = if CUT.contains(&reason.as_str()) {
            Some("only the beginning of the record was kept: send it again from where it came".to_owned())
        } else if metric.is_some() && partition.is_none() || payload.is_empty() {
            Some(
                "it holds rows that metrics made, not events: submit the events again that they were made of"
                    .to_owned(),
            )
        } else {
            metric.as_deref().and_then(obstacle_of)
        };
        match obstacle {
            Some(detail) => refused.push(Refused { id, detail }),
            None => submissions.push(Submission { id, metric, records: records(payload) }),
        }
    }
    (submissions, refused)
}

/// The records of a payload, each on one line: one document, which may have been written over several lines, or the records
/// of a group, one a line.
fn records(payload: &[u8]) -> Vec<Vec<u8>> {
    if serde_json::from_slice::<serde::de::IgnoredAny>(payload).is_ok() {
        // Between the tokens of a sound document a line end is as good as a space, and inside of them there is none.
        return vec![payload.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()];
    }
    payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_one_record_and_a_group_has_several() {
        assert_eq!(records(b"{\n  \"a\": 1\r\n}"), [b"{   \"a\": 1  }".to_vec()]);
        assert_eq!(records(b"{\"a\":1}\n{\"a\":2}\n"), [b"{\"a\":1}".to_vec(), b"{\"a\":2}".to_vec()]);
        assert_eq!(records(b"broken"), [b"broken".to_vec()]);
    }
}
