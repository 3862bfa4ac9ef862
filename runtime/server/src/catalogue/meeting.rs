//! A metric's settings meet their module: what `describe` says are the facts of the code, the settings are the facts of
//! operation, and every contradiction between them is a mistake with its place in the document.

use super::statements::Statement;
use crate::config::Config;
use crate::config::document::{Document, join};
use crate::config::metric::MetricSettings;
use crate::config::report::Mistake;
use crate::config::schema;
use crate::config::suggest::nearest;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tidemark_engine::deployment::{Deployment, Origin};
use tidemark_engine::descriptor::{Condition, Descriptor, Filter, WindowSpec};
use tidemark_engine::ids::Digest;
use tidemark_engine::metric::{METRIC_TYPE, MetricSpec, Overrides};
use tidemark_sql_metric::SqlMetric;
use tidemark_wasm_host::{FactoryError, GuestTelemetry, Limits, Module};

/// One metric's settings, meeting their module.
pub(super) struct Meeting<'a> {
    /// The job: its lookup tables.
    pub(super) config: &'a Config,
    /// Names of every metric of the job, this one included.
    pub(super) metrics: &'a [String],
    /// Where the settings stand.
    pub(super) document: &'a Document,
    pub(super) metric: &'a MetricSettings,
    pub(super) origin: Origin,
}

impl Meeting<'_> {
    pub(super) fn mistake(&self, field: &str, message: impl Into<String>) -> Mistake {
        let path = if field.is_empty() { self.metric.path.clone() } else { join(&self.metric.path, field) };
        self.document.mistake(&path, message)
    }

    /// The deployment that comes of it, and the metric, tried out.
    pub(super) fn check(&self, module: &Module) -> Result<(MetricSpec, Arc<GuestTelemetry>), Vec<Mistake>> {
        let descriptor = module.descriptor();
        let mut mistakes = self.check_config(descriptor);
        mistakes.extend(self.check_window(descriptor));
        mistakes.extend(self.check_references(descriptor, "module", "filter"));
        // A configuration that breaks its schema would only be refused again, in other words.
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let made = metric_of(module, &self.deployment(descriptor, module.digest())).map_err(|error| match error {
            MetricError::Factory(error) => {
                let field = match &error {
                    FactoryError::Limits(_) => "limits",
                    FactoryError::Config(_) | FactoryError::Configure(_) => "config",
                    FactoryError::Start(_) => "module",
                };
                vec![self.mistake(field, format!("the module {error}"))]
            }
            MetricError::Contradictions(messages) => {
                messages.into_iter().map(|message| self.mistake("", message)).collect()
            }
        });
        let (spec, telemetry) = made?;
        Ok((MetricSpec { may_reset_state: self.metric.reset_state, ..spec }, telemetry))
    }

    /// The metric of a statement.
    pub(super) fn check_statement(&self, statement: &Statement) -> Result<MetricSpec, Vec<Mistake>> {
        let descriptor = statement.metric.descriptor();
        let mut mistakes = self.check_references(descriptor, "sql", "sql");
        if self.metric.key.is_some() && !matches!(descriptor.window, WindowSpec::IntervalJoin { .. }) {
            mistakes.push(self.mistake("key", "GROUP BY names the key: leave it out"));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let deployment = Deployment {
            limits: Value::Null,
            statement: serde_json::to_value(&statement.terms).unwrap_or_default(),
            ..self.deployment(descriptor, statement.metric.digest())
        };
        let made = metric_of_statement(&statement.metric, &deployment)
            .map_err(|messages| messages.into_iter().map(|message| self.mistake("sql", message)).collect::<Vec<_>>());
        Ok(MetricSpec { may_reset_state: self.metric.reset_state, ..made? })
    }

    fn deployment(&self, descriptor: &Descriptor, digest: Digest) -> Deployment {
        Deployment {
            overrides: self.overrides(descriptor),
            config: self.metric.config.clone(),
            limits: serde_json::to_value(&self.metric.limits).unwrap_or_default(),
            cpu_budget: self.metric.cpu_budget,
            sinks: self.metric.sinks.clone(),
            origin: self.origin,
            ..Deployment::new(&self.metric.name, digest)
        }
    }

    fn overrides(&self, descriptor: &Descriptor) -> Overrides {
        let window = match (self.metric.state_ttl_ms, &self.metric.window) {
            (Some(ttl_ms), _) if self.effective_is_key(descriptor) => Some(WindowSpec::Key { ttl_ms: Some(ttl_ms) }),
            (_, window) => window.clone(),
        };
        Overrides {
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
        let metrics: Vec<&str> = self.metrics.iter().map(String::as_str).collect();
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

/// Why a deployment and its module make no metric.
pub(super) enum MetricError {
    Factory(FactoryError),
    Contradictions(Vec<String>),
}

impl MetricError {
    /// In words.
    pub(super) fn messages(self, name: &str) -> Vec<String> {
        match self {
            Self::Factory(error) => vec![format!("metric {name}: the module {error}")],
            Self::Contradictions(messages) => messages,
        }
    }
}

/// The metric that `deployment` makes of `module`.
pub(super) fn metric_of(
    module: &Module,
    deployment: &Deployment,
) -> Result<(MetricSpec, Arc<GuestTelemetry>), MetricError> {
    let limits = match &deployment.limits {
        Value::Null => Limits::default(),
        limits => serde_json::from_value(limits.clone())
            .map_err(|error| MetricError::Contradictions(vec![format!("limits: {error}")]))?,
    };
    let config = canonical(&deployment.config);
    let factory = module.factory(&config, limits).map_err(MetricError::Factory)?;
    let telemetry = factory.telemetry().clone();
    let config_digest = Digest(Sha256::digest(&config).into());
    let spec = MetricSpec::new(module.descriptor(), deployment.clone(), config_digest, factory);
    Ok((spec.map_err(MetricError::Contradictions)?, telemetry))
}

/// The metric that `deployment` makes of a statement.
pub(super) fn metric_of_statement(statement: &SqlMetric, deployment: &Deployment) -> Result<MetricSpec, Vec<String>> {
    let config_digest = Digest(Sha256::digest(canonical(&Value::Null)).into());
    MetricSpec::new(statement.descriptor(), deployment.clone(), config_digest, statement.factory())
}

/// A configuration as the one JSON text that modules get and that is digested: fields by name, nothing as `{}`.
pub(super) fn canonical(config: &Value) -> String {
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
