//! Run events as OpenLineage 2 has them.
//!
//! A run is one life of the process. The first and the last event carry every facet; those in between only how far the
//! run is, since receivers add up what they hear of a run.

use super::datasets::{Dataset, Datasets};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tidemark_engine::telemetry::Telemetry;
use uuid::Uuid;

const EVENT_SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// Most characters of an error's message.
const MOST_OF_MESSAGE: usize = 4_096;

/// What happens to the run.
#[derive(Debug)]
pub(super) enum Moment {
    Start,
    Running,
    /// It ended well: its source has ended, or somebody asked it to stop.
    Complete,
    /// It ended with this message.
    Fail(String),
}

/// Makes the events of one run.
pub(super) struct Events {
    run: Uuid,
    namespace: String,
    job: String,
    bounded: bool,
    datasets: Datasets,
    telemetry: Arc<Telemetry>,
}

impl Events {
    pub(super) fn new(
        namespace: &str,
        job: &str,
        bounded: bool,
        datasets: Datasets,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        let (namespace, job) = (namespace.to_owned(), job.to_owned());
        Self { run: Uuid::new_v4(), namespace, job, bounded, datasets, telemetry }
    }

    /// The event of a moment, as JSON.
    pub(super) fn event(&self, moment: Moment) -> String {
        let (kind, whole) = match &moment {
            Moment::Start => ("START", true),
            Moment::Running => ("RUNNING", false),
            Moment::Complete => ("COMPLETE", true),
            Moment::Fail(_) => ("FAIL", true),
        };
        let ended = matches!(moment, Moment::Complete | Moment::Fail(_));
        let inputs = self.datasets.inputs.iter().map(|dataset| input(dataset, whole));
        let outputs = self.datasets.outputs.iter().map(|dataset| self.output(dataset, whole, ended));
        json!({
            "eventType": kind,
            "eventTime": now(),
            "producer": producer(),
            "schemaURL": EVENT_SCHEMA,
            "run": {"runId": self.run.to_string(), "facets": self.run_facets(&moment)},
            "job": {"namespace": self.namespace, "name": self.job, "facets": self.job_facets()},
            "inputs": inputs.collect::<Value>(),
            "outputs": outputs.collect::<Value>(),
        })
        .to_string()
    }

    fn run_facets(&self, moment: &Moment) -> Value {
        let version = env!("CARGO_PKG_VERSION");
        let mut facets = Map::new();
        let engine = json!({"name": "Tidemark", "version": version, "openlineageAdapterVersion": version});
        facets.insert("processing_engine".to_owned(), facet("1-1-1/ProcessingEngineRunFacet", engine));
        // A facet of our own: its schema is the one that every facet has.
        let counts = json!({
            "_schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet",
            "epoch": self.telemetry.epoch.get(),
            "records": self.telemetry.records.get(),
            "deadLetters": self.telemetry.dead().values().sum::<u64>(),
        });
        facets.insert("tidemark_progress".to_owned(), with_producer(counts));
        if let Moment::Fail(message) = moment {
            let message: String = message.chars().take(MOST_OF_MESSAGE).collect();
            let error = json!({"message": message, "programmingLanguage": "Rust"});
            facets.insert("errorMessage".to_owned(), facet("1-0-1/ErrorMessageRunFacet", error));
        }
        Value::Object(facets)
    }

    fn job_facets(&self) -> Value {
        let processing = if self.bounded { "BATCH" } else { "STREAMING" };
        let job_type = json!({"processingType": processing, "integration": "TIDEMARK", "jobType": "JOB"});
        json!({"jobType": facet("2-0-4/JobTypeJobFacet", job_type)})
    }

    fn output(&self, dataset: &Dataset, whole: bool, ended: bool) -> Value {
        let mut value = input(dataset, whole);
        let Some(metric) = dataset.rows_of.as_ref().filter(|_| ended) else { return value };
        let rows = self.telemetry.stage(metric).rows_out.get();
        let statistics = facet("1-0-2/OutputStatisticsOutputDatasetFacet", json!({"rowCount": rows}));
        value["outputFacets"] = json!({"outputStatistics": statistics});
        value
    }
}

/// A dataset, with its facets where they are wanted.
fn input(dataset: &Dataset, whole: bool) -> Value {
    let mut value = json!({"namespace": dataset.name.namespace, "name": dataset.name.name});
    if !whole {
        return value;
    }
    let mut facets = Map::new();
    if !dataset.fields.is_empty() {
        let fields = dataset.fields.iter().map(|field| json!({"name": field.name, "type": field.kind}));
        let schema = json!({"fields": fields.collect::<Value>()});
        facets.insert("schema".to_owned(), facet("1-2-0/SchemaDatasetFacet", schema));
    }
    if let Some(columns) = dataset.columns.to_json() {
        facets.insert("columnLineage".to_owned(), facet("1-2-0/ColumnLineageDatasetFacet", columns));
    }
    value["facets"] = Value::Object(facets);
    value
}

/// A facet of the specification: `name` is its version and its name.
fn facet(name: &str, mut content: Value) -> Value {
    let bare = name.rsplit('/').next().unwrap_or(name);
    content["_schemaURL"] = format!("https://openlineage.io/spec/facets/{name}.json#/$defs/{bare}").into();
    with_producer(content)
}

fn with_producer(mut content: Value) -> Value {
    content["_producer"] = producer().into();
    content
}

fn producer() -> &'static str {
    concat!(env!("CARGO_PKG_REPOSITORY"), "/tree/v", env!("CARGO_PKG_VERSION"))
}

fn now() -> String {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let moment = i64::try_from(since_1970.as_millis()).ok().and_then(DateTime::from_timestamp_millis);
    moment.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}
