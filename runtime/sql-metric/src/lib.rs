//! Metrics declared as a SQL statement: planned once, then run by the engine like any other metric, with the same
//! windows, state, epochs and sinks. Knows the parser and the engine's guest port, and neither DataFusion nor wasmtime.
//!
//! ```
//! use tidemark_sql_metric::{ColumnDefinition, Definition, SqlMetric, Surroundings};
//!
//! let definition = Definition {
//!     name: "stream-jitter".to_owned(),
//!     version: "1.0.0".to_owned(),
//!     doc: String::new(),
//!     sql: "SELECT STDDEV_POP(fps) / AVG(fps) AS jitter FROM events WHERE type = 'ai_stream_status'
//!           GROUP BY data.stream_id, TUMBLE(event_time, INTERVAL '1' MINUTE)"
//!         .to_owned(),
//!     columns: vec![ColumnDefinition {
//!         name: "fps".to_owned(),
//!         path: "data.inference_status.fps".to_owned(),
//!         kind: None,
//!     }],
//! };
//! let metric = SqlMetric::plan(&definition, &Surroundings::default()).expect("it is sound");
//! assert_eq!(metric.descriptor().key, "data.stream_id");
//! assert_eq!(metric.descriptor().output[0].name, "jitter");
//! ```
//!
//! What is supported and what it means is written down for users in `docs/sql-metrics.md`. Everything a statement can
//! grow into is bounded: its text, its depth, the texts that it makes, the distinct values that it counts.
//!
//! Modules stand in the order in which a statement meets them, then in that of its rows.

mod mistake;

mod depth;
mod parse;
mod names;
mod window;
mod bind;
mod call;
mod aggregate;
mod condition;
mod plan;

mod guest;
mod expression;
mod functions;
mod accumulator;
mod state;
mod value;

pub use mistake::{Mistake, Position, Subject};

use guest::SqlFactory;
use plan::{Planned, Program};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidemark_engine::descriptor::{ColumnType, Descriptor, OutputColumn};
use tidemark_engine::guest::GuestFactory;
use tidemark_engine::ids::Digest;

/// A metric as its author writes it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Definition {
    /// The metric's name.
    pub name: String,
    /// The version that its rows carry.
    pub version: String,
    /// One sentence for people.
    pub doc: String,
    /// The statement.
    pub sql: String,
    /// Names for paths in the event.
    pub columns: Vec<ColumnDefinition>,
}

/// A name for a path in the event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ColumnDefinition {
    /// The name: lower-case letters, digits and underscores.
    pub name: String,
    /// The path.
    pub path: String,
    /// As which type it is read; `None`: as its use asks for.
    pub kind: Option<ColumnType>,
}

/// What a statement can refer to besides its own columns.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Surroundings {
    /// The other metrics of the job and the columns of their rows, which FROM can read.
    pub metrics: BTreeMap<String, Vec<OutputColumn>>,
    /// Types that are known of paths, from schemas of events.
    pub types: BTreeMap<String, ColumnType>,
}

/// A statement, planned.
#[derive(Clone, Debug)]
pub struct SqlMetric {
    descriptor: Descriptor,
    digest: Digest,
    canonical: String,
    program: Arc<Program>,
}

impl SqlMetric {
    /// Plans a metric. The error lists every mistake.
    pub fn plan(definition: &Definition, surroundings: &Surroundings) -> Result<Self, Vec<Mistake>> {
        let Planned { program, descriptor, canonical, digest } = plan::plan(definition, surroundings)?;
        Ok(Self { descriptor, digest, canonical, program: Arc::new(program) })
    }

    /// What the statement became: columns by path and type, key, window, filter, output, version of its state.
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// SHA-256 of [`Self::canonical`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The statement without comments and line breaks, and where and as what its columns are read, as JSON. Two metrics
    /// with the same text give the same rows.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Makes instances.
    #[must_use]
    pub fn factory(&self) -> Arc<dyn GuestFactory> {
        Arc::new(SqlFactory(self.program.clone()))
    }

    /// What is done with rows, in words for people.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        let program = &*self.program;
        let columns = self.descriptor.output.iter().zip(&program.columns);
        Explanation {
            condition: program.condition.as_ref().map(ToString::to_string),
            keeps: program.kept.iter().map(ToString::to_string).collect(),
            having: program.having.as_ref().map(ToString::to_string),
            columns: columns.map(|(output, expression)| (output.name.clone(), expression.to_string())).collect(),
        }
    }
}

/// What a statement does with rows; expressions are written with every parenthesis and with paths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// What each row is asked that the filter let pass.
    pub condition: Option<String>,
    /// What is kept of a window's rows.
    pub keeps: Vec<String>,
    /// What a window is asked before it gives a row.
    pub having: Option<String>,
    /// Columns and what they are.
    pub columns: Vec<(String, String)>,
}

/// The metric of `metrics` whose rows a statement reads; `None` where it reads events, or cannot be parsed.
#[must_use]
pub fn reads<'m>(sql: &str, metrics: impl IntoIterator<Item = &'m str>) -> Option<&'m str> {
    let table = parse::folded(&parse::parse(sql).ok()?.table);
    metrics.into_iter().find(|metric| *metric == table || names::table_name(metric) == table)
}

#[cfg(test)]
mod tests;
