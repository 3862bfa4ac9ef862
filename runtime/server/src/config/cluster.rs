//! `[cluster]`: a job that several nodes run together.

use super::Config;
use super::section::Section;
use super::source::SourceKind;
use tidemark_dataflow::KeyGroups;

/// Partitions of each exchange topic unless said otherwise: as many nodes can share one out, and each piece has a
/// database of its own.
const DEFAULT_PARTITIONS: u16 = 16;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// `[cluster]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterSettings {
    /// What this node is called; `None`: after machine and process.
    pub node: Option<String>,
    /// Partitions of each topic of the exchange: the pieces that metrics are shared out in. Fixed when the job first runs.
    pub partitions: u16,
    /// Replicas of each topic of the exchange; `None`: as the brokers make topics.
    pub replication: Option<i32>,
    /// How long records of the exchange are kept, in milliseconds: longer than the job is ever down.
    pub retention_ms: i64,
    /// Silence of a node, in milliseconds, after which the others take its work.
    pub session_ms: u64,
    /// What cleansing is shared out in.
    pub cleanse: CleanseShare,
}

/// What cleansing is shared out in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CleanseShare {
    /// Partitions of the source. Repeated events are recognised within a partition.
    #[default]
    Partitions,
    /// Nothing: one node cleanses, the others stand by. What lookup tables learn from events, and repeated events, are known
    /// across partitions.
    Whole,
}

impl ClusterSettings {
    /// `None` where the table is not there.
    pub(super) fn read(mut section: Section<'_>, key_groups: KeyGroups) -> Option<Self> {
        if !section.present() {
            section.finish();
            return None;
        }
        const SHARES: [(&str, CleanseShare); 2] =
            [("partitions", CleanseShare::Partitions), ("whole", CleanseShare::Whole)];
        let node = section.text("node");
        if let Some(name) = &node
            && !(1..=200).contains(&name.len())
        {
            section.mistake(
                "node",
                "must be a name of 1 to 200 characters: leave it out for one after machine and process",
            );
        }
        let most = i64::from(key_groups.count());
        let default = DEFAULT_PARTITIONS.min(key_groups.count());
        let partitions = section.count_or("partitions", 1..=most, usize::from(default)) as u16;
        let replication = section.integer("replication", 1..=100).map(|count| count as i32);
        let retention_ms = section.integer_or("retention_ms", 60_000..=365 * DAY_MS, 7 * DAY_MS);
        let session_ms = section.count_or("session_ms", 1_000..=30 * 60_000, 10_000) as u64;
        let cleanse = section.choice("cleanse", &SHARES).unwrap_or_default();
        section.finish();
        Some(Self { node, partitions, replication, retention_ms, session_ms, cleanse })
    }
}

/// What a job of several nodes cannot do. `check` is told whether something holds, where it is said, and what to do otherwise.
pub(super) fn contradictions(config: &Config, check: &mut impl FnMut(bool, &str, &str)) {
    let Some(cluster) = &config.cluster else { return };
    let source = match &config.source.kind {
        SourceKind::Kafka(source) => Some(source),
        _ => None,
    };
    check(
        source.is_some(),
        "cluster",
        "nodes share out topics of Kafka: write `kind = \"kafka\"` in [source], or leave it out",
    );
    if let Some(source) = source {
        check(
            source.topics.iter().all(|topic| !topic.starts_with('^')),
            "source.topics",
            "nodes share out topics by name: write names instead of patterns, or leave [cluster] out",
        );
        check(
            source.until.is_none(),
            "source.until",
            "a job of several nodes has no end: leave it out, or leave [cluster] out",
        );
    }
    check(
        config.job.cleanse && config.job.metrics,
        "job.jobs",
        "nodes of [cluster] do both, with the exchange between: leave it out",
    );
    check(
        config.checkpoint.dir.is_some() || config.checkpoint.store.is_some(),
        "checkpoint",
        "the nodes of [cluster] find each other's state here: write `url` of an object store, or `dir`, a folder that all of \
         them see",
    );
    check(config.checkpoint.every > 0, "checkpoint.every", "the nodes of [cluster] need checkpoints: write 1 or more");
    let from_events = config.cleanse.table.iter().any(|table| table.event.is_some());
    check(
        cluster.cleanse == CleanseShare::Whole || !from_events,
        "cluster.cleanse",
        "a lookup table learns from events, which are in one partition each: write \"whole\", so that one node at a time \
         cleanses",
    );
    check(
        config.sinks.clickhouse.is_none(),
        "sink.clickhouse",
        "is not written by the nodes of [cluster] yet: send rows to topics with [sink.kafka.metrics], and leave it out here",
    );
    check(
        config.sinks.console.is_none(),
        "sink.console",
        "is not written by the nodes of [cluster]: send rows to topics with [sink.kafka.metrics], and leave it out here",
    );
    check(
        config.sinks.parquet.is_none() || config.sinks.store.is_some(),
        "sink.parquet",
        "the nodes of [cluster] have no folder in common: add the `url` of an object store, or write `enabled = false`",
    );
}
