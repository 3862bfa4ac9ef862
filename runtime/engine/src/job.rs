//! A job put together: metrics compiled against one extraction plan, in topological order.

use crate::batch::EventBatch;
use crate::metric::{METRIC_TYPE, MetricSpec};
use crate::output::Table;
use crate::plan::ExtractionPlan;
use crate::progress::StageRecord;
use crate::stage::Stage;
use crate::telemetry::Telemetry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidemark_dataflow::EventTime;

/// Stages in topological order, grouped into levels that do not read each other.
pub(crate) struct Job {
    pub(crate) stages: Vec<Stage>,
    /// Ranges of `stages`.
    pub(crate) levels: Vec<std::ops::Range<usize>>,
}

/// Tables of metrics, by name.
pub(crate) type Tables = BTreeMap<String, Arc<Table>>;

/// A metric and the stage that runs it.
pub(crate) type Running = (StageRecord, MetricSpec);

impl Job {
    /// Orders and compiles stages. Modules that `modules`, the digests known so far, lacks are added to it. `tables` are
    /// those of all metrics: one that is paused may have no stage. `rows_from_elsewhere` says that rows of metrics which are
    /// not here come from the source.
    pub(crate) fn compile(
        running: Vec<Running>,
        tables: &Tables,
        plan: &mut ExtractionPlan,
        modules: &mut Vec<String>,
        telemetry: &Telemetry,
        rows_from_elsewhere: bool,
    ) -> Result<Self, String> {
        let consumers: usize = running.iter().map(|(_, spec)| 1 + usize::from(spec.interval_join().is_some())).sum();
        if consumers > ExtractionPlan::MAX_CONSUMERS {
            return Err(format!(
                "the metrics need {consumers} inputs (a join has two, and a version that ends its windows counts), a job \
                 has at most {}: split the job, or wait until open windows have ended",
                ExtractionPlan::MAX_CONSUMERS
            ));
        }
        let mut stages: Vec<Stage> = Vec::with_capacity(running.len());
        let mut levels = Vec::new();
        let mut waiting = by_metric(running);
        while !waiting.is_empty() {
            let first = stages.len();
            let done: BTreeSet<String> = stages.iter().map(|stage| stage.spec.name.clone()).collect();
            let has_stages: BTreeSet<String> = waiting.iter().map(|versions| versions[0].1.name.clone()).collect();
            let is_there = |name: &String| {
                let is_kept = tables.contains_key(name) || rows_from_elsewhere;
                done.contains(name) || is_kept && !has_stages.contains(name)
            };
            let (ready, blocked): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|versions| versions.iter().all(|(_, spec)| upstream_of(spec).iter().all(is_there)));
            if ready.is_empty() {
                let stuck: Vec<_> = blocked.iter().map(|versions| versions[0].1.name.as_str()).collect();
                return Err(format!(
                    "these metrics read each other in a circle, or rows of a metric that is not deployed: {}",
                    stuck.join(", ")
                ));
            }
            for versions in ready {
                let mut elders: Vec<StageRecord> = versions.iter().map(|(record, _)| record.clone()).collect();
                for (record, spec) in versions {
                    elders.retain(|elder| elder.id < record.id);
                    let upstream = upstream_of(&spec);
                    let module = module_id(modules, &spec)?;
                    let telemetry = telemetry.stage(&spec.name);
                    let mut stage = Stage::compile(stages.len(), module, (record, spec), plan, telemetry);
                    if let Some(table) = tables.get(&stage.spec.name) {
                        stage.table.clone_from(table);
                    }
                    stage.elders = elders.iter().map(|elder| elder.id).collect();
                    let ends = elders.iter().filter_map(|elder| elder.until);
                    stage.answers_from = ends.fold(stage.from, i64::max);
                    stage.upstream = stages
                        .iter()
                        .filter(|other| upstream.contains(&other.spec.name))
                        .map(|other| other.index)
                        .collect();
                    stages.push(stage);
                }
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
        let stages = self.stages.iter().filter(|stage| stage.spec.name == metric);
        let wanted = stages.flat_map(|stage| &stage.consumers).fold(0, |bits, consumer| bits | 1 << consumer.bit);
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

/// Versions of one metric stand together, the newest first: which of them takes the rows of a session is seen in the state
/// of the older ones, as it was before the tick.
fn by_metric(running: Vec<Running>) -> Vec<Vec<Running>> {
    let mut metrics: Vec<Vec<Running>> = Vec::new();
    for (record, spec) in running {
        match metrics.iter_mut().find(|versions| versions[0].1.name == spec.name) {
            Some(versions) => versions.push((record, spec)),
            None => metrics.push(vec![(record, spec)]),
        }
    }
    metrics.iter_mut().for_each(|versions| versions.sort_by_key(|(record, _)| std::cmp::Reverse(record.id)));
    metrics
}

fn module_id(modules: &mut Vec<String>, metric: &MetricSpec) -> Result<u16, String> {
    let digest = metric.digest.to_string();
    let place = modules.iter().position(|known| *known == digest).unwrap_or_else(|| {
        modules.push(digest);
        modules.len() - 1
    });
    place.try_into().map_err(|_| "this job has seen 65,536 modules".to_owned())
}
