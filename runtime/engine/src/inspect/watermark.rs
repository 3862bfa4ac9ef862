//! The watermark of a metric that follows from the source's, computed from the deployed metrics alone.

use crate::descriptor::{Filter, WindowSpec};
use crate::job::upstream_of;
use crate::metric::{METRIC_TYPE, MetricSpec};
use tidemark_dataflow::EventTime;

/// The watermark of metric `name`, in ms, when the source's is `source`; `None` if no such metric is deployed.
#[must_use]
pub fn stage_watermark(metrics: &[MetricSpec], name: &str, source: i64) -> Option<i64> {
    watermark(metrics, name, EventTime(source), metrics.len()).map(|watermark| watermark.0)
}

/// `depth` ends what a circle would not; there are none in a job that was opened.
fn watermark(metrics: &[MetricSpec], name: &str, source: EventTime, depth: usize) -> Option<EventTime> {
    let metric = metrics.iter().find(|metric| metric.name == name)?;
    let own = reads_source(metric).then_some(source);
    let upstream = upstream_of(metric);
    let upstream = upstream.iter().filter(|_| depth > 0).filter_map(|upstream| {
        let delay_ms = metrics.iter().find(|metric| metric.name == *upstream)?.output_delay_ms();
        Some(watermark(metrics, upstream, source, depth - 1)?.plus_ms(-delay_ms))
    });
    Some(own.into_iter().chain(upstream).min().unwrap_or(source))
}

fn reads_source(metric: &MetricSpec) -> bool {
    let sides: Vec<Option<&Filter>> = match &metric.window {
        WindowSpec::IntervalJoin { left, right, .. } => vec![Some(left), Some(right)],
        _ => vec![None],
    };
    sides.into_iter().any(|side| {
        let types = side.and_then(Filter::types).or(metric.filter.types());
        types.is_none_or(|types| types.iter().any(|name| !name.starts_with(METRIC_TYPE)))
    })
}
