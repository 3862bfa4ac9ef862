//! Hot and cold rows are the same rows, and the view over both has each once.

use super::driver::{Bench, is_there, run_with_kills};
use crate::fail_point;
use crate::sink::clickhouse::ColdSettings;
use crate::sink::parquet::driver::{
    data_files, folder, metric_table, rows_of, run_with_kills as parquet_with_kills, settings,
};
use crate::sink::parquet::s3_server::{ACCESS_KEY, S3Server, SECRET_KEY};
use crate::sink::parquet::{ObjectStoreSettings, ParquetSink, ReadHold};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{ArrayRef, RecordBatch, TimestampMillisecondArray};
use arrow_schema::DataType;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::Table;
use tidemark_engine::ports::Sink;

const DAY_MS: i64 = 86_400_000;
const TABLES: [&str; 4] = ["jitter_coefficient", "latency", "events", "dead_letters"];

/// An epoch's rows, their times moved to `days` before today.
pub(super) fn rows_of_days_ago(epoch: u64, days: i64) -> Vec<(Arc<Table>, RecordBatch)> {
    let today_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let shift_ms =
        today_ms.div_euclid(DAY_MS) * DAY_MS - 1_767_916_770_000_i64.div_euclid(DAY_MS) * DAY_MS - days * DAY_MS;
    let moved = |column: &ArrayRef| -> ArrayRef {
        if !matches!(column.data_type(), DataType::Timestamp(..)) {
            return column.clone();
        }
        let times = column.as_primitive::<TimestampMillisecondType>().iter().map(|time| Some(time? + shift_ms));
        Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
    };
    let rows = rows_of(epoch).into_iter().map(|(table, rows)| {
        let columns = rows.columns().iter().map(moved).collect();
        (table.clone(), RecordBatch::try_new(table.schema.clone(), columns).unwrap())
    });
    rows.collect()
}

/// Writes the epochs `first..=last` to `sink`, each so many days ago.
fn run(sink: &mut dyn Sink, first: u64, last: u64, days: impl Fn(u64) -> i64) {
    sink.recover(Epoch(first - 1), None).unwrap();
    for epoch in first..=last {
        for (table, rows) in rows_of_days_ago(epoch, days(epoch)) {
            sink.write(&table, &rows).unwrap();
        }
        let handle = sink.prepare(Epoch(epoch)).unwrap();
        sink.finalise(Epoch(epoch), &handle).unwrap();
    }
}

/// The same rows on both sides, none twice.
fn assert_same(bench: &Bench, left: &str, right: &str, columns: &str) {
    let rows = |from: &str| format!("SELECT {columns} FROM {from}");
    for (one, other) in [(left, right), (right, left)] {
        let missing = bench.query(&format!("SELECT * FROM ({} EXCEPT ALL {}) LIMIT 3", rows(one), rows(other)));
        assert_eq!(missing, "", "rows of {one} that {other} lacks");
    }
}

/// Columns of a table that files have.
fn columns_of(table: &str) -> &'static str {
    match table {
        "dead_letters" => {
            "reason, detail, partition, offset, event_time, metric, digest, key, window_start, window_end, state, epoch, \
             payload, payload_text"
        }
        _ => "*",
    }
}

#[test]
fn hot_and_cold_rows_are_the_same() {
    if !is_there("cold::hot_and_cold_rows_are_the_same") {
        return;
    }
    let mut bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    bench.settings.cold =
        Some(ColdSettings { url: folder.path().to_str().unwrap().to_owned(), ..ColdSettings::default() });
    let mut parquet = ParquetSink::open(folder.path(), settings(2, 1 << 20), fail_point::disabled()).unwrap();
    // While readers are there, what merged files have replaced stays beside them.
    parquet.recover(Epoch(0), None).unwrap();
    let hold = ReadHold::take(folder.path()).unwrap();
    run(&mut parquet, 1, 9, |_| 1);
    run(&mut bench.open(fail_point::disabled()), 1, 9, |_| 1);
    let mut files = 0;
    for table in TABLES {
        files += bench.query(&format!("SELECT count() FROM {table}__cold_files")).parse::<usize>().unwrap();
        let columns = columns_of(table);
        let hot: u64 = bench.query(&format!("SELECT count() FROM {table}")).parse().unwrap();
        assert!(hot > 3, "{table} has {hot} rows");
        assert_same(&bench, table, &format!("(SELECT * FROM {table}__cold)"), columns);
    }
    assert!(files < data_files(folder.path()).len(), "merged files and what they replaced are both there");
    drop(hold);
}

#[test]
fn hot_and_cold_rows_are_the_same_after_kills_in_the_middle_of_both() {
    if !is_there("cold::hot_and_cold_rows_are_the_same_after_kills_in_the_middle_of_both") {
        return;
    }
    for kill in [2, 4, 6, 7, 8, 9, 13, 17] {
        let mut bench = Bench::new();
        let folder = folder();
        bench.settings.cold =
            Some(ColdSettings { url: folder.path().to_str().unwrap().to_owned(), ..ColdSettings::default() });
        bench.settings.block_rows = 400;
        parquet_with_kills(folder.path(), &settings(2, 64 << 10), 8, &[kill, kill]);
        run_with_kills(&bench, 8, &[kill, kill]);
        for table in TABLES {
            assert_same(&bench, table, &format!("{table}__cold"), columns_of(table));
        }
    }
}

#[test]
fn going_back_leaves_every_row_once_in_the_view_over_both() {
    if !is_there("cold::going_back_leaves_every_row_once_in_the_view_over_both") {
        return;
    }
    let mut bench = Bench::new();
    let folder = folder();
    bench.settings.cold =
        Some(ColdSettings { url: folder.path().to_str().unwrap().to_owned(), ..ColdSettings::default() });
    let mut parquet = ParquetSink::open(folder.path(), settings(0, 1 << 20), fail_point::disabled()).unwrap();
    run(&mut parquet, 1, 6, |_| 1);
    // The hot store began with epoch 5, and the state goes back to epoch 3.
    run(&mut bench.open(fail_point::disabled()), 5, 6, |_| 1);
    run(&mut bench.open(fail_point::disabled()), 4, 6, |_| 1);
    for table in TABLES {
        assert_same(&bench, &format!("{table}__all"), &format!("{table}__cold"), columns_of(table));
    }
    assert_eq!(bench.query("SELECT min(epoch) FROM jitter_coefficient"), "4");
}

#[test]
fn the_view_over_both_has_every_row_once() {
    if !is_there("cold::the_view_over_both_has_every_row_once") {
        return;
    }
    // Retention has reached, or will reach, some days; the hot store began with epoch 1 or later.
    for first_hot in [1, 4] {
        let mut bench = Bench::new();
        let folder = tempfile::tempdir().unwrap();
        bench.settings.ttl_days = 90;
        bench.settings.cold =
            Some(ColdSettings { url: folder.path().to_str().unwrap().to_owned(), ..ColdSettings::default() });
        let days = |epoch: u64| [200, 91, 90, 89, 88, 40, 1, 0, 0][(epoch - 1) as usize];
        let mut parquet = ParquetSink::open(folder.path(), settings(2, 1 << 20), fail_point::disabled()).unwrap();
        run(&mut parquet, 1, 9, days);
        run(&mut bench.open(fail_point::disabled()), first_hot, 9, days);
        for when in ["before retention", "after retention"] {
            for table in TABLES {
                let columns = columns_of(table);
                let cold: u64 = bench.query(&format!("SELECT count() FROM {table}__cold")).parse().unwrap();
                let all: u64 = bench.query(&format!("SELECT count() FROM {table}__all")).parse().unwrap();
                assert_eq!(all, cold, "{table} {when}, hot from epoch {first_hot}");
                assert_same(&bench, &format!("{table}__all"), &format!("{table}__cold"), columns);
                // Both stores take part.
                let hot = bench.query(&format!("SELECT count() FROM {table}"));
                assert_ne!(hot, "0", "{table}");
            }
            for table in TABLES {
                bench.query(&format!("OPTIMIZE TABLE {table} FINAL"));
            }
        }
        let oldest = bench.query("SELECT min(event_time) > now() - INTERVAL 92 DAY FROM jitter_coefficient");
        assert_eq!(oldest, "1", "retention has reached the oldest day");
    }
}

#[test]
fn cold_files_in_an_object_store_are_read_with_the_servers_own_credentials() {
    if !is_there("cold::cold_files_in_an_object_store_are_read_with_the_servers_own_credentials") {
        return;
    }
    let (store, scratch) = (S3Server::start(), folder());
    let mut bench = Bench::new();
    let collection = format!("{}_cold", bench.database);
    let create = format!(
        "CREATE NAMED COLLECTION {collection} AS url = '{}/', access_key_id = '{ACCESS_KEY}', \
         secret_access_key = '{SECRET_KEY}'",
        store.url().replace(' ', "%20")
    );
    bench.server.query("default", &create);
    bench.settings.cold = Some(ColdSettings { named_collection: collection.clone(), ..ColdSettings::default() });
    // What merged files have replaced stays beside them.
    let patient = ObjectStoreSettings { keep_replaced_s: 3600, ..store.settings() };
    let parquet = ParquetSink::open_store(&patient, scratch.path(), settings(2, 1 << 20), fail_point::disabled());
    run(&mut parquet.unwrap(), 1, 9, |epoch| (epoch % 3) as i64);
    run(&mut bench.open(fail_point::disabled()), 1, 9, |epoch| (epoch % 3) as i64);
    let mut replaced = 0;
    for table in TABLES {
        let (columns, hot) = (columns_of(table), bench.query(&format!("SELECT count() FROM {table}")));
        assert_ne!(hot, "0", "{table}");
        for view in ["cold", "all"] {
            assert_eq!(bench.query(&format!("SELECT count() FROM {table}__{view}")), hot, "{table}__{view}");
            assert_same(&bench, table, &format!("{table}__{view}"), columns);
        }
        replaced += bench.query(&format!("SELECT count() FROM {table}__cold_files")).parse::<usize>().unwrap();
    }
    assert!(replaced < data_files(&store.objects()).len(), "merged files and what they replaced are both there");
    bench.server.query("default", &format!("DROP NAMED COLLECTION {collection}"));
}

#[test]
fn a_table_without_files_is_empty() {
    if !is_there("cold::a_table_without_files_is_empty") {
        return;
    }
    let mut bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    bench.settings.cold =
        Some(ColdSettings { url: folder.path().to_str().unwrap().to_owned(), ..ColdSettings::default() });
    let tables = [metric_table("jitter-coefficient")];
    let sink = crate::sink::clickhouse::ClickHouseSink::open(
        bench.settings.clone(),
        "job",
        &bench.outbox(),
        &tables,
        fail_point::disabled(),
    );
    sink.unwrap().recover(Epoch(0), None).unwrap();
    assert_eq!(bench.query("SELECT count() FROM jitter_coefficient__all"), "0");
}
