//! The pipeline: how far each partition, each metric and the job have come.

use super::{Api, Routes};
use crate::http::answer::iso;
use crate::http::api::JobView;
use crate::http::problem::Problem;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tidemark_engine::progress::Progress;
use utoipa::ToSchema;
use utoipa_axum::routes;

pub(super) fn routes() -> Routes {
    Routes::default().routes(routes!(pipeline))
}

/// How far a job has come.
#[derive(Serialize, ToSchema)]
struct Pipeline {
    /// The job's name.
    job: String,
    /// Whether it runs.
    running: bool,
    /// Whether its source ends by itself.
    bounded: bool,
    /// Whether the source has ended and everything was emitted.
    finished: bool,
    /// What is committed and what is under way.
    epoch: EpochView,
    source: SourceView,
    /// In the order of their names.
    stages: Vec<StageView>,
    /// Where something may wait, in the order in which an event meets it.
    queues: Vec<QueueView>,
}

/// The last committed epoch.
#[derive(Serialize, ToSchema)]
struct EpochView {
    /// Its number.
    committed: u64,
    /// The last epoch whose rows every sink shows: the committed one, or for a moment the one before.
    visible: u64,
    /// The last tick that is committed.
    tick: u64,
    /// How long its commit took, in ms.
    commit_ms: f64,
    /// Ticks done since the start of the process, the open epoch's included.
    ticks_done: u64,
    /// Checkpoints taken since the start of the process.
    checkpoints: u64,
}

/// The source, partition by partition.
#[derive(Serialize, ToSchema)]
struct SourceView {
    /// Records read since the start of the process, the dead ones included.
    records: u64,
    /// Bytes of them.
    bytes: u64,
    /// Events dropped as duplicates.
    duplicates: u64,
    /// Dead letters by reason.
    dead_letters: BTreeMap<String, u64>,
    /// The merged watermark; null before the first event and behind the end of the input.
    watermark: Option<String>,
    /// How far the watermark is behind the clock, in ms.
    watermark_delay_ms: Option<i64>,
    /// As of the last committed epoch.
    partitions: Vec<PartitionView>,
}

/// A partition of the source, as of the last committed epoch.
#[derive(Serialize, ToSchema)]
struct PartitionView {
    name: String,
    /// Where reading goes on.
    position: u64,
    /// What there is beyond that, in the unit of the position, where the source can tell.
    lag: Option<u64>,
    /// The greatest event time that was seen.
    newest_event_time: Option<String>,
    /// `active`, `idle` or `ended`.
    activity: String,
}

/// A metric at work. Counts are since the start of the process.
#[derive(Serialize, ToSchema)]
struct StageView {
    metric: String,
    /// Rows that reached it.
    rows_in: u64,
    /// Rows that it emitted.
    rows_out: u64,
    /// Rows too late for it.
    late: u64,
    /// Calls to its module.
    calls: u64,
    /// Groups on which its module failed.
    poison: u64,
    /// Whether its module is out of its error budget and not called any more.
    quarantined: bool,
    watermark: Option<String>,
    /// Live entries of its state, as of the last commit.
    state_entries: u64,
    /// Bytes of them.
    state_bytes: u64,
}

/// Something that is bounded.
#[derive(Serialize, ToSchema)]
struct QueueView {
    name: String,
    /// What it holds now, where that is known.
    holds: Option<u64>,
    /// Its bound.
    bound: u64,
    /// What is counted.
    unit: String,
}

/// How far the job has come.
///
/// Stages with their watermarks and counts, partitions with positions and lag, queues with their bounds, epochs.
#[utoipa::path(
    get, path = "/api/v1/pipeline", tag = "pipeline",
    responses((status = 200, description = "The pipeline", body = Pipeline))
)]
async fn pipeline(State(api): State<Arc<Api>>) -> Result<Json<Pipeline>, Problem> {
    let job = api.job()?;
    let looked_at = job.clone();
    let (progress, sizes) = api
        .look(move || {
            let progress = looked_at.state.look(Progress::of_committed);
            (progress, looked_at.state.telemetry().map(|telemetry| telemetry.stages).unwrap_or_default())
        })
        .await?;
    let progress = progress.map_err(|error| Problem::internal("the look at the state", &error))?;
    let engine = api.exporter.engine();
    let stages = engine.stages().into_iter().map(|(metric, stage)| {
        // With those of earlier versions that still have open windows.
        let records = progress.iter().flat_map(|progress| progress.stages_of(&metric));
        let own = records.filter_map(|stage| sizes.get(&stage.id));
        let (entries, bytes) = own.fold((0, 0), |sum, size| (sum.0 + size.entries, sum.1 + size.bytes));
        StageView {
            rows_in: stage.rows_in.get(),
            rows_out: stage.rows_out.get(),
            late: stage.late.get(),
            calls: stage.calls.get(),
            poison: stage.poison.get(),
            quarantined: stage.quarantined.get() != 0,
            watermark: known(stage.watermark_ms.get()),
            state_entries: entries,
            state_bytes: bytes,
            metric,
        }
    });
    let stages = stages.collect();
    Ok(Json(Pipeline {
        job: job.name.clone(),
        running: api.exporter.is_ready(),
        bounded: job.bounded,
        finished: progress.as_ref().is_some_and(|progress| progress.finished),
        epoch: EpochView {
            committed: progress.as_ref().map_or(0, |progress| progress.epoch.0),
            visible: engine.epoch.get().try_into().unwrap_or_default(),
            tick: progress.as_ref().map_or(0, |progress| progress.tick.0),
            commit_ms: engine.commit_ns.get() as f64 / 1e6,
            ticks_done: engine.ticks.get(),
            checkpoints: engine.checkpoints.get(),
        },
        source: source(&api, &job, progress.as_ref()),
        stages,
        queues: queues(&api, &job),
    }))
}

fn source(api: &Api, job: &JobView, progress: Option<&Progress>) -> SourceView {
    let engine = api.exporter.engine();
    let watermark = engine.watermark_ms.get();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let partitions = progress.into_iter().flat_map(|progress| &progress.partitions).map(|partition| PartitionView {
        name: partition.name.clone(),
        position: partition.position.0,
        lag: (job.lag)(&partition.name, partition.position.0),
        newest_event_time: iso(partition.max_seen),
        activity: partition.activity.clone(),
    });
    SourceView {
        records: engine.records.get(),
        bytes: engine.bytes.get(),
        duplicates: engine.duplicates.get(),
        dead_letters: engine.dead().into_iter().map(|(reason, count)| (reason.name().to_owned(), count)).collect(),
        watermark: known(watermark),
        watermark_delay_ms: known(watermark).map(|_| now.saturating_sub(watermark)),
        partitions: partitions.collect(),
    }
}

fn queues(api: &Api, job: &JobView) -> Vec<QueueView> {
    let queue = |name: &str, holds: Option<u64>, bound: u64, unit: &str| QueueView {
        name: name.to_owned(),
        holds,
        bound,
        unit: unit.to_owned(),
    };
    let dirty = u64::try_from(api.exporter.engine().dirty_bytes.get()).ok();
    vec![
        queue("blocks read ahead of the engine, per partition", None, job.prefetch as u64, "blocks"),
        queue("records of a tick", None, job.tick_records as u64, "records"),
        queue("changes of state not committed yet", dirty, job.dirty_bytes as u64, "bytes"),
        queue("readers of live rows", Some(job.live.readers() as u64), api.limits.live_readers as u64, "connections"),
    ]
}

/// A watermark as the engine counts it: 0 before the first tick.
fn known(watermark_ms: i64) -> Option<String> {
    if watermark_ms == 0 { None } else { iso(watermark_ms) }
}
