//! What an event costs a statement, beside the sandbox: the jitter of one column of frame rates.
//!
//! `cargo xtask bench sql`
//!
//! Shapes are groups × rows of each group; one call carries them all. Times are the medians of short alternating rounds,
//! in nanoseconds a row. `statement` and `module` fold the same column, a Welford update; `jitter-coefficient` is the
//! shipped metric, which reads two columns of text besides.

use arrow_array::{ArrayRef, Float64Array, StringArray};
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemark_engine::descriptor::{ColumnType, InputColumn};
use tidemark_engine::guest::{Groups, Guest, GuestBatch, GuestFactory};
use tidemark_sql_metric::{Definition, SqlMetric, Surroundings};
use tidemark_wasm_host::{Host, HostSettings, Limits};

const JITTER: &str = "SELECT STDDEV_POP(data.inference_status.fps) / AVG(data.inference_status.fps) AS jitter FROM events \
                      GROUP BY data.stream_id, TUMBLE(event_time, INTERVAL '1' MINUTE)";
const SHAPES: [(usize, usize); 6] = [(16, 1), (256, 1), (4_096, 1), (16, 16), (256, 16), (4_096, 16)];
const ROUNDS: usize = 301;
const ROUND: Duration = Duration::from_micros(500);

fn main() -> Result<(), Box<dyn Error>> {
    let host = Host::new(HostSettings::default())?;
    let mut guests =
        [statement()?, module(&host, "evil", r#"{ "attack": "none" }"#)?, module(&host, "jitter-coefficient", "{}")?];
    println!(
        "{:>14} {:>10} {:>10} {:>6} {:>20}",
        "groups × rows", "statement", "module", "ratio", "jitter-coefficient"
    );
    for (groups, rows) in SHAPES {
        let batches = guests.each_ref().map(|(inputs, _)| batch(inputs, groups, rows));
        let mut times: [Vec<f64>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for (place, (_, guest)) in guests.iter_mut().enumerate() {
                times[place].push(round(&mut **guest, &batches[place])?);
            }
        }
        let [statement, module, shipped] = times.map(median);
        let (shape, ratio) = (format!("{groups} × {rows}"), statement / module);
        println!("{shape:>14} {statement:>10.2} {module:>10.2} {ratio:>6.2} {shipped:>20.2}");
    }
    Ok(())
}

type Instance = (Vec<InputColumn>, Box<dyn Guest>);

fn statement() -> Result<Instance, Box<dyn Error>> {
    let definition = Definition { name: "jitter".to_owned(), sql: JITTER.to_owned(), ..Definition::default() };
    let metric = SqlMetric::plan(&definition, &Surroundings::default())
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    Ok((metric.descriptor().inputs.clone(), metric.factory().instantiate()?))
}

fn module(host: &Host, name: &str, config: &str) -> Result<Instance, Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../target/metrics/{name}.wasm"));
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}: cargo xtask metrics", path.display()))?;
    let module = host.load(&bytes)?;
    let guest = module.factory(config, Limits::default())?.instantiate()?;
    Ok((module.descriptor().inputs.clone(), guest))
}

/// Nanoseconds a row, of one round.
fn round(guest: &mut dyn Guest, batch: &GuestBatch) -> Result<f64, Box<dyn Error>> {
    let rows = batch.event_times.len();
    // Asking for the time must not count where a call is short.
    let repeats = (4_096 / rows).clamp(1, 16);
    let (started, mut calls) = (Instant::now(), 0);
    while started.elapsed() < ROUND {
        for _ in 0..repeats {
            black_box(guest.update(black_box(batch))?);
        }
        calls += repeats;
    }
    Ok(started.elapsed().as_nanos() as f64 / calls as f64 / rows as f64)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn batch(inputs: &[InputColumn], groups: usize, rows: usize) -> GuestBatch {
    let mut all = Groups::default();
    for group in 0..groups {
        all.keys.push(format!("stream-{group:06}").as_bytes());
        all.window_starts.push(0);
        all.window_ends.push(60_000);
        all.times.push(59_999);
        all.row_ends.push(((group + 1) * rows) as u32);
        all.states.push(&[]);
    }
    let rows = groups * rows;
    let columns = inputs.iter().map(|input| -> ArrayRef {
        if input.kind == ColumnType::Float {
            Arc::new(Float64Array::from_iter_values((0..rows).map(|row| 30.0 + (row % 7) as f64)))
        } else {
            Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("text-{}", row % 100))))
        }
    });
    GuestBatch { columns: columns.collect(), event_times: (0..rows as i64).collect(), groups: all }
}
