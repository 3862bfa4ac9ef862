//! A job that several nodes run together: every node is the same program with the same configuration.
//!
//! The coordinator of a consumer group shares the job's pieces out ([`plan`], [`piece`]); a node runs those that it owns
//! ([`node`]). A piece that moves takes its state along through the checkpoint store, by the very steps with which a job
//! recovers from the loss of its machine.

mod node;
mod piece;
mod plan;
pub(crate) mod savepoint;
mod undone;

use crate::catalogue::JobCatalogue;
use crate::config::Config;
use crate::config::cluster::{CleanseShare, ClusterSettings};
use crate::config::source::SourceKind;
use crate::http::NodesView;
use crate::signals::StopRequest;
use crate::telemetry::PieceTelemetry;
use anyhow::Context as _;
use node::{Node, Shared};
use piece::Pieces;
use plan::Plan;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tidemark_connectors::kafka::{Group, Membership, MembershipSettings};
use tidemark_connectors::sink::kafka::{CreateTopics, KafkaTopics};
use tidemark_connectors::source::kafka::KafkaSourceSettings;
use tidemark_engine::fail_point::Hook;
use tidemark_engine::metric::MetricSpec;
use tidemark_engine::telemetry::Telemetry;
use tidemark_engine::{Patience, retry};

/// How long the group is served between two looks at what else there is.
const ROUND: Duration = Duration::from_millis(100);

/// A node that has not joined yet.
pub struct Cluster {
    shared: Arc<Shared>,
    membership: MembershipSettings,
}

impl Cluster {
    /// Cuts the job into pieces, and makes sure that the topics are there by which they are shared out.
    ///
    /// # Errors
    /// Metrics that cannot be shared out; topics that are missing, or have another number of partitions.
    pub fn prepare(
        config: &Config,
        cluster: &ClusterSettings,
        metrics: Vec<MetricSpec>,
        catalogue: Arc<JobCatalogue>,
        telemetry: Arc<Telemetry>,
        shown: Arc<PieceTelemetry>,
        hook: Hook,
    ) -> anyhow::Result<Self> {
        let SourceKind::Kafka(source) = &config.source.kind else {
            anyhow::bail!("the nodes of a cluster share out topics of Kafka");
        };
        let specs: Vec<&MetricSpec> = metrics.iter().collect();
        let plan = Plan::new(&config.job.name, cluster, &source.topics, &specs).map_err(anyhow::Error::msg)?;
        let mut pieces = Pieces {
            config: config.clone(),
            cluster: cluster.clone(),
            source: (**source).clone(),
            plan,
            metrics,
            partitions: BTreeMap::new(),
        };
        pieces.partitions = partitions(config, &pieces, source)?;
        let membership = MembershipSettings {
            brokers: source.brokers.clone(),
            properties: source.properties.clone(),
            group: group_of(config),
            member: cluster.node.clone().unwrap_or_else(default_name),
            topics: pieces.plan.topics().cloned().collect(),
            session_ms: cluster.session_ms,
        };
        Ok(Self { shared: Shared::new(pieces, catalogue, telemetry, shown, hook), membership })
    }

    /// How to find out who runs the job.
    pub fn view(&self) -> NodesView {
        let MembershipSettings { brokers, properties, group, .. } = self.membership.clone();
        let looking: OnceLock<Group> = OnceLock::new();
        Arc::new(move || {
            let group = match looking.get() {
                Some(group) => group,
                None => {
                    let opened = Group::new(&brokers, &properties, &group)?;
                    looking.get_or_init(|| opened)
                }
            };
            group.members()
        })
    }

    /// Joins, and runs what this node owns until it is told to stop.
    ///
    /// # Errors
    /// Whatever a piece fails with again and again.
    pub fn run(self, stop: &StopRequest, mut joined: impl FnMut()) -> anyhow::Result<()> {
        let node = Node::new(Arc::clone(&self.shared));
        let membership = Membership::join(&self.membership, Box::new(node))?;
        tracing::info!(group = self.membership.group, node = self.membership.member, "joined the nodes of the job");
        joined();
        let ended = loop {
            if stop.is_requested() {
                break Ok(());
            }
            if let Some(failure) = self.shared.failure() {
                break Err(anyhow::Error::msg(failure));
            }
            if let Err(error) = membership.poll(ROUND) {
                break Err(error.into());
            }
        };
        membership.leave();
        ended
    }
}

/// How many partitions each topic has that work is shared out by. Those of the exchange are made.
fn partitions(config: &Config, pieces: &Pieces, source: &KafkaSourceSettings) -> anyhow::Result<BTreeMap<String, u32>> {
    let patience = Patience::new(config.job.patience);
    let topics = KafkaTopics::new(&source.brokers, &source.properties)?;
    let mut partitions = BTreeMap::new();
    let mut ensure = |topic: &String, create: Option<CreateTopics>| -> anyhow::Result<()> {
        let found = retry(patience, || topics.ensure(topic, create.clone()));
        partitions.insert(topic.clone(), found.with_context(|| format!("topic {topic}"))?);
        Ok(())
    };
    let create = pieces.create_topics();
    for topic in &pieces.plan.cleanse {
        let create = match pieces.cluster.cleanse {
            CleanseShare::Partitions => None,
            CleanseShare::Whole => Some(CreateTopics { partitions: 1, ..create.clone() }),
        };
        ensure(topic, create)?;
    }
    for exchange in &pieces.plan.exchanges {
        ensure(&exchange.topic, Some(create.clone()))?;
    }
    Ok(partitions)
}

/// The group of the nodes.
fn group_of(config: &Config) -> String {
    format!("{}.nodes", config.job.name)
}

/// After machine and process.
fn default_name() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", machine.trim(), std::process::id())
}
