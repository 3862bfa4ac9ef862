//! Writes ten million rows of one metric as a job would, epoch by epoch through the Parquet sink, for
//! `cargo xtask bench latest`: `ten_million_rows FOLDER`.

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array,
};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use tidemark_connectors::sink::parquet::{ParquetSettings, ParquetSink, Selection, visible_files};
use tidemark_engine::descriptor::{ColumnType, OutputColumn};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::Table;
use tidemark_engine::ports::Sink;
use tidemark_query::catalogue::MetricTables;

const METRIC: &str = "jitter-coefficient";
const KEYS: i64 = 50_000;
const WINDOWS: i64 = 200;
const BATCH: i64 = 10_000;

/// 2026-01-08T20:00:00Z: the windows lie on two days.
const START: i64 = 1_767_902_400_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("name a folder")?;
    let folder = Path::new(&folder);
    let output = folder.join("output");
    let column = |name: &str, kind| OutputColumn { name: name.to_owned(), kind, nullable: true };
    let own = vec![
        column("samples", ColumnType::Integer),
        column("mean_fps", ColumnType::Float),
        column("jitter", ColumnType::Float),
        column("pipeline", ColumnType::Text),
    ];
    let table = Table::metric(METRIC, &own);
    let mut sink = ParquetSink::open(&output, ParquetSettings::default(), Arc::new(|_| {}))?;
    sink.recover(Epoch(0), None)?;
    for window in 0..WINDOWS {
        let epoch = Epoch(window as u64 + 1);
        for first in (0..KEYS).step_by(BATCH as usize) {
            sink.write(&table, &rows(&table, window, first..first + BATCH, epoch)?)?;
        }
        let handle = sink.prepare(epoch)?;
        sink.finalise(epoch, &handle)?;
    }
    drop(sink);
    MetricTables::add(folder, [(METRIC.to_owned(), own)])?;
    let files = visible_files(&output, Selection::Metric(METRIC))?.len();
    std::fs::write(folder.join("complete"), format!("{files}\n"))?;
    Ok(())
}

/// The rows that some keys have of a window.
fn rows(table: &Table, window: i64, keys: std::ops::Range<i64>, epoch: Epoch) -> Result<RecordBatch, Box<dyn Error>> {
    let count = (keys.end - keys.start) as usize;
    let start = START + window * 60_000;
    let moments =
        |ms: i64| -> ArrayRef { Arc::new(TimestampMillisecondArray::from(vec![ms; count]).with_timezone("UTC")) };
    let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; count])) };
    // As hard to compress as a hash, and as unique.
    let id = |key: i64| {
        let mixed = (key as u128 * WINDOWS as u128 + window as u128 + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        format!("{mixed:032x}")
    };
    let rate = |key: i64| 20.0 + ((key * 31 + window * 17) % 1_000) as f64 / 100.0;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(keys.clone().map(|key| Some(format!("stream-{key:05}"))).collect::<StringArray>()),
        moments(start),
        moments(start + 60_000),
        moments(start + 59_999),
        same(METRIC),
        same("0.1.0"),
        same(&"a".repeat(64)),
        same(&"b".repeat(64)),
        Arc::new(UInt64Array::from(vec![epoch.0; count])),
        Arc::new(keys.clone().map(|key| Some(id(key))).collect::<StringArray>()),
        Arc::new(Int64Array::from(vec![60; count])),
        Arc::new(keys.clone().map(|key| Some(rate(key))).collect::<Float64Array>()),
        Arc::new(keys.map(|key| Some(rate(key) / 1_000.0)).collect::<Float64Array>()),
        same("live-video-to-video"),
    ];
    Ok(RecordBatch::try_new(table.schema.clone(), columns)?)
}
