//! Jobs that are cut into pieces.

use super::*;
use serde_json::{Value, json};
use tidemark_engine::deployment::Deployment;
use tidemark_engine::descriptor::{ColumnType, Descriptor};
use tidemark_engine::ids::Digest;
use tidemark_engine::memory::{GroupView, NativeFactory, NativeMetric, Reply, output};

/// Computes nothing: only how it is described counts here.
struct Idle;

impl NativeMetric for Idle {
    fn inputs(&self) -> Vec<tidemark_engine::descriptor::InputColumn> {
        Vec::new()
    }

    fn output(&self) -> Vec<tidemark_engine::descriptor::OutputColumn> {
        vec![output("value", ColumnType::Float)]
    }

    fn update(&self, _: &mut Value, _: &GroupView) -> Result<Reply, String> {
        Ok(Reply::default())
    }

    fn close(&self, _: &mut Value, _: &GroupView, _: tidemark_engine::guest::CloseReason) -> Result<Reply, String> {
        Ok(Reply::default())
    }
}

/// A metric that reads these types by this key; no types: all of them.
fn metric(name: &str, key: &str, types: &[&str]) -> MetricSpec {
    let filter = if types.is_empty() { json!({}) } else { json!({ "type": types }) };
    let described = json!({
        "describe": 1, "name": name, "version": "1.0.0", "inputs": [], "key": key, "filter": filter,
        "window": { "kind": "tumbling", "size_ms": 1000 },
        "output": [{ "name": "value", "type": "float" }], "state_version": 1,
    });
    let descriptor: Descriptor = serde_json::from_value(described).expect("a description");
    let digest = Digest([7; 32]);
    let deployment = Deployment::new(name, digest);
    MetricSpec::new(&descriptor, deployment, digest, NativeFactory::new(std::sync::Arc::new(Idle))).expect("a metric")
}

fn cluster(cleanse: CleanseShare) -> ClusterSettings {
    ClusterSettings { node: None, partitions: 4, replication: None, retention_ms: 1, session_ms: 1, cleanse }
}

fn plan(cleanse: CleanseShare, metrics: &[MetricSpec]) -> Result<Plan, String> {
    Plan::new("job", &cluster(cleanse), &["raw".to_owned()], &metrics.iter().collect::<Vec<_>>())
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    texts.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[test]
fn metrics_of_one_key_share_a_topic_and_readers_of_rows_come_later() {
    let metrics = [
        metric("latency", "data.stream", &["trace"]),
        metric("jitter", "data.stream", &["status"]),
        metric("errors", "data.gateway", &[]),
        metric("score", "data.orchestrator", &["metric.latency", "metric.errors", "metric.absent", "trace"]),
    ];
    let plan = plan(CleanseShare::Partitions, &metrics).expect("a plan");
    let topics: Vec<&str> = plan.exchanges.iter().map(|exchange| exchange.topic.as_str()).collect();
    let expected = ["job.exchange.0.data.gateway", "job.exchange.0.data.stream", "job.exchange.1.data.orchestrator"];
    assert_eq!(topics, expected);
    let [gateway, stream, orchestrator] = &plan.exchanges[..] else { panic!("{topics:?}") };
    assert_eq!(texts(&stream.metrics), "jitter latency");
    assert_eq!(texts(stream.events.iter().flatten()), "status trace");
    assert_eq!(gateway.events, Some(BTreeSet::new()), "all of them");
    assert_eq!(texts(&orchestrator.rows), "errors latency");
    assert_eq!(texts(orchestrator.events.iter().flatten()), "trace");
    assert_eq!(texts(&stream.written_by), "raw");
    assert_eq!(texts(&orchestrator.written_by), format!("raw {} {}", expected[0], expected[1]));
    assert_eq!(texts(plan.topics()), format!("raw {}", expected.join(" ")));

    let routes = plan.routes_of_events();
    assert_eq!(routes.iter().map(|route| route.topic.as_str()).collect::<Vec<_>>(), expected);
    assert!(routes.iter().all(|route| route.rows.is_empty()));
    let routes = plan.routes_of_rows(&[&metrics[0], &metrics[1]]);
    assert_eq!(routes.len(), 1);
    assert_eq!((routes[0].topic.as_str(), routes[0].key.as_str()), (expected[2], "data.orchestrator"));
    assert_eq!(texts(routes[0].rows.keys()), "latency");
    assert_eq!(routes[0].events, None);
}

#[test]
fn cleansing_as_a_whole_has_a_topic_of_its_own() {
    let plan = plan(CleanseShare::Whole, &[metric("jitter", "data.stream", &["status"])]).expect("a plan");
    assert_eq!(texts(&plan.cleanse), "job.cleanse");
    assert_eq!(texts(&plan.exchanges[0].written_by), "job.cleanse");
}

#[test]
fn who_reads_only_rows_is_written_by_no_source() {
    let metrics = [metric("one", "data.a", &["trace"]), metric("two", "data.key", &["metric.one"])];
    let plan = plan(CleanseShare::Partitions, &metrics).expect("a plan");
    assert_eq!(texts(&plan.exchanges[1].written_by), "job.exchange.0.data.a");
    assert_eq!(plan.exchanges[1].events, None);
    assert_eq!(plan.routes_of_events().len(), 1);
}

#[test]
fn circles_and_long_names_are_refused() {
    let circle = [metric("one", "data.a", &["metric.two"]), metric("two", "data.a", &["metric.one"])];
    assert!(plan(CleanseShare::Partitions, &circle).unwrap_err().contains("reads its own rows"));
    let long = [metric("one", &format!("data.{}", "a".repeat(250)), &["trace"])];
    assert!(plan(CleanseShare::Partitions, &long).unwrap_err().contains("too long"));
}
