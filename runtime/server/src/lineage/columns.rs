//! Which columns of an output come from which fields of an input, as OpenLineage's column lineage has it.
//!
//! A module is opaque: every column that it emits may depend on every column that it reads, and that is what is said.
//! What the runtime itself does is said exactly: the key is the value at the key's path, rows are chosen by the filter,
//! grouped by the key and windowed by event time.

use super::datasets::DatasetName;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tidemark_engine::descriptor::{Filter, WindowSpec};
use tidemark_engine::metric::MetricSpec;

/// How an output depends on a field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum How {
    /// It is the same value.
    Identity,
    /// A module makes it.
    Module,
    /// It decides which rows there are.
    Filter,
    /// It decides which rows are taken together.
    GroupBy,
    /// It decides to which window a row belongs.
    Window,
}

impl How {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Identity => ("DIRECT", "IDENTITY"),
            Self::Module => ("DIRECT", "AGGREGATION"),
            Self::Filter => ("INDIRECT", "FILTER"),
            Self::GroupBy => ("INDIRECT", "GROUP_BY"),
            Self::Window => ("INDIRECT", "WINDOW"),
        }
    }
}

/// A field of an input, and how something depends on it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Origin {
    pub(super) dataset: DatasetName,
    pub(super) field: String,
    pub(super) how: How,
}

/// The columns of one output.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Columns {
    of_column: BTreeMap<String, Vec<Origin>>,
    /// What every column depends on.
    of_all: Vec<Origin>,
}

impl Columns {
    /// The columns of a metric. `find` names the fields of inputs that a path leads to.
    pub(super) fn of_metric(spec: &MetricSpec, event_time: &[String], find: &dyn Fn(&str) -> Vec<Field>) -> Self {
        let origins = |path: &str, how: How| -> Vec<Origin> {
            find(path).into_iter().map(|Field { dataset, field }| Origin { dataset, field, how }).collect()
        };
        let mut columns = Self::default();
        columns.add("key", origins(&spec.key, How::Identity));
        for output in &spec.output {
            for input in &spec.inputs {
                columns.add(&output.name, origins(&input.path, How::Module));
            }
        }
        let mut filters = vec![&spec.filter];
        if let WindowSpec::IntervalJoin { left, right, .. } = &spec.window {
            filters.extend([left, right]);
        }
        let paths = filters.into_iter().flat_map(|Filter(conditions)| conditions.keys());
        columns.of_all.extend(paths.flat_map(|path| origins(path, How::Filter)));
        columns.of_all.extend(origins(&spec.key, How::GroupBy));
        columns.of_all.extend(event_time.iter().flat_map(|path| origins(path, How::Window)));
        columns.sort();
        columns
    }

    /// Columns that are fields of an input.
    pub(super) fn identities<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        find: &dyn Fn(&str) -> Vec<Field>,
    ) -> Self {
        let mut columns = Self::default();
        for (column, path) in pairs {
            let how = How::Identity;
            let origins = find(path).into_iter().map(|Field { dataset, field }| Origin { dataset, field, how });
            columns.add(column, origins.collect());
        }
        columns.sort();
        columns
    }

    /// Takes in those of another metric whose rows go to the same place.
    pub(super) fn merge(&mut self, other: Self) {
        for (column, origins) in other.of_column {
            self.add(&column, origins);
        }
        self.of_all.extend(other.of_all);
        self.sort();
    }

    /// The content of the facet; `None` where there is nothing to say.
    pub(super) fn to_json(&self) -> Option<Value> {
        if self.of_column.is_empty() {
            return None;
        }
        let fields: Map<String, Value> = self
            .of_column
            .iter()
            .map(|(column, origins)| (column.clone(), json!({"inputFields": list(origins)})))
            .collect();
        Some(json!({"fields": fields, "dataset": list(&self.of_all)}))
    }

    fn add(&mut self, column: &str, origins: Vec<Origin>) {
        if !origins.is_empty() {
            self.of_column.entry(column.to_owned()).or_default().extend(origins);
        }
    }

    fn sort(&mut self) {
        for origins in self.of_column.values_mut().chain([&mut self.of_all]) {
            origins.sort();
            origins.dedup();
        }
    }
}

/// A field of an input.
pub(super) struct Field {
    pub(super) dataset: DatasetName,
    pub(super) field: String,
}

fn list(origins: &[Origin]) -> Value {
    let list = origins.iter().map(|Origin { dataset, field, how }| {
        let (kind, subtype) = how.words();
        json!({
            "namespace": dataset.namespace,
            "name": dataset.name,
            "field": field,
            "transformations": [{"type": kind, "subtype": subtype}],
        })
    });
    list.collect()
}
