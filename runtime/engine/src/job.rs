//! A job put together: metrics compiled against one extraction plan, in topological order.

use crate::batch::EventBatch;
use crate::error::EngineError;
use crate::ids::StageId;
use crate::metric::{METRIC_TYPE, MetricSpec};
use crate::plan::ExtractionPlan;
use crate::progress::Progress;
use crate::stage::Stage;
use crate::telemetry::Telemetry;
use std::collections::BTreeSet;
use tidemark_dataflow::EventTime;

/// Stages in topological order, grouped into levels that do not read each other.
pub(crate) struct Job {
    pub(crate) stages: Vec<Stage>,
    /// Ranges of `stages`.
    pub(crate) levels: Vec<std::ops::Range<usize>>,
}

impl Job {
    /// Orders and compiles `metrics`. Names and modules that `progress` does not know yet are added to it.
    pub(crate) fn compile(
        metrics: Vec<MetricSpec>,
        plan: &mut ExtractionPlan,
        progress: &mut Progress,
        telemetry: &Telemetry,
    ) -> Result<Self, EngineError> {
        let names: BTreeSet<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
        if names.len() != metrics.len() {
            return Err(EngineError::Job("two metrics have the same name: give one of them another".to_owned()));
        }
        let consumers: usize = metrics.iter().map(|metric| 1 + usize::from(metric.interval_join().is_some())).sum();
        if consumers > ExtractionPlan::MAX_CONSUMERS {
            return Err(EngineError::Job(format!(
                "the metrics need {consumers} inputs (a join has two), a job has at most {}: split the job",
                ExtractionPlan::MAX_CONSUMERS
            )));
        }
        let mut stages: Vec<Stage> = Vec::with_capacity(metrics.len());
        let mut levels = Vec::new();
        let mut waiting = metrics;
        while !waiting.is_empty() {
            let first = stages.len();
            let done: BTreeSet<String> = stages.iter().map(|stage| stage.spec.name.clone()).collect();
            let (ready, blocked): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|metric| upstream_of(metric).iter().all(|name| done.contains(name)));
            if ready.is_empty() {
                let stuck: Vec<_> = blocked.iter().map(|metric| metric.name.as_str()).collect();
                return Err(EngineError::Job(format!(
                    "these metrics read each other in a circle, or rows of a metric that is not deployed: {}",
                    stuck.join(", ")
                )));
            }
            for metric in ready {
                let ids = (stage_id(progress, &metric.name)?, module_id(progress, &metric)?);
                check_join_columns(progress, &metric)?;
                let telemetry = telemetry.stage(&metric.name);
                let upstream = upstream_of(&metric);
                let mut stage = Stage::compile(stages.len(), ids, metric, plan, telemetry);
                stage.upstream = stages
                    .iter()
                    .filter(|other| upstream.contains(&other.spec.name))
                    .map(|other| other.index)
                    .collect();
                stages.push(stage);
            }
            levels.push(first..stages.len());
            waiting = blocked;
        }
        Ok(Self { stages, levels })
    }

    /// The watermark of every stage when that of the source is `source`: what reaches it through the stages it reads.
    pub(crate) fn watermarks(&self, source: EventTime) -> Vec<EventTime> {
        let mut watermarks: Vec<EventTime> = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let own = stage.reads_source.then_some(source);
            let upstream = stage
                .upstream
                .iter()
                .map(|index| watermarks[*index].plus_ms(-self.stages[*index].spec.output_delay_ms()));
            watermarks.push(own.into_iter().chain(upstream).min().unwrap_or(source));
        }
        watermarks
    }

    /// Takes from every stage but that of `metric` the interest in the rows of `batch`.
    pub(crate) fn restrict(&self, batch: &mut EventBatch, metric: &str) {
        let stage = self.stages.iter().find(|stage| stage.spec.name == metric);
        let wanted = stage.map_or(0, |stage| stage.consumers.iter().fold(0, |bits, consumer| bits | 1 << consumer.bit));
        batch.interest.iter_mut().for_each(|interest| *interest &= wanted);
    }

    /// Whether some stage reads the rows of stage `index`.
    pub(crate) fn has_readers(&self, index: usize) -> bool {
        self.stages.iter().any(|stage| stage.upstream.contains(&index))
    }
}

/// Names of the metrics whose rows a metric reads.
pub(crate) fn upstream_of(metric: &MetricSpec) -> BTreeSet<String> {
    let own = metric.filter.types().unwrap_or_default().iter();
    let sides = match &metric.window {
        crate::descriptor::WindowSpec::IntervalJoin { left, right, .. } => [left.types(), right.types()],
        _ => [None, None],
    };
    let types = own.chain(sides.into_iter().flatten().flatten());
    types.filter_map(|name| name.strip_prefix(METRIC_TYPE)).map(str::to_owned).collect()
}

/// Rows that wait for a partner hold the values of the join's columns, one behind the other.
fn check_join_columns(progress: &mut Progress, metric: &MetricSpec) -> Result<(), EngineError> {
    if metric.interval_join().is_none() {
        return Ok(());
    }
    let columns: Vec<_> = metric.inputs.iter().map(|input| (&input.path, input.kind, input.side)).collect();
    let columns = serde_json::json!(columns).to_string();
    let known = progress.joins.entry(metric.name.clone()).or_insert_with(|| columns.clone());
    if *known == columns {
        return Ok(());
    }
    Err(EngineError::Job(format!(
        "metric {}: rows that wait for a partner were kept with other input columns than it reads now; deploy it under \
         another name, or with the columns that it had",
        metric.name
    )))
}

fn stage_id(progress: &mut Progress, name: &str) -> Result<StageId, EngineError> {
    if let Some(id) = progress.stages.get(name) {
        return Ok(*id);
    }
    let next = progress.stages.values().map(|id| u32::from(id.0) + 1).max().unwrap_or(0);
    let id = StageId(next.try_into().map_err(|_| EngineError::Job("this job has seen 65,536 metrics".to_owned()))?);
    progress.stages.insert(name.to_owned(), id);
    Ok(id)
}

fn module_id(progress: &mut Progress, metric: &MetricSpec) -> Result<u16, EngineError> {
    let digest = metric.digest.to_string();
    let place = progress.modules.iter().position(|known| *known == digest).unwrap_or_else(|| {
        progress.modules.push(digest);
        progress.modules.len() - 1
    });
    place.try_into().map_err(|_| EngineError::Job("this job has seen 65,536 modules".to_owned()))
}
