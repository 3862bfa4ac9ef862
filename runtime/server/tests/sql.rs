//! `tidemark sql` over files that the Parquet sink wrote.

mod support;

use arrow_array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array,
};
use std::path::Path;
use std::sync::Arc;
use support::{Run, text, tidemark};
use tidemark_connectors::sink::parquet::{ParquetSettings, ParquetSink};
use tidemark_engine::descriptor::{ColumnType, OutputColumn};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::Table;
use tidemark_engine::ports::Sink as _;
use tidemark_query::catalogue::MetricTables;

fn column(name: &str, kind: ColumnType) -> OutputColumn {
    OutputColumn { name: name.to_owned(), kind, nullable: true }
}

fn texts(value: &str, rows: usize) -> ArrayRef {
    Arc::new(StringArray::from(vec![value; rows]))
}

/// Rows of a metric at these times, with the common columns filled in.
fn metric_rows(table: &Table, times: &[i64], own: Vec<ArrayRef>) -> RecordBatch {
    let rows = times.len();
    let moments = |values: Vec<i64>| Arc::new(TimestampMillisecondArray::from(values).with_timezone("UTC")) as ArrayRef;
    let keys: Vec<String> = (0..rows).map(|row| format!("key-{row}")).collect();
    let mut columns = vec![
        Arc::new(StringArray::from(keys)) as ArrayRef,
        moments(times.to_vec()),
        moments(times.iter().map(|time| time + 1).collect()),
        moments(times.to_vec()),
        texts("module", rows),
        texts("1.0.0", rows),
        texts("abc", rows),
        texts("def", rows),
        Arc::new(UInt64Array::from(vec![1; rows])),
        texts("id", rows),
    ];
    columns.extend(own);
    RecordBatch::try_new(table.schema.clone(), columns).expect("the columns fit the table")
}

/// A data folder with two metrics, one of which got a column in its second version.
fn data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("output");
    let mut sink =
        ParquetSink::open(&output, ParquetSettings::default(), Arc::new(|_| ())).expect("a new folder is writable");
    sink.recover(Epoch(0), None).expect("nothing to recover");
    let first = Table::metric("prompt-to-first-frame", &[column("latency_ms", ColumnType::Integer)]);
    let latencies: ArrayRef = Arc::new(Int64Array::from(vec![Some(2_655), None]));
    let rows = metric_rows(&first, &[1_767_908_945_298, 1_767_908_945_299], vec![latencies]);
    write(&mut sink, 1, &first, &rows);
    let columns = [column("latency_ms", ColumnType::Integer), column("matched", ColumnType::Boolean)];
    let second = Table::metric("prompt-to-first-frame", &columns);
    let own: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![7])), Arc::new(BooleanArray::from(vec![true]))];
    write(&mut sink, 2, &second, &metric_rows(&second, &[1_767_994_945_298], own));
    let other = Table::metric("other", &[column("label", ColumnType::Text)]);
    write(&mut sink, 3, &other, &metric_rows(&other, &[0], vec![texts("a \"quoted\", text", 1)]));
    folder
}

fn write(sink: &mut ParquetSink, epoch: u64, table: &Arc<Table>, rows: &RecordBatch) {
    sink.write(table, rows).expect("written");
    let handle = sink.prepare(Epoch(epoch)).expect("prepared");
    sink.finalise(Epoch(epoch), &handle).expect("finalised");
}

fn sql(data: &Path, format: &str, query: &str) -> Run {
    tidemark(&["sql", "--data", text(data), "--format", format, query])
}

#[test]
fn a_metric_is_a_view_whose_columns_grow() {
    let data = data();
    let query = "SELECT key, latency_ms, matched, event_time FROM prompt_to_first_frame ORDER BY event_time";
    let run = sql(data.path(), "json", query).fine();
    let rows: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    let expected = serde_json::json!([
        { "key": "key-0", "latency_ms": 2655, "matched": null, "event_time": "2026-01-08T21:49:05.298Z" },
        { "key": "key-1", "latency_ms": null, "matched": null, "event_time": "2026-01-08T21:49:05.299Z" },
        { "key": "key-0", "latency_ms": 7, "matched": true, "event_time": "2026-01-09T21:42:25.298Z" },
    ]);
    assert_eq!(rows, expected);
}

#[test]
fn metrics_has_the_rows_of_all() {
    let data = data();
    let run = sql(data.path(), "csv", "SELECT metric, key, row FROM metrics ORDER BY metric, event_time").fine();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "metric,key,row",
            r#"other,key-0,"{""label"":""a \""quoted\"", text""}""#,
            r#"prompt-to-first-frame,key-0,"{""latency_ms"":2655,""matched"":null}""#,
            r#"prompt-to-first-frame,key-1,"{""latency_ms"":null,""matched"":null}""#,
            r#"prompt-to-first-frame,key-0,"{""latency_ms"":7,""matched"":true}""#,
        ]
    );
    let counted = sql(data.path(), "json", "SELECT metric, count(*) AS rows FROM metrics GROUP BY 1 ORDER BY 1").fine();
    let expected =
        serde_json::json!([{ "metric": "other", "rows": 1 }, { "metric": "prompt-to-first-frame", "rows": 3 }]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&counted.stdout).expect("JSON"), expected);
}

#[test]
fn people_get_a_table() {
    let data = data();
    let run = sql(data.path(), "table", "SELECT key, latency_ms FROM prompt_to_first_frame ORDER BY event_time").fine();
    assert!(run.stdout.contains("latency_ms") && run.stdout.contains("2655"), "{}", run.stdout);
    assert!(run.stdout.trim_end().ends_with("3 rows"), "{}", run.stdout);
}

#[test]
fn nothing_can_be_changed() {
    let data = data();
    let target = data.path().join("copy.parquet");
    let copy = format!("COPY (SELECT 1) TO '{}'", target.display());
    let attempts = [
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "DROP TABLE events",
        "INSERT INTO other SELECT * FROM other",
        "DELETE FROM events",
        "UPDATE other SET label = ''",
        "SET datafusion.execution.batch_size = 1",
        copy.as_str(),
        "SELECT 1; DROP TABLE events",
        "SELECT * FROM '/etc/passwd'",
        "EXPLAIN ANALYZE INSERT INTO other SELECT * FROM other",
    ];
    for attempt in attempts {
        let run = sql(data.path(), "json", attempt);
        assert_eq!(run.code, Some(2), "{attempt}: {run:#?}");
        assert!(run.stdout.is_empty(), "{attempt}: {run:#?}");
    }
    assert!(!target.exists());
    sql(data.path(), "json", "SELECT count(*) FROM other").fine();
}

#[test]
fn an_empty_folder_has_empty_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    MetricTables::add(folder.path(), [("a-metric".to_owned(), vec![column("value", ColumnType::Float)])])
        .expect("kept");
    for (table, column) in [("events", "raw"), ("dead_letters", "reason"), ("metrics", "row"), ("a_metric", "value")] {
        let run = sql(folder.path(), "csv", &format!("SELECT {column} FROM {table}")).fine();
        assert_eq!(run.stdout, format!("{column}\n"));
    }
    let json = sql(folder.path(), "json", "SELECT key, value FROM a_metric").fine();
    assert_eq!(json.stdout, "[]\n");
}

#[test]
fn what_is_not_there_is_told() {
    let data = data();
    let run = sql(data.path(), "json", "SELECT * FROM jitter");
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("prompt_to_first_frame") && run.stderr.contains("dead_letters"), "{run:#?}");
    let nowhere = sql(&data.path().join("nowhere"), "json", "SELECT 1");
    assert_eq!(nowhere.code, Some(2));
    assert!(nowhere.stderr.contains("tidemark run"), "{nowhere:#?}");
}

#[test]
fn tables_can_be_listed() {
    let data = data();
    let run =
        sql(data.path(), "csv", "SELECT table_name FROM information_schema.tables WHERE table_schema = 'data'").fine();
    let mut names: Vec<&str> = run.stdout.lines().skip(1).collect();
    names.sort_unstable();
    assert_eq!(names, ["dead_letters", "events", "metrics", "other", "prompt_to_first_frame"]);
}
