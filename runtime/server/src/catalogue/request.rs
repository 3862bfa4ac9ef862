//! A deployment as a request asks for it: the fields of `[[metric]]`, as JSON, checked in the same words.

use super::meeting::{Meeting, canonical};
use super::statements::plan_alone;
use crate::config::Config;
use crate::config::document::Document;
use crate::config::metric::{MetricSettings, ModuleOrigin};
use crate::config::section::Reader;
use crate::modules::Registry;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tidemark_engine::deployment::Origin;
use tidemark_engine::descriptor::OutputColumn;
use tidemark_engine::metric::MetricSpec;
use tidemark_wasm_host::contract;

/// Reads what a request says of the metric `name`, and tries it out. `metrics` are the names of all metrics of the job, and
/// `outputs` the columns of those that there are. An error lists every mistake, each with the field that it is about.
pub fn read_request(
    name: &str,
    fields: &Map<String, Value>,
    config: &Config,
    metrics: &[String],
    outputs: &BTreeMap<String, Vec<OutputColumn>>,
    registry: &Registry,
) -> Result<MetricSpec, Vec<String>> {
    let mut fields = fields.clone();
    if fields.insert("name".to_owned(), json!(name)).is_some_and(|other| other != name) {
        return Err(vec!["name: is in the address already, and another one there".to_owned()]);
    }
    let document = Document::of(json!({ "metric": [fields] }));
    let reader = Reader::new(&document, Vec::new());
    let settings = MetricSettings::read_all(reader.root().sections("metric"), document.file());
    let mistakes = reader.finish();
    let told = |mistakes: Vec<crate::config::report::Mistake>| -> Vec<String> {
        let told = mistakes.into_iter().map(|mistake| {
            let field = mistake.path.strip_prefix("metric[0]").unwrap_or(&mistake.path).trim_start_matches('.');
            if field.is_empty() { mistake.message } else { format!("{field}: {}", mistake.message) }
        });
        told.collect()
    };
    let [metric] = &settings[..] else { return Err(told(mistakes)) };
    if !mistakes.is_empty() {
        return Err(told(mistakes));
    }
    if let Some(sink) = metric.sinks.iter().flatten().find(|sink| !config.sinks.is_enabled(sink)) {
        return Err(vec![format!("sinks: the sink \"{sink}\" is turned off in this job")]);
    }
    let meeting = Meeting { config, metrics, document: &document, metric, origin: Origin::Api };
    if let Some(definition) = &metric.sql {
        let others = outputs.iter().filter(|(other, _)| *other != name);
        let others = others.map(|(name, columns)| (name.clone(), columns.clone())).collect();
        let statement = plan_alone(config, &document, metric, definition, others);
        return statement.and_then(|statement| meeting.check_statement(&statement)).map_err(told);
    }
    let ModuleOrigin::Digest(digest) = metric.module else {
        let hint = "push the file first (`tidemark module push`), then name its digest: \"sha256:…\"";
        return Err(vec![format!("module: {hint}")]);
    };
    let module = registry.module(digest).map_err(|error| vec![format!("module: {error}")])?;
    let (mut spec, _) = meeting.check(&module).map_err(told)?;
    // With its own configuration: when it was uploaded, nobody knew it.
    let report = contract::check(&module, &canonical(&metric.config), metric.limits.clone());
    if !report.is_sound() {
        return Err(report.mistakes());
    }
    spec.deployment.origin = Origin::Api;
    Ok(spec)
}
