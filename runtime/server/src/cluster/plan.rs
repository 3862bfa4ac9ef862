//! How a job is cut into pieces that nodes share out. A pure function of the configuration and the metrics.
//!
//! ```text
//! source topics ─▶ pieces that cleanse ─▶ exchange topics ─▶ pieces that run metrics ─▶ exchange topics ─▶ …
//! ```
//!
//! Metrics that are keyed by one path and have as many metrics before them share an exchange topic: its partitions are
//! pieces, each with the key groups of its partition. A piece is a job of its own, with state, positions, checkpoints and tick
//! log, so everything that holds for a job that one process runs holds for a piece.

use crate::config::cluster::{CleanseShare, ClusterSettings};
use std::collections::{BTreeMap, BTreeSet};
use tidemark_connectors::sink::kafka::ExchangeRoute;
use tidemark_engine::descriptor::{Filter, WindowSpec};
use tidemark_engine::metric::{METRIC_TYPE, MetricSpec};

/// A job, cut into pieces.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// What cleansing is shared out by: the topics of the source, or one of a single partition that nobody writes.
    pub(super) cleanse: Vec<String>,
    /// What metrics are shared out by, those first that only read events.
    pub(super) exchanges: Vec<Exchange>,
}

/// A topic of the exchange, and who reads it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Exchange {
    /// The topic.
    pub(super) topic: String,
    /// How many metrics are at most between its readers and the events.
    pub(super) level: usize,
    /// Path of the key.
    pub(super) key: String,
    /// Names of the metrics that read it.
    pub(super) metrics: BTreeSet<String>,
    /// Types of the events that they want; `None`: none; empty: all.
    pub(super) events: Option<BTreeSet<String>>,
    /// The metrics whose rows they want.
    pub(super) rows: BTreeSet<String>,
    /// The topics that its writers read.
    pub(super) written_by: Vec<String>,
}

impl Plan {
    /// Of the job `job` with these metrics. The error says which of them cannot be shared out.
    pub(super) fn new(
        job: &str,
        cluster: &ClusterSettings,
        source: &[String],
        metrics: &[&MetricSpec],
    ) -> Result<Self, String> {
        let cleanse = match cluster.cleanse {
            CleanseShare::Partitions => source.to_vec(),
            CleanseShare::Whole => vec![format!("{job}.cleanse")],
        };
        let wants: BTreeMap<&str, Wants> =
            metrics.iter().map(|metric| (metric.name.as_str(), Wants::of(metric, metrics))).collect();
        let mut exchanges: BTreeMap<(usize, &str), Exchange> = BTreeMap::new();
        for metric in metrics {
            let level = level(&metric.name, &wants, metrics.len())?;
            let key = metric.key.as_str();
            let exchange = exchanges.entry((level, key)).or_insert_with(|| Exchange {
                topic: format!("{job}.exchange.{level}.{key}"),
                level,
                key: key.to_owned(),
                metrics: BTreeSet::new(),
                events: None,
                rows: BTreeSet::new(),
                written_by: Vec::new(),
            });
            let wants = &wants[metric.name.as_str()];
            exchange.metrics.insert(metric.name.clone());
            exchange.events = match (exchange.events.take(), &wants.events) {
                (found, None) => found,
                (None, wanted) => wanted.clone(),
                (Some(found), Some(wanted)) if found.is_empty() || wanted.is_empty() => Some(BTreeSet::new()),
                (Some(found), Some(wanted)) => Some(&found | wanted),
            };
            exchange.rows.extend(wants.rows.iter().cloned());
        }
        let mut exchanges: Vec<Exchange> = exchanges.into_values().collect();
        let topic_of: BTreeMap<String, String> = exchanges
            .iter()
            .flat_map(|exchange| exchange.metrics.iter().map(|metric| (metric.clone(), exchange.topic.clone())))
            .collect();
        for exchange in &mut exchanges {
            let by_rows: BTreeSet<String> = exchange.rows.iter().map(|metric| topic_of[metric].clone()).collect();
            let by_events = if exchange.events.is_some() { &cleanse[..] } else { &[] };
            exchange.written_by = by_events.iter().cloned().chain(by_rows).collect();
        }
        if let Some(exchange) = exchanges.iter().find(|exchange| exchange.topic.len() > 249) {
            return Err(format!(
                "the name of the exchange topic {} is too long for Kafka: shorten the job's",
                exchange.topic
            ));
        }
        Ok(Self { cleanse, exchanges })
    }

    /// Every topic whose partitions are pieces.
    pub(super) fn topics(&self) -> impl Iterator<Item = &String> {
        self.cleanse.iter().chain(self.exchanges.iter().map(|exchange| &exchange.topic))
    }

    /// Where pieces that cleanse send events.
    pub(super) fn routes_of_events(&self) -> Vec<ExchangeRoute> {
        let with_events = self.exchanges.iter().filter(|exchange| exchange.events.is_some());
        with_events.map(|exchange| ExchangeRoute { events: exchange.events.clone(), ..exchange.route() }).collect()
    }

    /// Where pieces that run `metrics` send rows.
    pub(super) fn routes_of_rows(&self, metrics: &[&MetricSpec]) -> Vec<ExchangeRoute> {
        let routes = self.exchanges.iter().map(|exchange| {
            let read = metrics.iter().filter(|metric| exchange.rows.contains(&metric.name));
            let delay_ms = read.clone().map(|metric| metric.output_delay_ms()).max().unwrap_or(0);
            let rows = read.map(|metric| (metric.name.clone(), metric.output.clone())).collect();
            ExchangeRoute { rows, delay_ms, ..exchange.route() }
        });
        routes.filter(|route| !route.rows.is_empty()).collect()
    }
}

impl Exchange {
    fn route(&self) -> ExchangeRoute {
        ExchangeRoute { topic: self.topic.clone(), key: self.key.clone(), ..ExchangeRoute::default() }
    }
}

/// What a metric reads.
struct Wants {
    /// Types of events; `None`: none; empty: all.
    events: Option<BTreeSet<String>>,
    /// Other metrics' rows.
    rows: BTreeSet<String>,
}

impl Wants {
    fn of(metric: &MetricSpec, all: &[&MetricSpec]) -> Self {
        let sides: Vec<&Filter> = match &metric.window {
            WindowSpec::IntervalJoin { left, right, .. } => vec![left, right],
            _ => Vec::new(),
        };
        let every = Some(&metric.filter).into_iter().chain(sides.iter().copied());
        // Every type that any filter names: what only one side lets through is left out behind the exchange.
        let named: BTreeSet<String> = every.clone().filter_map(Filter::types).flatten().cloned().collect();
        let is_open =
            metric.filter.types().is_none() && (sides.is_empty() || sides.iter().any(|side| side.types().is_none()));
        let (rows, events): (BTreeSet<String>, BTreeSet<String>) =
            named.into_iter().partition(|name| name.starts_with(METRIC_TYPE));
        let rows = rows.iter().map(|name| name[METRIC_TYPE.len()..].to_owned());
        // Rows of metrics that are not there never come.
        let rows = rows.filter(|name| all.iter().any(|metric| metric.name == *name)).collect();
        let events = if is_open { Some(BTreeSet::new()) } else { Some(events).filter(|events| !events.is_empty()) };
        Self { events, rows }
    }
}

/// How many metrics are at most between a metric and the events.
fn level(name: &str, wants: &BTreeMap<&str, Wants>, most: usize) -> Result<usize, String> {
    fn walk(name: &str, wants: &BTreeMap<&str, Wants>, left: usize) -> Option<usize> {
        let left = left.checked_sub(1)?;
        let rows = wants.get(name)?.rows.iter();
        rows.map(|before| Some(walk(before, wants, left)? + 1)).try_fold(0, |most, next| Some(most.max(next?)))
    }
    walk(name, wants, most)
        .ok_or_else(|| format!("metric {name} reads its own rows by way of others: take one of them out"))
}

#[cfg(test)]
mod tests;
