//! Statements as metrics of an engine on in-memory ports.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use tidemark_engine::deployment::Deployment;
use tidemark_engine::descriptor::{ColumnType, OutputColumn};
use tidemark_engine::ids::Digest;
use tidemark_engine::metric::{MetricSpec, Overrides};
use tidemark_sql_metric::{ColumnDefinition, Definition, SqlMetric, Surroundings};

/// A column: name, path, type where it is declared.
pub type Column<'a> = (&'a str, &'a str, Option<ColumnType>);

pub fn definition(name: &str, sql: &str, columns: &[Column<'_>]) -> Definition {
    let columns = columns.iter().map(|(name, path, kind)| ColumnDefinition {
        name: (*name).to_owned(),
        path: (*path).to_owned(),
        kind: *kind,
    });
    Definition {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        doc: String::new(),
        sql: sql.to_owned(),
        columns: columns.collect(),
    }
}

/// A metric by its statement, which may read the metrics `others`.
#[track_caller]
pub fn metric(
    definition: &Definition,
    others: &BTreeMap<String, Vec<OutputColumn>>,
    allowed_lateness_ms: i64,
) -> MetricSpec {
    let surroundings = Surroundings { metrics: others.clone(), types: BTreeMap::new() };
    let metric = SqlMetric::plan(definition, &surroundings).unwrap_or_else(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        panic!("{}\nis refused:\n{}", definition.sql, lines.join("\n"))
    });
    let overrides = Overrides { allowed_lateness_ms: Some(allowed_lateness_ms), ..Overrides::default() };
    let deployment = Deployment { overrides, ..Deployment::new(&definition.name, metric.digest()) };
    MetricSpec::new(metric.descriptor(), deployment, Digest([0; 32]), metric.factory()).expect("a sound metric")
}
