//! Tables that grow with their module, and refusals.

use super::driver::{Bench, is_there};
use crate::fail_point;
use crate::sink::clickhouse::ClickHouseSink;
use crate::sink::parquet::driver::metric_rows;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use std::sync::Arc;
use tidemark_engine::descriptor::{ColumnType, OutputColumn};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::{Table, common_fields};
use tidemark_engine::ports::{PortError, Sink};

fn table(columns: &[(&str, ColumnType, bool)]) -> Arc<Table> {
    let column = |(name, kind, nullable): &(&str, ColumnType, bool)| OutputColumn {
        name: (*name).to_owned(),
        kind: *kind,
        nullable: *nullable,
    };
    Table::metric("evolving", &columns.iter().map(column).collect::<Vec<_>>())
}

/// Five rows whose own columns hold the epoch.
fn rows(table: &Table, epoch: u64) -> RecordBatch {
    let plain = Table::metric(
        "evolving",
        &[OutputColumn { name: "value".to_owned(), kind: ColumnType::Float, nullable: true }],
    );
    let common = metric_rows(&plain, epoch, 5);
    let count = common_fields().len();
    let own = table.schema.fields()[count..].iter().map(|field| -> ArrayRef {
        match field.data_type() {
            arrow_schema::DataType::Float64 => Arc::new(Float64Array::from(vec![epoch as f64; 5])),
            arrow_schema::DataType::Int64 => Arc::new(Int64Array::from(vec![epoch as i64; 5])),
            _ => Arc::new(StringArray::from(vec![epoch.to_string(); 5])),
        }
    });
    let columns = common.columns()[..count].iter().cloned().chain(own).collect();
    RecordBatch::try_new(table.schema.clone(), columns).unwrap()
}

fn run(sink: &mut ClickHouseSink, table: &Arc<Table>, epoch: u64) -> Result<(), PortError> {
    sink.write(table, &rows(table, epoch))?;
    let handle = sink.prepare(Epoch(epoch))?;
    sink.finalise(Epoch(epoch), &handle)
}

#[test]
fn columns_come_and_go_and_nothing_is_lost() {
    if !is_there("migrations::columns_come_and_go_and_nothing_is_lost") {
        return;
    }
    let bench = Bench::new();
    let mut sink = bench.open(fail_point::disabled());
    sink.recover(Epoch(0), None).unwrap();
    let first = table(&[("a", ColumnType::Float, false), ("gone", ColumnType::Integer, false)]);
    let second = table(&[
        ("a", ColumnType::Float, true),
        ("added", ColumnType::Integer, false),
        ("note", ColumnType::Text, false),
    ]);
    run(&mut sink, &first, 1).unwrap();
    run(&mut sink, &second, 2).unwrap();
    run(&mut sink, &first, 3).unwrap();
    let rows = bench.query("SELECT DISTINCT epoch, a, gone, added, note FROM evolving ORDER BY epoch FORMAT CSV");
    assert_eq!(rows, "1,1,1,\\N,\\N\n2,2,\\N,2,\"2\"\n3,3,3,\\N,\\N");
    for step in ["5m", "1h"] {
        let query = format!("SELECT sum(rows), sum(a__sum), sum(gone__sum), sum(added__sum) FROM evolving__{step}");
        // The last shape decides what the view shows; the states have every column.
        let states = query.replace(&format!("evolving__{step}"), &format!("({})", merged(step)));
        assert_eq!(bench.query(&states), "15\t30\t20\t10", "{states}");
    }
}

/// Every column of the states, merged.
fn merged(step: &str) -> String {
    format!(
        "SELECT countMerge(rows) AS rows, sumMerge(a__sum) AS a__sum, sumMerge(gone__sum) AS gone__sum, \
         sumMerge(added__sum) AS added__sum FROM evolving__{step}_states"
    )
}

#[test]
fn another_type_is_refused_before_anything_is_committed() {
    if !is_there("migrations::another_type_is_refused_before_anything_is_committed") {
        return;
    }
    let bench = Bench::new();
    let mut sink = bench.open(fail_point::disabled());
    sink.recover(Epoch(0), None).unwrap();
    run(&mut sink, &table(&[("a", ColumnType::Float, false)]), 1).unwrap();
    let other = table(&[("a", ColumnType::Text, false)]);
    sink.write(&other, &rows(&other, 2)).unwrap();
    match sink.prepare(Epoch(2)) {
        Err(PortError::Stop(message)) => {
            assert!(message.contains("a is Float64 and would become String"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.query("SELECT count(), sum(a) FROM evolving"), "5\t5");
}

#[test]
fn a_table_that_somebody_else_made_is_left_alone() {
    if !is_there("migrations::a_table_that_somebody_else_made_is_left_alone") {
        return;
    }
    let bench = Bench::new();
    let mut sink = bench.open(fail_point::disabled());
    sink.recover(Epoch(0), None).unwrap();
    bench.query("CREATE TABLE evolving (key String) ENGINE = Log");
    let table = table(&[("a", ColumnType::Float, false)]);
    sink.write(&table, &rows(&table, 1)).unwrap();
    let message = sink.prepare(Epoch(1)).unwrap_err().to_string();
    assert!(message.contains("somebody else made it"), "{message}");
}

#[test]
fn retention_follows_the_settings() {
    if !is_there("migrations::retention_follows_the_settings") {
        return;
    }
    let mut bench = Bench::new();
    let table = table(&[("a", ColumnType::Float, false)]);
    for (days, expected) in [(0, false), (30, true), (60, true), (0, false)] {
        bench.settings.ttl_days = days;
        let tables = [table.clone()];
        let sink =
            ClickHouseSink::open(bench.settings.clone(), "job", &bench.outbox(), &tables, fail_point::disabled());
        sink.unwrap().recover(Epoch(0), None).unwrap();
        let created = bench.query("SHOW CREATE TABLE evolving");
        assert_eq!(created.contains("TTL"), expected, "{days}: {created}");
        assert_eq!(created.contains(&format!("toIntervalDay({days})")), expected, "{days}: {created}");
    }
}

#[test]
fn quantiles_that_change_are_refused_with_the_way_out() {
    if !is_there("migrations::quantiles_that_change_are_refused_with_the_way_out") {
        return;
    }
    let mut bench = Bench::new();
    let tables = [table(&[("a", ColumnType::Float, false)])];
    let open = |bench: &Bench| {
        ClickHouseSink::open(bench.settings.clone(), "job", &bench.outbox(), &tables, fail_point::disabled()).unwrap()
    };
    let mut sink = open(&bench);
    sink.recover(Epoch(0), None).unwrap();
    run(&mut sink, &tables[0], 1).unwrap();
    drop(sink);
    bench.settings.roll_ups.quantiles = vec![0.25];
    let handle = None;
    let message = open(&bench).recover(Epoch(1), handle).unwrap_err().to_string();
    assert!(message.contains("drop evolving__5m_states to have it made again"), "{message}");
    for step in ["5m", "1h"] {
        bench.query(&format!("DROP TABLE evolving__{step}_feed SYNC"));
        bench.query(&format!("DROP TABLE evolving__{step}_states SYNC"));
    }
    open(&bench).recover(Epoch(1), handle).unwrap();
    assert_eq!(bench.query("SELECT sum(rows) FROM evolving__1h"), "5");
}
