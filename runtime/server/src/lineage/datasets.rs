//! What a job reads and writes, as datasets: named as OpenLineage's naming rules say, so that others mean the same ones.
//!
//! Known from the configuration alone, before anything is opened.

use super::columns::{Columns, Field as InputField};
use crate::catalogue::Deployed;
use crate::config::Config;
use crate::config::source::SourceKind;
use crate::describe;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tidemark_engine::descriptor::{Condition, Filter, WindowSpec};
use tidemark_engine::metric::{METRIC_TYPE, MetricSpec};
use tidemark_engine::output::{Table, TableKind};

/// Which dataset.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct DatasetName {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// One dataset, and what is known of its columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Dataset {
    pub(super) name: DatasetName,
    pub(super) fields: Vec<Field>,
    /// Where they come from; empty for inputs.
    pub(super) columns: Columns,
    /// The metric whose rows it holds, if it holds those of one alone.
    pub(super) rows_of: Option<String>,
}

/// A column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: String,
}

/// Everything that a job reads and writes.
#[derive(Debug, Default)]
pub(super) struct Datasets {
    pub(super) inputs: Vec<Dataset>,
    pub(super) outputs: Vec<Dataset>,
}

impl Datasets {
    /// Of a job.
    pub(super) fn of(config: &Config, metrics: &[Deployed]) -> Self {
        let reading = Reading { sources: sources(config), tables: table_files(config), metrics };
        let mut outputs: BTreeMap<DatasetName, Dataset> = BTreeMap::new();
        for keeper in keepers(config) {
            for dataset in reading.kept_by(&keeper, config) {
                match outputs.get_mut(&dataset.name) {
                    None => drop(outputs.insert(dataset.name.clone(), dataset)),
                    Some(other) => other.merge(dataset),
                }
            }
        }
        Self { inputs: reading.inputs(), outputs: outputs.into_values().collect() }
    }
}

impl Dataset {
    /// Takes in another table that is kept in the same place, as in one topic.
    fn merge(&mut self, other: Self) {
        let known: BTreeSet<&str> = self.fields.iter().map(|field| field.name.as_str()).collect();
        let new: Vec<Field> = other.fields.into_iter().filter(|field| !known.contains(field.name.as_str())).collect();
        self.fields.extend(new);
        self.columns.merge(other.columns);
        self.rows_of = None;
    }
}

/// The dataset of a table; `None`: it is not kept there.
type Place = Box<dyn Fn(&TableKind) -> Option<DatasetName>>;

/// A sink that keeps tables, and where.
struct Keeper {
    /// As a metric's `sinks` write it.
    sink: &'static str,
    /// The dataset of a table; `None`: it is not kept there.
    place: Place,
}

fn keepers(config: &Config) -> Vec<Keeper> {
    let mut keepers = Vec::new();
    if config.sinks.parquet.is_some() {
        let root = absolute(&config.data.output());
        let archive = config.archive.enabled;
        keepers.push(Keeper {
            sink: "parquet",
            place: Box::new(move |kind| {
                let files = parquet_files(kind).filter(|_| archive || *kind != TableKind::Events)?;
                Some(file(&root.join(files)))
            }),
        });
    }
    keepers
}

/// The files of a table below the root of a Parquet sink.
fn parquet_files(kind: &TableKind) -> Option<String> {
    Some(match kind {
        TableKind::Metric(name) => format!("metrics/date=*/metric={name}"),
        TableKind::Events => "events/date=*/type=*".to_owned(),
        TableKind::DeadLetters => "dead_letters/date=*".to_owned(),
    })
}

/// What a job reads.
struct Reading<'a> {
    sources: Vec<DatasetName>,
    /// Files of lookup tables, by table.
    tables: BTreeMap<String, DatasetName>,
    metrics: &'a [Deployed],
}

impl Reading<'_> {
    fn inputs(&self) -> Vec<Dataset> {
        let paths = self.metrics.iter().filter(|metric| reads_events(&metric.spec)).flat_map(|metric| {
            metric.spec.inputs.iter().map(|input| (input.path.as_str(), describe::column_type(input.kind)))
        });
        // One path may be read as several types: the first by name will do, since JSON has none of them.
        let fields: BTreeMap<&str, &str> = paths.filter(|(path, _)| !path.starts_with("enrich.")).collect();
        let fields: Vec<Field> = fields.into_iter().map(|(path, kind)| field(path, kind)).collect();
        let sources = self.sources.iter().map(|name| dataset(name, fields.clone()));
        sources.chain(self.tables.values().map(|name| dataset(name, Vec::new()))).collect()
    }

    fn kept_by(&self, keeper: &Keeper, config: &Config) -> Vec<Dataset> {
        let mut kept = Vec::new();
        let wanted = |metric: &&Deployed| {
            metric.spec.deployment.sinks.as_ref().is_none_or(|sinks| sinks.iter().any(|sink| sink == keeper.sink))
        };
        for Deployed { spec, .. } in self.metrics.iter().filter(wanted) {
            let table = Table::metric(&spec.name, &spec.output);
            let Some(name) = (keeper.place)(&table.kind) else { continue };
            let find = |path: &str| self.find(path, spec, keeper);
            let event_time = if reads_events(spec) { config.cleanse.event_time.as_slice() } else { &[] };
            let columns = Columns::of_metric(spec, event_time, &find);
            kept.push(Dataset { columns, rows_of: Some(spec.name.clone()), ..dataset(&name, fields_of(&table)) });
        }
        let events = |path: &str| self.of_sources(path);
        let identities = [("type", "type"), ("id", "id")];
        let times = config.cleanse.event_time.iter().map(|path| ("event_time", path.as_str()));
        if let Some(name) = (keeper.place)(&TableKind::Events) {
            let columns = Columns::identities(identities.into_iter().chain(times), &events);
            kept.push(Dataset { columns, ..dataset(&name, fields_of(&Table::events())) });
        }
        if let Some(name) = (keeper.place)(&TableKind::DeadLetters) {
            kept.push(dataset(&name, fields_of(&Table::dead_letters())));
        }
        kept
    }

    /// The fields of inputs that a path of a metric leads to.
    fn find(&self, path: &str, spec: &MetricSpec, keeper: &Keeper) -> Vec<InputField> {
        if let Some(table) = path.strip_prefix("enrich.")
            && let Some((table, column)) = table.split_once('.')
            && let Some(dataset) = self.tables.get(table)
        {
            return vec![InputField { dataset: dataset.clone(), field: column.to_owned() }];
        }
        let mut found = if reads_events(spec) { self.of_sources(path) } else { Vec::new() };
        if let Some(column) = path.strip_prefix("data.") {
            let read = read_metrics(spec);
            let makers = self.metrics.iter().map(|metric| &metric.spec).filter(|other| read.contains(&other.name));
            let with_it =
                makers.filter(|maker| column == "key" || maker.output.iter().any(|output| output.name == column));
            found.extend(with_it.filter_map(|maker| {
                let dataset = (keeper.place)(&TableKind::Metric(maker.name.clone()))?;
                Some(InputField { dataset, field: column.to_owned() })
            }));
        }
        found
    }

    fn of_sources(&self, path: &str) -> Vec<InputField> {
        let field = |dataset: &DatasetName| InputField { dataset: dataset.clone(), field: path.to_owned() };
        self.sources.iter().map(field).collect()
    }
}

fn sources(config: &Config) -> Vec<DatasetName> {
    let memory = |name: &str| vec![DatasetName { namespace: "inmemory://".to_owned(), name: name.to_owned() }];
    match &config.source.kind {
        SourceKind::File(settings) => settings.path.iter().map(|path| file(&absolute(path))).collect(),
        SourceKind::Stdin => memory("standard input"),
        SourceKind::Generate(_) => memory("generated events"),
        SourceKind::Kafka(settings) => {
            let namespace = settings.brokers.first().map(|broker| format!("kafka://{broker}")).unwrap_or_default();
            settings
                .topics
                .iter()
                .map(|name| DatasetName { namespace: namespace.clone(), name: name.clone() })
                .collect()
        }
    }
}

fn table_files(config: &Config) -> BTreeMap<String, DatasetName> {
    let tables = config.cleanse.table.iter();
    tables.filter_map(|table| Some((table.name.clone(), file(&absolute(table.file.as_ref()?))))).collect()
}

fn file(path: &Path) -> DatasetName {
    DatasetName { namespace: "file".to_owned(), name: path.display().to_string() }
}

/// Names hold wherever the process was started.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn dataset(name: &DatasetName, fields: Vec<Field>) -> Dataset {
    Dataset { name: name.clone(), fields, columns: Columns::default(), rows_of: None }
}

fn field(name: &str, kind: &str) -> Field {
    Field { name: name.to_owned(), kind: kind.to_owned() }
}

fn fields_of(table: &Table) -> Vec<Field> {
    table.schema.fields().iter().map(|column| field(column.name(), &column.data_type().to_string())).collect()
}

/// The metrics whose rows a metric reads.
fn read_metrics(spec: &MetricSpec) -> BTreeSet<String> {
    types(spec).into_iter().flatten().filter_map(|name| name.strip_prefix(METRIC_TYPE)).map(str::to_owned).collect()
}

/// Whether a metric reads events of the source, and not only rows of other metrics.
fn reads_events(spec: &MetricSpec) -> bool {
    types(spec).is_none_or(|types| types.iter().any(|name| !name.starts_with(METRIC_TYPE)))
}

/// The types that a metric's filters name; `None`: any.
fn types(spec: &MetricSpec) -> Option<Vec<&str>> {
    match &spec.window {
        WindowSpec::IntervalJoin { left, right, .. } if named(&spec.filter).is_none() => {
            Some([named(left)?, named(right)?].concat())
        }
        _ => named(&spec.filter),
    }
}

fn named(filter: &Filter) -> Option<Vec<&str>> {
    match filter.0.get("type") {
        Some(Condition::OneOf(types)) => Some(types.iter().map(String::as_str).collect()),
        _ => None,
    }
}
