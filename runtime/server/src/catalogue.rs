//! The modules and statements of a configuration: loaded or planned, and checked against their deployment.
//!
//! What `describe` says are the facts of the code; what the file says are the facts of operation. Here they meet, before
//! anything starts, and every contradiction becomes a mistake of the configuration, with its line.

use crate::config::Config;
use crate::config::document::{Document, join};
use crate::config::metric::MetricSettings;
use crate::config::report::Mistake;
use crate::config::schema;
use crate::config::suggest::nearest;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidemark_engine::descriptor::{ColumnType, Condition, Descriptor, Filter, OutputColumn, WindowSpec};
use tidemark_engine::ids::Digest;
use tidemark_engine::metric::{METRIC_TYPE, MetricSpec, Overrides};
use tidemark_sql_metric::{Definition, SqlMetric, Subject, Surroundings};
use tidemark_wasm_host::{FactoryError, GuestTelemetry, Host, Module};

/// A metric, ready to run.
#[derive(Clone)]
pub struct Deployed {
    /// What the engine runs.
    pub spec: MetricSpec,
    /// The counters of its sandbox, if it runs in one.
    pub telemetry: Option<Arc<GuestTelemetry>>,
    /// Names of its sinks; `None`: all.
    pub sinks: Option<Vec<String>>,
}

impl Deployed {
    /// Whether its rows go to the sink of this name.
    #[must_use]
    pub fn goes_to(&self, sink: &str) -> bool {
        self.sinks.as_ref().is_none_or(|names| names.iter().any(|name| name == sink))
    }
}

/// Loads the modules of `config` and checks them. `progress` is told the path of each module before it is compiled,
/// which may take seconds.
pub fn deploy(
    config: &Config,
    document: &Document,
    host: &Host,
    progress: &mut dyn FnMut(&Path),
) -> Result<Vec<Deployed>, Vec<Mistake>> {
    let mut loaded: HashMap<&PathBuf, Result<Module, String>> = HashMap::new();
    let mut mistakes = Vec::new();
    // By their place in the file; what they give, for the statements that read it.
    let mut deployed: BTreeMap<usize, Deployed> = BTreeMap::new();
    let mut outputs: BTreeMap<String, Vec<OutputColumn>> = BTreeMap::new();
    for (place, metric) in config.metrics.iter().enumerate().filter(|(_, metric)| metric.sql.is_none()) {
        let module = loaded.entry(&metric.module).or_insert_with(|| {
            progress(&metric.module);
            load(host, &metric.module)
        });
        let deployment = Deployment { config, document, metric };
        match module {
            Ok(module) => {
                outputs.insert(metric.name.clone(), module.descriptor().output.clone());
                match deployment.check(module) {
                    Ok(metric) => drop(deployed.insert(place, metric)),
                    Err(found) => mistakes.extend(found),
                }
            }
            Err(message) => mistakes.push(deployment.mistake("module", message.clone())),
        }
    }
    for (place, planned) in plan_statements(config, document, outputs) {
        let metric = &config.metrics[place];
        let deployment = Deployment { config, document, metric };
        match planned.and_then(|planned| deployment.check_statement(&planned)) {
            Ok(metric) => drop(deployed.insert(place, metric)),
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.is_empty() { Ok(deployed.into_values().collect()) } else { Err(mistakes) }
}

/// The statements of `config`, planned, by their place in the file. Loads the modules that they read, and no other.
pub fn statements(config: &Config, document: &Document, host: &Host) -> Vec<(usize, Result<SqlMetric, Vec<Mistake>>)> {
    let names = || config.metrics.iter().map(|metric| metric.name.as_str());
    let statements = config.metrics.iter().filter_map(|metric| metric.sql.as_ref());
    let read: Vec<&str> =
        statements.filter_map(|statement| tidemark_sql_metric::reads(&statement.sql, names())).collect();
    let modules = config.metrics.iter().filter(|metric| metric.sql.is_none() && read.contains(&metric.name.as_str()));
    let outputs = modules.filter_map(|metric| {
        // One that cannot be loaded is told by what reads it.
        let module = load(host, &metric.module).ok()?;
        Some((metric.name.clone(), module.descriptor().output.clone()))
    });
    plan_statements(config, document, outputs.collect())
}

/// The statements of `config`, planned, by their place in the file. `outputs` are the columns of the modules' rows.
///
/// A statement that reads rows of another metric is planned behind that, and not where that has mistakes.
fn plan_statements(
    config: &Config,
    document: &Document,
    outputs: BTreeMap<String, Vec<OutputColumn>>,
) -> Vec<(usize, Result<SqlMetric, Vec<Mistake>>)> {
    let mut surroundings = Surroundings { metrics: outputs, types: schema_types(config) };
    let metrics = config.metrics.iter().enumerate();
    let mut waiting: Vec<(usize, &MetricSettings, &Definition)> =
        metrics.filter_map(|(place, metric)| Some((place, metric, metric.sql.as_ref()?))).collect();
    // An absent statement has been told.
    waiting.retain(|(.., definition)| !definition.sql.is_empty());
    let mut planned = Vec::new();
    let names = || config.metrics.iter().map(|metric| metric.name.as_str());
    while !waiting.is_empty() {
        let known = |upstream: &str| surroundings.metrics.contains_key(upstream);
        let is_ready = |(.., definition): &(usize, &MetricSettings, &Definition)| {
            tidemark_sql_metric::reads(&definition.sql, names()).is_none_or(known)
        };
        let (ready, blocked): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
        if ready.is_empty() {
            planned.extend(blocked.iter().map(|(place, metric, definition)| {
                let message = in_a_circle(config, &definition.name)
                    .unwrap_or_else(|| "cannot be planned: the metric that it reads has mistakes".to_owned());
                (*place, Err(vec![document.mistake(&join(&metric.path, "sql"), message)]))
            }));
            break;
        }
        for (place, metric, definition) in ready {
            let result = SqlMetric::plan(definition, &surroundings).map_err(|mistakes| {
                let told = |mistake: tidemark_sql_metric::Mistake| match &mistake.subject {
                    Subject::Statement(_) => document.mistake(&join(&metric.path, "sql"), mistake.to_string()),
                    Subject::Column(name) => {
                        document.mistake(&join(&join(&metric.path, "columns"), name), mistake.message)
                    }
                };
                mistakes.into_iter().map(told).collect()
            });
            if let Ok(metric) = &result {
                surroundings.metrics.insert(definition.name.clone(), metric.descriptor().output.clone());
            }
            planned.push((place, result));
        }
        waiting = blocked;
    }
    planned
}

/// What is wrong with a statement that reads, over others, its own rows; `None` where it does not.
fn in_a_circle(config: &Config, name: &str) -> Option<String> {
    let names = || config.metrics.iter().map(|metric| metric.name.as_str());
    let mut way = vec![name];
    loop {
        let last = *way.last()?;
        let definition = config.metrics.iter().find(|metric| metric.name == last)?.sql.as_ref()?;
        let next = tidemark_sql_metric::reads(&definition.sql, names())?;
        if next == name {
            return Some(format!(
                "reads its own rows, over {}: metrics must not read each other in a circle",
                way.join(", ")
            ));
        }
        if way.contains(&next) {
            return None;
        }
        way.push(next);
    }
}

/// Types that the schemas of events give to paths, where they agree.
fn schema_types(config: &Config) -> BTreeMap<String, ColumnType> {
    let mut types: BTreeMap<String, Option<ColumnType>> = BTreeMap::new();
    for (path, kind) in config.cleanse.schema.iter().flat_map(|schema| &schema.types) {
        let known = types.entry(path.clone()).or_insert(Some(*kind));
        if *known != Some(*kind) {
            *known = None;
        }
    }
    types.into_iter().filter_map(|(path, kind)| Some((path, kind?))).collect()
}

fn load(host: &Host, file: &Path) -> Result<Module, String> {
    let bytes = std::fs::read(file).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "; `cargo xtask metrics` builds the metrics of this project",
            _ => "",
        };
        format!("cannot read {}: {error}{hint}", file.display())
    })?;
    host.load(&bytes).map_err(|error| format!("{}: {error}", file.display()))
}

/// One `[[metric]]`, meeting its module.
struct Deployment<'a> {
    config: &'a Config,
    document: &'a Document,
    metric: &'a MetricSettings,
}

impl Deployment<'_> {
    fn mistake(&self, field: &str, message: impl Into<String>) -> Mistake {
        let path = if field.is_empty() { self.metric.path.clone() } else { join(&self.metric.path, field) };
        self.document.mistake(&path, message)
    }

    fn check(&self, module: &Module) -> Result<Deployed, Vec<Mistake>> {
        let descriptor = module.descriptor();
        let mut mistakes = self.check_config(descriptor);
        mistakes.extend(self.check_window(descriptor));
        mistakes.extend(self.check_references(descriptor, "module", "filter"));
        // A configuration that breaks its schema would only be refused again, in other words.
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let config = canonical(&self.metric.config);
        let factory = module.factory(&config, self.metric.limits.clone()).map_err(|error| {
            let field = match &error {
                FactoryError::Limits(_) => "limits",
                FactoryError::Config(_) | FactoryError::Configure(_) => "config",
                FactoryError::Start(_) => "module",
            };
            vec![self.mistake(field, format!("the module {error}"))]
        })?;
        let telemetry = Some(factory.telemetry().clone());
        let config_digest = Digest(Sha256::digest(&config).into());
        let overrides = self.overrides(descriptor);
        match MetricSpec::new(descriptor, module.digest(), config_digest, overrides, factory) {
            Ok(spec) => Ok(Deployed { spec, telemetry, sinks: self.metric.sinks.clone() }),
            Err(messages) => Err(messages.into_iter().map(|message| self.mistake("", message)).collect()),
        }
    }

    fn check_statement(&self, statement: &SqlMetric) -> Result<Deployed, Vec<Mistake>> {
        let descriptor = statement.descriptor();
        let mut mistakes = self.check_references(descriptor, "sql", "sql");
        if self.metric.key.is_some() && !matches!(descriptor.window, WindowSpec::IntervalJoin { .. }) {
            mistakes.push(self.mistake("key", "GROUP BY names the key: leave it out"));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let config_digest = Digest(Sha256::digest(canonical(&Value::Null)).into());
        let overrides = self.overrides(descriptor);
        match MetricSpec::new(descriptor, statement.digest(), config_digest, overrides, statement.factory()) {
            Ok(spec) => Ok(Deployed { spec, telemetry: None, sinks: self.metric.sinks.clone() }),
            Err(messages) => Err(messages.into_iter().map(|message| self.mistake("sql", message)).collect()),
        }
    }

    fn overrides(&self, descriptor: &Descriptor) -> Overrides {
        let window = match (self.metric.state_ttl_ms, &self.metric.window) {
            (Some(ttl_ms), _) if self.effective_is_key(descriptor) => Some(WindowSpec::Key { ttl_ms: Some(ttl_ms) }),
            (_, window) => window.clone(),
        };
        Overrides {
            name: Some(self.metric.name.clone()),
            filter: self.metric.filter.clone(),
            key: self.metric.key.clone(),
            window,
            allowed_lateness_ms: self.metric.allowed_lateness_ms,
            error_budget: self.metric.error_budget,
        }
    }

    fn effective_is_key(&self, descriptor: &Descriptor) -> bool {
        matches!(self.metric.window.as_ref().unwrap_or(&descriptor.window), WindowSpec::Key { .. })
    }

    fn check_config(&self, descriptor: &Descriptor) -> Vec<Mistake> {
        if descriptor.config_schema.is_null() {
            return match &self.metric.config {
                Value::Object(fields) if !fields.is_empty() => {
                    vec![self.mistake("config", "the module has nothing to configure: leave it out")]
                }
                _ => Vec::new(),
            };
        }
        let nothing = Value::Object(serde_json::Map::new());
        let config = if self.metric.config.is_null() { &nothing } else { &self.metric.config };
        match schema::check(&descriptor.config_schema, config) {
            Err(message) => vec![self.mistake("module", format!("the configuration cannot be checked: {message}"))],
            Ok(violations) => violations
                .into_iter()
                .map(|violation| {
                    let field =
                        if violation.path.is_empty() { "config".to_owned() } else { join("config", &violation.path) };
                    self.mistake(&field, violation.message)
                })
                .collect(),
        }
    }

    fn check_window(&self, descriptor: &Descriptor) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let is_join = |window: &WindowSpec| matches!(window, WindowSpec::IntervalJoin { .. });
        if let Some(window) = &self.metric.window
            && is_join(window) != is_join(&descriptor.window)
        {
            let message = if is_join(window) {
                "the module reads one kind of rows, a join needs two: use another kind of window"
            } else {
                "the module pairs rows of two kinds: keep `kind = \"interval-join\"`, its bounds may change"
            };
            mistakes.push(self.mistake("window.kind", message));
        }
        if matches!(self.metric.window, Some(WindowSpec::Session { .. })) && !descriptor.mergeable {
            let message = "sessions need a module that can merge states, and this one cannot: use another kind";
            mistakes.push(self.mistake("window.kind", message));
        }
        if self.metric.state_ttl_ms.is_some() && !self.effective_is_key(descriptor) {
            let message = "is for key windows, and the module's window ends by itself: leave it out";
            mistakes.push(self.mistake("state_ttl_ms", message));
        }
        mistakes
    }

    /// Whether the lookup tables and the other metrics that its rows come from exist. `code` and `condition` are the
    /// fields that say which columns and which rows are read.
    fn check_references(&self, descriptor: &Descriptor, code: &str, condition: &str) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let tables: Vec<&str> = self.config.cleanse.table.iter().map(|table| table.name.as_str()).collect();
        let filter = self.metric.filter.as_ref().unwrap_or(&descriptor.filter);
        let key = self.metric.key.as_ref().unwrap_or(&descriptor.key);
        let inputs = descriptor.inputs.iter().map(|input| (code, &input.path));
        let conditions = filter.0.keys().map(|path| (condition, path));
        for (field, path) in inputs.chain(conditions).chain([("key", key)]) {
            if let Some(table) = path.strip_prefix("enrich.").and_then(|rest| rest.split('.').next())
                && !tables.contains(&table)
            {
                let hint = "add a [[cleanse.table]] of that name";
                mistakes
                    .push(self.mistake(field, format!("reads {path}, but no lookup table is named {table}: {hint}")));
            }
        }
        let metrics: Vec<&str> = self.config.metrics.iter().map(|metric| metric.name.as_str()).collect();
        for source in read_metrics(filter) {
            if !metrics.contains(&source) {
                let hint = nearest(source, metrics.iter().copied());
                let hint = hint.map_or_else(|| "add it".to_owned(), |meant| format!("did you mean \"{meant}\"?"));
                mistakes.push(
                    self.mistake(condition, format!("reads rows of a metric \"{source}\", which is not here; {hint}")),
                );
            }
        }
        mistakes
    }
}

/// The metrics whose rows a filter asks for by type.
fn read_metrics(filter: &Filter) -> impl Iterator<Item = &str> {
    let types = match filter.0.get("type") {
        Some(Condition::OneOf(types)) => types.as_slice(),
        _ => &[],
    };
    types.iter().filter_map(|name| name.strip_prefix(METRIC_TYPE))
}

/// A configuration as the one JSON text that modules get and that is digested: fields by name, nothing as `{}`.
fn canonical(config: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(name, _)| *name);
                Value::Object(fields.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    match config {
        Value::Null => "{}".to_owned(),
        other => sorted(other).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_configuration_is_the_same_text() {
        let one = canonical(&json!({ "b": [ { "y": 1, "x": 2 } ], "a": null }));
        let other = canonical(&json!({ "a": null, "b": [ { "x": 2, "y": 1 } ] }));
        assert_eq!(one, other);
        assert_eq!(one, r#"{"a":null,"b":[{"x":2,"y":1}]}"#);
        assert_eq!(canonical(&Value::Null), "{}");
    }
}
