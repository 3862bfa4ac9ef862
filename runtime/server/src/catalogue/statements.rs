//! The statements of a configuration: planned, each behind the metric whose rows it reads.

use super::load;
use crate::config::Config;
use crate::config::document::{Document, join};
use crate::config::metric::{MetricSettings, ModuleOrigin};
use crate::config::report::Mistake;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use tidemark_engine::descriptor::{ColumnType, OutputColumn};
use tidemark_sql_metric::{Definition, SqlMetric, Subject, Surroundings};
use tidemark_wasm_host::Host;

/// A statement, and all that it was planned with: what a deployment keeps of it.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) metric: SqlMetric,
    pub(super) terms: Terms,
}

/// What makes a statement that statement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Terms {
    pub(super) definition: Definition,
    pub(super) surroundings: Surroundings,
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
        let ModuleOrigin::File(file) = &metric.module else { return None };
        let module = load(host, file).ok()?;
        Some((metric.name.clone(), module.descriptor().output.clone()))
    });
    let planned = plan_statements(config, document, outputs.collect());
    planned.into_iter().map(|(place, statement)| (place, statement.map(|statement| statement.metric))).collect()
}

/// The statements of `config`, planned, by their place in the file. `outputs` are the columns of the modules' rows.
///
/// A statement that reads rows of another metric is planned behind that, and not where that has mistakes.
pub(super) fn plan_statements(
    config: &Config,
    document: &Document,
    outputs: BTreeMap<String, Vec<OutputColumn>>,
) -> Vec<(usize, Result<Statement, Vec<Mistake>>)> {
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
            let result = plan(document, metric, definition, &surroundings);
            if let Ok(statement) = &result {
                let output = statement.metric.descriptor().output.clone();
                surroundings.metrics.insert(definition.name.clone(), output);
            }
            planned.push((place, result));
        }
        waiting = blocked;
    }
    planned
}

/// The statement of a metric that is deployed while the job runs. `outputs` are the columns of the other metrics' rows.
pub(super) fn plan_alone(
    config: &Config,
    document: &Document,
    metric: &MetricSettings,
    definition: &Definition,
    outputs: BTreeMap<String, Vec<OutputColumn>>,
) -> Result<Statement, Vec<Mistake>> {
    plan(document, metric, definition, &Surroundings { metrics: outputs, types: schema_types(config) })
}

fn plan(
    document: &Document,
    metric: &MetricSettings,
    definition: &Definition,
    surroundings: &Surroundings,
) -> Result<Statement, Vec<Mistake>> {
    let terms = Terms { definition: definition.clone(), surroundings: surroundings.clone() };
    let planned = SqlMetric::plan(definition, surroundings).map(|metric| Statement { metric, terms });
    planned.map_err(|mistakes| {
        let told = |mistake: tidemark_sql_metric::Mistake| match &mistake.subject {
            Subject::Statement(_) => document.mistake(&join(&metric.path, "sql"), mistake.to_string()),
            Subject::Column(name) => document.mistake(&join(&join(&metric.path, "columns"), name), mistake.message),
        };
        mistakes.into_iter().map(told).collect()
    })
}

/// The statement of a deployment, of the metric `name` instead of the one that it was planned for: it means the same.
#[must_use]
pub fn renamed(mut statement: Value, name: &str) -> Value {
    if let Some(own) = statement.pointer_mut("/definition/name") {
        *own = Value::from(name);
    }
    statement
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
