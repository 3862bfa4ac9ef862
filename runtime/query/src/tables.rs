//! The tables of a place, opened when a query names them.

use crate::QueryError;
use crate::catalogue::MetricTables;
use crate::place::{Files, Listed, Place, parquet_format};
use crate::row_json::row_json;
use crate::schema;
use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{CatalogProvider, MemTable, MemoryCatalogProvider, SchemaProvider, TableProvider};
use datafusion::datasource::ViewTable;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tidemark_connectors::sink::parquet::{ReadHold, Selection};
use tidemark_engine::output::{Table, common_fields};

const EVENTS: &str = "events";
const METRICS: &str = "metrics";
const DEAD_LETTERS: &str = "dead_letters";

/// The tables of one place.
#[derive(Debug)]
pub(super) struct Tables {
    files: Files,
    /// Columns as the files are known to have at least, by metric.
    metrics: BTreeMap<String, SchemaRef>,
}

impl Tables {
    /// Finds out which metrics there are.
    pub(super) async fn open(place: &Place) -> std::result::Result<Self, QueryError> {
        let files = Files::open(place)?;
        let names = files.metric_names().await.map_err(|error| QueryError::Failed(error.to_string()))?;
        Self::over(files, names, place.data())
    }

    /// The same for a data folder, where nothing has to be waited for.
    pub(super) fn open_folder(data: &Path) -> std::result::Result<Self, QueryError> {
        let unreadable = |error: std::io::Error| QueryError::Failed(error.to_string());
        let hold = ReadHold::take(&data.join("output")).map_err(unreadable)?;
        let names = hold.metric_names().map_err(unreadable)?;
        Self::over(Files::Folder(hold), names, Some(data))
    }

    fn over(files: Files, names: Vec<String>, data: Option<&Path>) -> std::result::Result<Self, QueryError> {
        let mut known = MetricTables::default();
        if let Some(data) = data {
            known = MetricTables::read(data)
                .map_err(|error| QueryError::Failed(format!("cannot read {}/tables.json: {error}", data.display())))?;
        }
        let mut metrics: BTreeMap<String, SchemaRef> = BTreeMap::new();
        for name in names {
            metrics.insert(name, Arc::new(Schema::new(common_fields())));
        }
        for (name, columns) in known.metrics {
            let schema = Table::metric(&name, &columns).schema.clone();
            metrics.insert(name, schema);
        }
        Ok(Self { files, metrics })
    }

    /// The names of tables and views.
    pub(super) fn names(&self) -> Vec<String> {
        let fixed = [EVENTS, METRICS, DEAD_LETTERS].map(str::to_owned);
        fixed.into_iter().chain(self.metrics.keys().map(|name| view_name(name))).collect()
    }

    /// The metrics that have a view.
    pub(super) fn metric_names(&self) -> Vec<String> {
        self.metrics.keys().cloned().collect()
    }

    /// Makes them the tables of `context`.
    pub(super) fn register(self, context: &SessionContext) -> Result<()> {
        if let Some((url, store)) = self.files.store() {
            context.register_object_store(&url, store);
        }
        let catalogue = MemoryCatalogProvider::new();
        catalogue.register_schema("data", Arc::new(self))?;
        context.register_catalog("tidemark", Arc::new(catalogue));
        Ok(())
    }

    async fn metric(&self, name: &str) -> Result<Arc<dyn TableProvider>> {
        let base = self.metrics.get(name).map_or_else(|| Schema::new(common_fields()), |schema| (**schema).clone());
        parquet_table(self.files.list(Selection::Metric(name)).await?, &base)
    }

    /// Rows of all metrics: the common columns, and those of the metric as one JSON text.
    async fn metrics(&self) -> Result<Arc<dyn TableProvider>> {
        let mut union: Option<LogicalPlanBuilder> = None;
        for name in self.metrics.keys() {
            let table = self.metric(name).await?;
            let columns = metrics_columns(name, &table.schema());
            let rows = LogicalPlanBuilder::scan(view_name(name), provider_as_source(table), None)?.project(columns)?;
            union = Some(match union {
                None => rows,
                Some(others) => others.union(rows.build()?)?,
            });
        }
        match union {
            Some(plan) => Ok(Arc::new(ViewTable::new(plan.build()?, None))),
            None => empty_table(Arc::new(metrics_schema())),
        }
    }
}

#[async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        self.names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let table = match name {
            EVENTS => parquet_table(self.files.list(Selection::Events).await?, &Table::events().schema)?,
            DEAD_LETTERS => {
                parquet_table(self.files.list(Selection::DeadLetters).await?, &Table::dead_letters().schema)?
            }
            METRICS => self.metrics().await?,
            view => match self.metrics.keys().find(|metric| view_name(metric) == view) {
                Some(metric) => self.metric(metric).await?,
                None => return Ok(None),
            },
        };
        Ok(Some(table))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.names().iter().any(|known| known == name)
    }
}

/// A metric's view is named like the metric, with underscores for hyphens: SQL needs no quotes for it.
pub(super) fn view_name(metric: &str) -> String {
    metric.replace('-', "_")
}

fn parquet_table(files: Listed, base: &Schema) -> Result<Arc<dyn TableProvider>> {
    let schema = schema::union_of(base, files.schemas.iter().map(|schema| &**schema));
    if files.urls.is_empty() {
        return empty_table(schema);
    }
    let options = ListingOptions::new(Arc::new(parquet_format())).with_file_extension(".parquet");
    let config = ListingTableConfig::new_with_multi_paths(files.urls);
    Ok(Arc::new(ListingTable::try_new(config.with_listing_options(options).with_schema(schema))?))
}

fn empty_table(schema: SchemaRef) -> Result<Arc<dyn TableProvider>> {
    let nothing = RecordBatch::new_empty(schema.clone());
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![nothing]])?))
}

/// The columns of `metrics`: `metric`, the common ones, `row`.
fn metrics_schema() -> Schema {
    let metric = Field::new("metric", DataType::Utf8, true);
    let row = Field::new("row", DataType::Utf8, true);
    Schema::new([vec![metric], common_fields(), vec![row]].concat())
}

/// The expressions that make rows of `metrics` from rows of one metric.
fn metrics_columns(metric: &str, schema: &Schema) -> Vec<Expr> {
    let common = common_fields();
    let is_common = |field: &Field| common.iter().any(|known| known.name() == field.name());
    let own = schema.fields().iter().filter(|field| !is_common(field)).map(|field| column(field.name()));
    let names = schema.fields().iter().filter(|field| !is_common(field)).map(|field| field.name().clone()).collect();
    let mut columns = vec![lit(metric).alias("metric")];
    columns.extend(common.iter().map(|field| column(field.name())));
    columns.push(row_json(names).call(own.collect()).alias("row"));
    columns
}

/// A column by its exact name, whatever letters it has.
fn column(name: &str) -> Expr {
    Expr::Column(datafusion::common::Column::from_name(name))
}
