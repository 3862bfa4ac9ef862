//! One set of questions, three stores: a Parquet folder, one in an object store, and ClickHouse give the same answers to
//! rows that all were given.
//!
//! The rows have what is awkward: windows that fired again, within an epoch and in a later one; keys with quotes and with
//! one another's beginnings; several days; one moment for many rows.

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
    UInt64Array,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use test_clickhouse::Server;
use test_s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use tidemark_connectors::object_storage::ObjectStoreSettings;
use tidemark_connectors::sink::clickhouse::{ClickHouseReader, ClickHouseSettings, ClickHouseSink};
use tidemark_connectors::sink::parquet::{ParquetSettings, ParquetSink};
use tidemark_engine::descriptor::{ColumnType, OutputColumn};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::Table;
use tidemark_engine::ports::Sink;
use tidemark_query::catalogue::MetricTables;
use tidemark_query::encode::objects;
use tidemark_query::rows::{
    Bounds, ClickHouseStore, DeadLetterQuery, EmbeddedStore, LatestQuery, Order, RemoteStore, RowQuery, RowStore,
};

const METRIC: &str = "sla-score";
const DAY_MS: i64 = 86_400_000;
const START: i64 = 1_767_830_400_000;
const KEYS: [&str; 6] = ["a", "ab", "it's", "back\\slash", "ä\u{7f}", "z"];

fn own_columns() -> Vec<OutputColumn> {
    let kinds = [
        ("score", ColumnType::Float),
        ("count", ColumnType::Integer),
        ("good", ColumnType::Boolean),
        ("note", ColumnType::Text),
    ];
    kinds.map(|(name, kind)| OutputColumn { name: name.to_owned(), kind, nullable: true }).into()
}

/// A row: its key, its event time, its number, and which firing it is of.
type Row = (&'static str, i64, u64, i64);

/// The rows of an epoch.
fn rows_of(epoch: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for (place, key) in KEYS.into_iter().enumerate() {
        for number in 0..7 {
            let time = START + (epoch as i64 % 4) * DAY_MS / 2 + (number as i64 / 2) * 60_000;
            rows.push((key, time, epoch * 1_000 + place as u64 * 10 + number, 0));
        }
    }
    // Windows of the epoch before fire again, one of them twice.
    if epoch > 1 {
        let again: Vec<Row> = rows_of_before(epoch).into_iter().step_by(5).collect();
        rows.extend(again.iter().map(|(key, time, number, _)| (*key, *time, *number, 1)));
        rows.extend(again.iter().take(3).map(|(key, time, number, _)| (*key, *time, *number, 2)));
    }
    rows
}

fn rows_of_before(epoch: u64) -> Vec<Row> {
    rows_of(epoch - 1)
        .into_iter()
        .filter(|(_, _, number, firing)| *firing == 0 && number / 1_000 == epoch - 1)
        .collect()
}

fn batch(table: &Table, rows: &[Row], epoch: u64) -> RecordBatch {
    let texts = |text: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(text).collect::<StringArray>())
    };
    let moments = |after: i64| -> ArrayRef {
        let times = rows.iter().map(|(_, time, ..)| Some(time + after));
        Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
    };
    let columns: Vec<ArrayRef> = vec![
        texts(&|(key, ..)| Some((*key).to_owned())),
        moments(-59_999),
        moments(1),
        moments(0),
        texts(&|_| Some("sla-score".to_owned())),
        texts(&|_| Some("1.0.0".to_owned())),
        texts(&|_| Some("d".repeat(64))),
        texts(&|_| Some("c".repeat(64))),
        Arc::new(UInt64Array::from(vec![epoch; rows.len()])),
        // As scattered as hashes are.
        texts(&|(_, _, number, _)| {
            Some(format!("{:032x}", u128::from(*number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c)))
        }),
        Arc::new(
            rows.iter()
                .map(|(_, _, number, firing)| Some(*number as f64 / 7.0 + *firing as f64))
                .collect::<Float64Array>(),
        ),
        Arc::new(rows.iter().map(|(.., firing)| (*firing > 0).then_some(*firing)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|(_, _, number, _)| Some(number % 2 == 0)).collect::<BooleanArray>()),
        texts(&|(_, _, number, firing)| (number % 3 > 0).then(|| format!("note {number}, {firing}\n'quoted'"))),
    ];
    RecordBatch::try_new(table.schema.clone(), columns).expect("a batch")
}

fn letters(table: &Table, epoch: u64) -> RecordBatch {
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; 2])) };
    let moment =
        |ms: Option<i64>| -> ArrayRef { Arc::new(TimestampMillisecondArray::from(vec![ms; 2]).with_timezone("UTC")) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["late", "broken_json"])),
        text("because"),
        text("events.ndjson"),
        Arc::new(UInt64Array::from(vec![Some(epoch * 100), None])),
        moment(Some(START)),
        Arc::new(StringArray::from(vec![Some("sla-score"), None])),
        Arc::new(StringArray::from(vec![Some("dd"), None])),
        Arc::new(StringArray::from(vec![Some("it's"), None])),
        moment(Some(START - 60_000)),
        moment(None),
        Arc::new(BinaryArray::from_opt_vec(vec![Some(&[1, 255]), None])),
        Arc::new(UInt64Array::from(vec![epoch; 2])),
        Arc::new(BinaryArray::from_vec(vec![b"{}", &[0xff, 0xfe]])),
        Arc::new(StringArray::from(vec!["{}", "\u{fffd}\u{fffd}"])),
    ];
    RecordBatch::try_new(table.schema.clone(), columns).expect("a batch")
}

/// Gives the same epochs to all sinks.
fn fill(data: &Path, store: &ObjectStoreSettings, settings: &ClickHouseSettings) {
    let (table, dead) = (Table::metric(METRIC, &own_columns()), Table::dead_letters());
    let nothing = Arc::new(|_: &'static str| {});
    let parquet = ParquetSettings { row_group_rows: 40, ..ParquetSettings::default() };
    let staging = data.join("staging");
    let remote = ParquetSink::open_store(store, &staging, parquet.clone(), nothing.clone()).expect("opens");
    let parquet = ParquetSink::open(&data.join("output"), parquet, nothing.clone()).expect("opens");
    let tables = [table.clone(), dead.clone()];
    let clickhouse = ClickHouseSink::open(settings.clone(), "stores", &data.join("outbox"), &tables, nothing);
    let clickhouse = clickhouse.expect("opens");
    let mut sinks: [Box<dyn Sink>; 3] = [Box::new(parquet), Box::new(remote), Box::new(clickhouse)];
    for sink in &mut sinks {
        sink.recover(Epoch(0), None).expect("recovers");
        for epoch in 1..=6 {
            for rows in rows_of(epoch).chunks(17) {
                sink.write(&table, &batch(&table, rows, epoch)).expect("written");
            }
            sink.write(&dead, &letters(&dead, epoch)).expect("written");
            let handle = sink.prepare(Epoch(epoch)).expect("prepared");
            sink.finalise(Epoch(epoch), &handle).expect("shown");
        }
    }
    MetricTables::add(data, [(METRIC.to_owned(), own_columns())]).expect("written");
}

fn bounds() -> Bounds {
    Bounds::from_now(Duration::from_secs(60), 1 << 26)
}

/// Every page of a question.
fn all_rows(store: &dyn RowStore, query: &RowQuery) -> Vec<Value> {
    let (mut query, mut rows) = (query.clone(), Vec::new());
    loop {
        let page = store.rows(&query, bounds()).expect("a page");
        assert!(page.rows.num_rows() <= query.limit);
        rows.extend(objects(&[page.rows]));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return rows,
        }
    }
}

fn all_latest(store: &dyn RowStore, query: &LatestQuery) -> Vec<Value> {
    let (mut query, mut rows) = (query.clone(), Vec::new());
    loop {
        let page = store.latest(&query, bounds()).expect("a page");
        rows.extend(objects(&[page.rows]));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return rows,
        }
    }
}

fn all_letters(store: &dyn RowStore, query: &DeadLetterQuery) -> Vec<Value> {
    let (mut query, mut rows) = (query.clone(), Vec::new());
    loop {
        let page = store.dead_letters(&query, bounds()).expect("a page");
        rows.extend(objects(&[page.rows]));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return rows,
        }
    }
}

/// What should come: the last firing of each row.
fn expected() -> Vec<(i64, u64, f64)> {
    let mut last: BTreeMap<u64, (i64, f64)> = BTreeMap::new();
    for (_, time, number, firing) in (1..=6).flat_map(rows_of) {
        last.insert(number, (time, number as f64 / 7.0 + firing as f64));
    }
    last.into_iter().map(|(number, (time, score))| (time, number, score)).collect()
}

#[test]
fn all_stores_give_the_same_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::shared();
    let password_file = folder.path().join("password");
    std::fs::write(&password_file, &server.password).expect("writes");
    let settings = ClickHouseSettings {
        url: server.url.clone(),
        database: server.new_database(),
        user: server.user.clone(),
        password_file: Some(password_file),
        ttl_days: 0,
        ..ClickHouseSettings::default()
    };
    let bucket = S3Server::start(tempfile::tempdir().expect("a folder"), "cold");
    let keys = folder.path().join("keys");
    std::fs::write(&keys, format!("access_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n")).expect("writes");
    let options = [("endpoint", bucket.endpoint()), ("allow_http", "true".to_owned())];
    let store = ObjectStoreSettings {
        url: "s3://cold/rows".to_owned(),
        credentials_file: Some(keys),
        options: options.map(|(name, value)| (name.to_owned(), value)).into(),
        ..ObjectStoreSettings::default()
    };
    fill(folder.path(), &store, &settings);
    let embedded = EmbeddedStore::new(folder.path(), 64 << 20);
    let reader = ClickHouseReader::new(&settings).expect("opens");
    let clickhouse = ClickHouseStore::new(reader, folder.path(), 256 << 20);
    let remote = RemoteStore::new(store, folder.path(), 64 << 20);
    let near: [&dyn RowStore; 2] = [&embedded, &clickhouse];
    let stores: [&dyn RowStore; 3] = [&embedded, &clickhouse, &remote];

    let all = RowQuery {
        metric: METRIC.to_owned(),
        key: None,
        from: None,
        until: None,
        order: Order::Ascending,
        after: None,
        limit: 1_000,
    };
    let rows = all_rows(&embedded, &all);
    let mut scores: Vec<f64> = rows.iter().map(|row| row["score"].as_f64().expect("a score")).collect();
    let mut wanted: Vec<f64> = expected().into_iter().map(|(.., score)| score).collect();
    scores.sort_by(f64::total_cmp);
    wanted.sort_by(f64::total_cmp);
    assert_eq!(scores, wanted, "the last firing of each row, once");

    let (from, until) = (Some(START + 60_000), Some(START + DAY_MS + 120_000));
    for order in [Order::Ascending, Order::Descending] {
        for (key, limit) in
            [(None, 1_000), (None, 7), (Some("a"), 4), (Some("it's"), 3), (Some("back\\slash"), 50), (Some("no"), 5)]
        {
            for (from, until) in [(None, None), (from, None), (None, until), (from, until), (until, from)] {
                let query = RowQuery { key: key.map(str::to_owned), from, until, order, limit, ..all.clone() };
                let [one, other] = near.map(|store| all_rows(store, &query));
                assert_eq!(one, other, "{query:?}");
                // Each page lists the store anew: a part of the questions will do.
                if limit == 7 && from.is_some() || limit == 3 && until.is_none() {
                    assert_eq!(one, all_rows(&remote, &query), "{query:?}");
                }
            }
        }
    }
    let latest =
        LatestQuery { metric: METRIC.to_owned(), keys: Vec::new(), from: None, until: None, after: None, limit: 4 };
    for keys in [vec![], vec!["z", "a", "it's", "no"], KEYS.to_vec()] {
        for (from, until) in [(None, None), (from, until)] {
            let keys = keys.iter().map(|key| (*key).to_owned()).collect();
            let query = LatestQuery { keys, from, until, ..latest.clone() };
            let [one, other, remote] = stores.map(|store| all_latest(store, &query));
            assert_eq!(one, other, "{query:?}");
            assert_eq!(one, remote, "{query:?}");
            assert!(!one.is_empty());
        }
    }
    let letters = DeadLetterQuery { limit: 5, ..DeadLetterQuery::default() };
    let found = all_letters(&embedded, &letters);
    assert_eq!(found.len(), 12);
    let id = |letter: &Value| letter["id"].as_str().expect("an id").to_owned();
    let late = DeadLetterQuery { reason: Some("late".to_owned()), ..letters.clone() };
    for query in [
        letters.clone(),
        late.clone(),
        DeadLetterQuery { key: Some("it's".to_owned()), ..letters.clone() },
        DeadLetterQuery {
            metric: Some("sla-score".to_owned()),
            from: Some(START),
            until: Some(START + 1),
            ..letters.clone()
        },
        DeadLetterQuery { until: Some(START), ..letters.clone() },
        DeadLetterQuery { ids: vec![id(&found[3]), id(&found[8])], with_payload: true, ..letters.clone() },
    ] {
        let [one, other, remote] = stores.map(|store| all_letters(store, &query));
        assert_eq!(one, other, "{query:?}");
        assert_eq!(one, remote, "{query:?}");
    }
    assert_eq!(all_letters(&embedded, &late).len(), 6);
    for store in stores {
        let answer = store.sql("SELECT count(*) AS n FROM dead_letters", 10, bounds()).expect("an answer");
        assert_eq!(objects(&answer.rows)[0]["n"], 12);
        let refused = store.sql("DROP TABLE dead_letters", 10, bounds());
        assert!(matches!(refused, Err(tidemark_query::QueryError::Refused(_))), "{refused:?}");
        let columns = store.columns(METRIC).expect("an answer").expect("the metric");
        assert_eq!(columns.field(13).name(), "note");
        assert!(store.columns("no-such").expect("an answer").is_none());
    }
}
