//! The exchange: events and rows on their way to the nodes that own their keys.
//!
//! A topic has the input of all metrics that are keyed by one path and read events alike. Its partitions are ranges of
//! key groups, so whoever reads a partition has every event of its keys, and no other. An event that metrics want by several
//! keys goes to several topics. A row of a metric that another one reads goes there as an event of type `metric.<name>`,
//! in the form in which it would be read within one process.
//!
//! With each epoch every partition of every topic is told how far its writer is: whoever reads it knows who writes it, and
//! takes the least.

use super::event_key::EventKey;
use super::handle::{MarkWriter, Marks};
use super::outbox::{OutboxWriter, Record};
use super::records::{size, text};
use crate::cleanse::{CleanseSettings, EnvelopeSettings};
use crate::kafka::{ENRICHMENT_HEADER, PartitionName};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use tidemark_dataflow::KeyGroups;
use tidemark_engine::descriptor::{ColumnType, OutputColumn};
use tidemark_engine::metric::METRIC_TYPE;
use tidemark_engine::output::TableKind;
use tidemark_engine::ports::PortError;
use xxhash_rust::xxh3::xxh3_64;

/// What one writer of a job that runs on several nodes writes for the others.
#[derive(Clone, PartialEq, Debug)]
pub struct ExchangeSettings {
    /// What it reads, as its readers know it: a topic, one of whose partitions it owns.
    pub family: String,
    /// Which partition.
    pub writer: u32,
    /// How many there are.
    pub writers: u32,
    /// Shards of the key space.
    pub key_groups: KeyGroups,
    /// Partitions of every topic of the exchange: at most as many as key groups.
    pub partitions: u16,
    /// Where what goes.
    pub routes: Vec<ExchangeRoute>,
}

/// One topic of the exchange, and what goes there.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ExchangeRoute {
    /// The topic.
    pub topic: String,
    /// Path of the key.
    pub key: String,
    /// Types of events; `None`: no events. An empty set means every type.
    pub events: Option<BTreeSet<String>>,
    /// Metrics whose rows go there, with their columns.
    pub rows: BTreeMap<String, Vec<OutputColumn>>,
    /// How far those rows can lie behind the writer's watermark, in milliseconds.
    pub delay_ms: i64,
}

/// Rows and events to records of the exchange.
pub(super) struct Exchange {
    settings: ExchangeSettings,
    /// Where an event has its type, its time and its data.
    envelope: EnvelopeSettings,
    /// Finds the keys of events, by path.
    keys: BTreeMap<String, EventKey>,
}

/// Paths of what lookup tables add: it travels beside the event, not in it.
const ENRICHED: &str = "enrich.";

impl Exchange {
    /// `cleanse` is what the events were cleansed with.
    pub(super) fn new(settings: ExchangeSettings, cleanse: &CleanseSettings) -> Result<Self, PortError> {
        let mut keys = BTreeMap::new();
        for route in settings.routes.iter().filter(|route| route.events.is_some()) {
            if !route.key.starts_with(ENRICHED) && !keys.contains_key(&route.key) {
                keys.insert(route.key.clone(), EventKey::new(&route.key, cleanse)?);
            }
        }
        let envelope = cleanse.envelope.clone();
        let is_nested = [&envelope.kind, &envelope.timestamp, &envelope.data].iter().any(|path| path.contains('.'));
        if is_nested && settings.routes.iter().any(|route| !route.rows.is_empty()) {
            return Err(PortError::Stop(
                "cleanse.envelope: where several nodes run a job whose metrics read rows of others, type, timestamp and data \
                 must be at the top of an event"
                    .to_owned(),
            ));
        }
        Ok(Self { settings, envelope, keys })
    }

    /// What the readers are told with an epoch.
    pub(super) fn marks(&self, watermark_ms: Option<i64>, idle: bool) -> Vec<Marks> {
        let ExchangeSettings { family, writer, writers, .. } = &self.settings;
        let writer = MarkWriter { family: family.clone(), writer: *writer, writers: *writers, idle };
        let mark = |route: &ExchangeRoute| Marks {
            topic: route.topic.clone(),
            watermark_ms: watermark_ms.map_or(i64::MIN, |at| at.saturating_sub(route.delay_ms)),
            writer: Some(writer.clone()),
        };
        self.settings.routes.iter().map(mark).collect()
    }

    /// Adds the records of `rows` to the outbox. Gives the bytes of the largest for each topic.
    pub(super) fn add(
        &mut self,
        kind: &TableKind,
        rows: &RecordBatch,
        outbox: &mut OutboxWriter,
    ) -> Result<Vec<(String, usize)>, PortError> {
        let mut largest = Vec::new();
        for route in &self.settings.routes {
            let found = match kind {
                TableKind::Events => match &route.events {
                    Some(types) => {
                        let to = Destination { settings: &self.settings, topic: &route.topic };
                        to.events(rows, types, &route.key, self.keys.get_mut(&route.key), outbox)?
                    }
                    None => continue,
                },
                TableKind::Metric(name) => match route.rows.get(name) {
                    Some(columns) => {
                        let to = Destination { settings: &self.settings, topic: &route.topic };
                        to.rows(rows, (name, columns), &route.key, &self.envelope, outbox)?
                    }
                    None => continue,
                },
                TableKind::DeadLetters => continue,
            };
            largest.push((route.topic.clone(), found));
        }
        Ok(largest)
    }
}

/// A topic that records go to.
struct Destination<'a> {
    settings: &'a ExchangeSettings,
    topic: &'a str,
}

impl Destination<'_> {
    /// Whoever owns the key; rows without one are that reader's to complain of who reads the first partition.
    fn partition(&self, key: Option<&str>) -> usize {
        let ExchangeSettings { key_groups, partitions, .. } = self.settings;
        let group = |key: &str| key_groups.of_hash(xxh3_64(key.as_bytes()));
        key.map_or(0, |key| key_groups.worker_of(group(key), usize::from(*partitions)))
    }

    /// Adds records in the order of `rows` within each partition. Gives the bytes of the largest.
    fn add<'r>(&self, rows: impl Iterator<Item = (usize, Record<'r>)>, outbox: &mut OutboxWriter) -> usize {
        let mut by_partition: Vec<Vec<Record<'r>>> = Vec::new();
        by_partition.resize_with(usize::from(self.settings.partitions), Vec::new);
        rows.for_each(|(partition, record)| by_partition[partition].push(record));
        let mut largest = 0;
        for (number, records) in by_partition.iter().enumerate().filter(|(_, records)| !records.is_empty()) {
            let place = PartitionName::new(self.topic, number as i32).to_string();
            for record in records {
                largest = largest.max(size(record));
                outbox.add(&place, record);
            }
        }
        largest
    }

    fn events(
        &self,
        rows: &RecordBatch,
        types: &BTreeSet<String>,
        path: &str,
        event_key: Option<&mut EventKey>,
        outbox: &mut OutboxWriter,
    ) -> Result<usize, PortError> {
        let (raw, enrichments, kinds) = (text(rows, "raw")?, text(rows, "enrichment")?, text(rows, "type")?);
        let wanted: Vec<usize> =
            (0..rows.num_rows()).filter(|row| types.is_empty() || types.contains(kinds.value(*row))).collect();
        if wanted.is_empty() {
            return Ok(0);
        }
        let in_event = event_key.map(|event_key| event_key.keys(raw));
        let enrichment = |row: usize| enrichments.is_valid(row).then(|| enrichments.value(row));
        let keys: Vec<Option<Cow<'_, str>>> = match &in_event {
            Some(keys) => wanted.iter().map(|row| keys.get(*row).map(Cow::Borrowed)).collect(),
            None => {
                let field = path.strip_prefix(ENRICHED).unwrap_or(path);
                wanted.iter().map(|row| enriched(enrichment(*row)?, field).map(Cow::Owned)).collect()
            }
        };
        let records = wanted.iter().zip(&keys).map(|(row, key)| {
            let headers = enrichment(*row).map(|added| (ENRICHMENT_HEADER, added.as_bytes())).into_iter().collect();
            let value = raw.value(*row).as_bytes();
            let key = key.as_deref();
            (self.partition(key), Record { key: key.map(str::as_bytes), value, headers })
        });
        Ok(self.add(records, outbox))
    }

    fn rows(
        &self,
        rows: &RecordBatch,
        (metric, columns): (&str, &[OutputColumn]),
        path: &str,
        envelope: &EnvelopeSettings,
        outbox: &mut OutboxWriter,
    ) -> Result<usize, PortError> {
        let kind = format!("{METRIC_TYPE}{metric}");
        let missing =
            |name: &str| PortError::Stop(format!("rows of {metric} have no column {name}: a mistake of ours"));
        let [kind_name, time_name, data_name] =
            [&envelope.kind, &envelope.timestamp, &envelope.data].map(|name| Value::from(name.as_str()));
        let own_keys = text(rows, "key")?;
        let times = rows.column_by_name("event_time").ok_or_else(|| missing("event_time"))?;
        let times = times.as_primitive::<TimestampMillisecondType>();
        let values =
            columns.iter().map(|column| rows.column_by_name(&column.name).ok_or_else(|| missing(&column.name)));
        let values: Vec<&ArrayRef> = values.collect::<Result<_, _>>()?;
        let mut events = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let key = match path {
                "type" => Some(kind.clone()),
                "timestamp" => Some(times.value(row).to_string()),
                "data.key" => Some(own_keys.value(row).to_owned()),
                path => path.strip_prefix("data.").and_then(|name| {
                    let place = columns.iter().position(|column| column.name == name)?;
                    as_text(&value(values[place], row))
                }),
            };
            let mut event = format!(
                r#"{{{kind_name}:{},{time_name}:"{}",{data_name}:{{"key":{}"#,
                Value::from(kind.as_str()),
                times.value(row),
                Value::from(own_keys.value(row))
            );
            for (column, values) in columns.iter().zip(&values) {
                let value = value(values, row);
                event.push_str(&format!(",{}:", Value::from(column.name.as_str())));
                match &value {
                    // As it is, to the last digit.
                    Value::String(text) if column.kind == ColumnType::Json && is_json(text) => event.push_str(text),
                    value => event.push_str(&value.to_string()),
                }
            }
            event.push_str("}}");
            events.push((key, event));
        }
        let records = events.iter().map(|(key, event)| {
            let key = key.as_deref();
            let record = Record { key: key.map(str::as_bytes), value: event.as_bytes(), headers: Vec::new() };
            (self.partition(key), record)
        });
        Ok(self.add(records, outbox))
    }
}

/// A field that a lookup table added.
fn enriched(added: &str, field: &str) -> Option<String> {
    let added: Map<String, Value> = serde_json::from_str(added).ok()?;
    as_text(added.get(field)?)
}

/// A value as [`ColumnType::Text`] reads it.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn value(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => Value::from(column.as_boolean().value(row)),
        DataType::Int64 => Value::from(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Value::from(column.as_primitive::<Float64Type>().value(row)),
        _ => Value::from(column.as_string::<i32>().value(row)),
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::kafka::outbox::OutboxReader;
    use arrow_array::{Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
    use serde_json::json;
    use std::sync::Arc;

    fn exchange(routes: Vec<ExchangeRoute>) -> Exchange {
        let settings = ExchangeSettings {
            family: "events".to_owned(),
            writer: 1,
            writers: 2,
            key_groups: KeyGroups::DEFAULT,
            partitions: 4,
            routes,
        };
        Exchange::new(settings, &CleanseSettings::default()).unwrap()
    }

    /// Place, key, value and number of headers of each record.
    fn added(exchange: &mut Exchange, kind: &TableKind, rows: &RecordBatch) -> Vec<(String, String, String, usize)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let mut outbox = OutboxWriter::new();
        exchange.add(kind, rows, &mut outbox).unwrap();
        let content = outbox.finish(&path).unwrap();
        let mut all = Vec::new();
        if content.records == 0 {
            return all;
        }
        let mut reader = OutboxReader::open(&path, &content).unwrap();
        let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        while let Some(mut chunk) = reader.next().unwrap() {
            let place = chunk.topic.to_owned();
            while let Some(record) = chunk.next().unwrap() {
                let key = record.key.map_or_else(|| "-".to_owned(), utf8);
                all.push((place.clone(), key, utf8(record.value), record.headers.len()));
            }
        }
        all
    }

    fn texts(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(values.iter().copied().collect::<StringArray>())
    }

    #[test]
    fn an_event_goes_where_each_of_its_keys_is_owned() {
        let event =
            |kind: &str, s: &str| format!(r#"{{"type":"{kind}","timestamp":"1767908945298","data":{{"s":"{s}"}}}}"#);
        let raw = [event("a", "x"), event("b", "y"), event("a", "z"), event("a", "x")];
        let rows = RecordBatch::try_from_iter_with_nullable([
            ("type", texts(&[Some("a"), Some("b"), Some("a"), Some("a")]), false),
            ("enrichment", texts(&[Some(r#"{"t.o":"m"}"#), None, None, None]), true),
            ("raw", texts(&raw.each_ref().map(|raw| Some(raw.as_str()))), false),
        ])
        .unwrap();
        let route = |topic: &str, key: &str, types: &[&str]| ExchangeRoute {
            topic: topic.to_owned(),
            key: key.to_owned(),
            events: Some(types.iter().map(|&kind| kind.to_owned()).collect()),
            rows: BTreeMap::new(),
            delay_ms: 0,
        };
        let mut exchange = exchange(vec![route("by-s", "data.s", &["a"]), route("by-o", "enrich.t.o", &[])]);
        let found = added(&mut exchange, &TableKind::Events, &rows);
        let of = |topic: &str| found.iter().filter(|found| found.0.starts_with(topic)).collect::<Vec<_>>();
        let keys = |topic: &str| {
            let mut keys: Vec<&str> = of(topic).iter().map(|found| found.1.as_str()).collect();
            keys.sort_unstable();
            keys.join(" ")
        };
        assert_eq!(keys("by-s/"), "x x z", "the other type is not wanted");
        assert_eq!(keys("by-o/"), "- - - m");
        assert!(of("by-o/").iter().filter(|found| found.1 == "-").all(|found| found.0 == "by-o/0"), "{found:?}");
        assert_eq!(found.iter().map(|found| found.3).sum::<usize>(), 2, "what tables added travels along");
        let x: Vec<_> = of("by-s/").into_iter().filter(|found| found.1 == "x").collect();
        assert_eq!(x[0].0, x[1].0);
        assert!(added(&mut exchange, &TableKind::DeadLetters, &rows).is_empty());
    }

    #[test]
    fn a_row_becomes_the_event_that_other_metrics_read() {
        let rows = RecordBatch::try_from_iter_with_nullable([
            ("key", texts(&[Some("stream")]), false),
            (
                "event_time",
                Arc::new(TimestampMillisecondArray::from(vec![1_000]).with_timezone("UTC")) as ArrayRef,
                false,
            ),
            ("latency_ms", Arc::new(Float64Array::from(vec![Some(0.1)])) as ArrayRef, true),
            ("count", Arc::new(Int64Array::from(vec![None])) as ArrayRef, true),
            ("orchestrator", texts(&[Some("o-1")]), true),
            ("detail", texts(&[Some(r#"{"a":[0.30000000000000004]}"#)]), true),
        ])
        .unwrap();
        let column = |name: &str, kind| OutputColumn { name: name.to_owned(), kind, nullable: true };
        let columns = vec![
            column("latency_ms", ColumnType::Float),
            column("count", ColumnType::Integer),
            column("orchestrator", ColumnType::Text),
            column("detail", ColumnType::Json),
        ];
        let mut exchange = exchange(vec![ExchangeRoute {
            topic: "by-o".to_owned(),
            key: "data.orchestrator".to_owned(),
            events: None,
            rows: [("startup".to_owned(), columns)].into(),
            delay_ms: 30,
        }]);
        let kind = TableKind::Metric("startup".to_owned());
        let found = added(&mut exchange, &kind, &rows);
        let [(_, key, value, _)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(key, "o-1");
        let event: Value = serde_json::from_str(value).unwrap();
        let data = json!({
            "key": "stream", "latency_ms": 0.1, "count": null, "orchestrator": "o-1", "detail": {"a": [0.30000000000000004]}
        });
        assert_eq!(event, json!({ "type": "metric.startup", "timestamp": "1000", "data": data }));
        assert!(added(&mut exchange, &TableKind::Metric("other".to_owned()), &rows).is_empty());
        let marks = exchange.marks(None, true);
        assert_eq!((marks.len(), marks[0].watermark_ms, marks[0].topic.as_str()), (1, i64::MIN, "by-o"));
        assert_eq!(exchange.marks(Some(100), false)[0].watermark_ms, 70);
    }
}
