//! How fast rows reach ClickHouse, beside the fastest that the engine itself can take them.
//!
//! The same blocks go twice into tables of the same shape, with the same roll-ups behind them: through the sink, over
//! HTTP, from rows in memory to the acknowledgement; and by the engine alone, from the very files of the outbox. Turn
//! about, block by block, so that both meet the same machine.
//!
//!     cargo run --release --package tidemark-connectors --example clickhouse_throughput [BLOCKS]

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array,
};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use test_clickhouse::{Engine, Server, scratch};
use tidemark_connectors::fail_point;
use tidemark_connectors::sink::clickhouse::{ClickHouseSettings, ClickHouseSink};
use tidemark_engine::descriptor::{ColumnType, OutputColumn};
use tidemark_engine::ids::Epoch;
use tidemark_engine::output::Table;
use tidemark_engine::ports::Sink;

/// Rows of a block: one epoch of the sink's.
const BLOCK_ROWS: u64 = 500_000;
/// Rows of a batch, as the engine hands them over.
const BATCH_ROWS: u64 = 16_384;
/// Streams that rows are about.
const KEYS: u64 = 2_000;

fn main() -> Result<(), Box<dyn Error>> {
    let blocks: u64 = std::env::args().nth(1).map_or(Ok(8), |blocks| blocks.parse())?;
    let data = scratch("clickhouse-throughput");
    let engine = Engine::start(&data.join("engine"), 0);
    let server = engine.server();
    println!("rows of {BLOCK_ROWS} a block, {KEYS} keys; rows/s");
    println!("{:>6} {:>12} {:>12} {:>12} {:>6}", "block", "sink", "its insert", "engine", "ratio");
    for roll_ups in [true, false] {
        println!("{} roll-ups", if roll_ups { "with" } else { "without" });
        let table = table();
        let mut sink = open(&server, &data, "sink", roll_ups, &table)?;
        drop(open(&server, &data, "engine", roll_ups, &table)?);
        let (mut through_sink, mut by_engine) = (Vec::new(), Vec::new());
        for epoch in 1..=blocks {
            let rows: Vec<RecordBatch> = batches(&table, epoch);
            let started = Instant::now();
            for rows in &rows {
                sink.write(&table, rows)?;
            }
            let handle = sink.prepare(Epoch(epoch))?;
            let prepared = started.elapsed();
            let block = keep(&data, epoch)?;
            let started = Instant::now();
            sink.finalise(Epoch(epoch), &handle)?;
            let inserted = started.elapsed();
            let started = Instant::now();
            let database = database("engine", roll_ups);
            let file = block.display();
            let insert =
                format!("INSERT INTO measured SELECT * FROM file('{file}', 'ArrowStream') SETTINGS async_insert = 0");
            server.query(&database, &insert);
            let alone = started.elapsed();
            std::fs::remove_file(block)?;
            let whole = prepared + inserted;
            // The first block pays for tables and caches.
            if epoch > 1 {
                through_sink.push(whole);
                by_engine.push(alone);
            }
            let ratio = alone.as_secs_f64() / whole.as_secs_f64();
            println!("{epoch:>6} {:>12.0} {:>12.0} {:>12.0} {ratio:>6.2}", rate(whole), rate(inserted), rate(alone));
        }
        for name in ["sink", "engine"] {
            let count = server.query(&database(name, roll_ups), "SELECT count() FROM measured");
            assert_eq!(count, (blocks * BLOCK_ROWS).to_string(), "rows of {name}");
        }
        let (sink, engine) = (median(&mut through_sink), median(&mut by_engine));
        let ratio = engine.as_secs_f64() / sink.as_secs_f64();
        println!("median {:>12.0} {:>25.0} {ratio:>6.2}", rate(sink), rate(engine));
    }
    drop(engine);
    std::fs::remove_dir_all(&data)?;
    Ok(())
}

fn table() -> Arc<Table> {
    let column = |name: &str, kind| OutputColumn { name: name.to_owned(), kind, nullable: true };
    Table::metric("measured", &[column("value", ColumnType::Float), column("samples", ColumnType::Integer)])
}

fn database(name: &str, roll_ups: bool) -> String {
    format!("{name}_{}", if roll_ups { "rolled_up" } else { "plain" })
}

/// A sink whose tables are made.
fn open(
    server: &Server,
    data: &Path,
    name: &str,
    roll_ups: bool,
    table: &Arc<Table>,
) -> Result<ClickHouseSink, Box<dyn Error>> {
    let password_file = data.join("password");
    std::fs::write(&password_file, &server.password)?;
    let mut settings = ClickHouseSettings {
        url: server.url.clone(),
        user: server.user.clone(),
        password_file: Some(password_file),
        database: database(name, roll_ups),
        ttl_days: 0,
        ..ClickHouseSettings::default()
    };
    settings.roll_ups.enabled = roll_ups;
    let outbox = data.join("outbox");
    let outbox = if name == "sink" { outbox } else { data.join("unused") };
    let mut sink = ClickHouseSink::open(settings, "job", &outbox, std::slice::from_ref(table), fail_point::disabled())?;
    sink.recover(Epoch(0), None)?;
    Ok(sink)
}

/// A second name for the block of `epoch`, which the sink removes when it is acknowledged.
fn keep(data: &Path, epoch: u64) -> Result<PathBuf, Box<dyn Error>> {
    let kept = data.join("block.arrow");
    std::fs::hard_link(data.join(format!("outbox/e{epoch:012}/000000.arrow")), &kept)?;
    Ok(kept)
}

fn batches(table: &Table, epoch: u64) -> Vec<RecordBatch> {
    let starts = (0..BLOCK_ROWS).step_by(BATCH_ROWS as usize);
    starts.map(|start| batch(table, epoch, start..BLOCK_ROWS.min(start + BATCH_ROWS))).collect()
}

fn batch(table: &Table, epoch: u64, rows: std::ops::Range<u64>) -> RecordBatch {
    let scattered = |row: u64| (row + epoch * BLOCK_ROWS).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
    let texts = |text: &dyn Fn(u64) -> String| -> ArrayRef {
        Arc::new(rows.clone().map(|row| Some(text(row))).collect::<StringArray>())
    };
    let times = |shift: i64| -> ArrayRef {
        let time = |row: u64| 1_767_900_000_000 + shift + (epoch * 60_000 + scattered(row) % 60_000) as i64;
        Arc::new(TimestampMillisecondArray::from_iter_values(rows.clone().map(time)).with_timezone("UTC"))
    };
    let columns: Vec<ArrayRef> = vec![
        texts(&|row| format!("stream-{:06}", scattered(row) % KEYS)),
        times(-999),
        times(1),
        times(0),
        texts(&|_| "measured".to_owned()),
        texts(&|_| "1.0.0".to_owned()),
        texts(&|_| "8d969eef6ecad3c2".to_owned()),
        texts(&|_| "3b2c1a0f99887766".to_owned()),
        Arc::new(UInt64Array::from_iter_values(rows.clone().map(|_| epoch))),
        texts(&|row| format!("{:016x}{:016x}", scattered(row), row + epoch * BLOCK_ROWS)),
        Arc::new(Float64Array::from_iter(rows.clone().map(|row| Some((scattered(row) % 100_000) as f64 / 7.0)))),
        Arc::new(Int64Array::from_iter(rows.clone().map(|row| Some((scattered(row) % 97) as i64)))),
    ];
    RecordBatch::try_new(table.schema.clone(), columns).expect("columns as the table has them")
}

fn rate(took: Duration) -> f64 {
    BLOCK_ROWS as f64 / took.as_secs_f64()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
