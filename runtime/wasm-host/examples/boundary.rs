//! What crossing the boundary costs: a Welford update on one column, in the sandbox and as native code, side by side.
//!
//! `cargo xtask metrics && cargo run --release -p tidemark-wasm-host --example boundary [MODULE.wasm ...]`
//!
//! Shapes are groups × rows of each group; one call carries them all. Times are the medians of alternating rounds, in
//! nanoseconds a row. Further modules are measured with made-up values for the columns they declare.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use evil::Welford;
use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemark_engine::descriptor::{ColumnType, InputColumn};
use tidemark_engine::guest::{Folded, Groups, Guest, GuestBatch, GuestFactory, VarBytes};
use tidemark_wasm_host::{Host, HostSettings, Limits};

const SHAPES: [(usize, usize); 8] =
    [(1, 1), (16, 1), (256, 1), (4_096, 1), (16, 16), (256, 16), (4_096, 16), (16, 1_024)];
const ROUNDS: usize = 21;
const ROUND: Duration = Duration::from_millis(10);

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/metrics");
    let host = Host::new(HostSettings::default())?;
    let mut welford = instance(&host, &folder.join("evil.wasm"), r#"{ "attack": "none" }"#)?.1;
    println!("{:>14} {:>12} {:>12} {:>8}", "groups × rows", "native", "sandbox", "ratio");
    let value = InputColumn { name: "value".into(), path: String::new(), kind: ColumnType::Float, side: None };
    for (groups, rows) in SHAPES {
        let batch = batch(&[value.clone()], groups, rows);
        let fold = |guest: &mut dyn Guest, batch: &GuestBatch| guest.update(batch).map(drop).map_err(|e| e.to_string());
        let (mut native, mut sandboxed) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            native.push(round(groups * rows, || Ok(drop(black_box(native_update(black_box(&batch))))))?);
            sandboxed.push(round(groups * rows, || fold(&mut *welford, black_box(&batch)))?);
        }
        let (native, sandboxed) = (median(native), median(sandboxed));
        println!("{:>14} {native:>12.2} {sandboxed:>12.2} {:>8.2}", format!("{groups} × {rows}"), sandboxed / native);
    }
    for path in std::env::args().skip(1).map(PathBuf::from) {
        let (inputs, mut guest) = instance(&host, &path, "{}")?;
        println!("\n{}", path.display());
        for (groups, rows) in SHAPES {
            let batch = batch(&inputs, groups, rows);
            let mut times = Vec::new();
            for _ in 0..ROUNDS {
                times.push(round(groups * rows, || {
                    guest.update(black_box(&batch)).map(drop).map_err(|e| e.to_string())
                })?);
            }
            println!("{:>14} {:>12} {:>12.2}", format!("{groups} × {rows}"), "", median(times));
        }
    }
    Ok(())
}

type Instance = (Vec<InputColumn>, Box<dyn Guest>);

fn instance(host: &Host, path: &Path, config: &str) -> Result<Instance, Box<dyn Error>> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}: cargo xtask metrics", path.display()))?;
    let module = host.load(&bytes)?;
    let guest = module.factory(config, Limits::default())?.instantiate()?;
    Ok((module.descriptor().inputs.clone(), guest))
}

/// Nanoseconds a row, of one round.
fn round(rows: usize, mut work: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    let started = Instant::now();
    let mut calls = 0_u32;
    while started.elapsed() < ROUND {
        // Asking for the time must not count where a call is short.
        for _ in 0..16 {
            work()?;
        }
        calls += 16;
    }
    Ok(started.elapsed().as_nanos() as f64 / f64::from(calls) / rows as f64)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// What the module does, with the same arguments and the same result, in native code.
fn native_update(batch: &GuestBatch) -> Folded {
    let values = batch.columns[0].as_primitive::<Float64Type>().values();
    let mut states = VarBytes::default();
    let mut row = 0;
    for (group, &end) in batch.groups.row_ends.iter().enumerate() {
        let mut state = Welford::from_bytes(batch.groups.states.get(group));
        values[row..end as usize].iter().for_each(|&value| state.add(value));
        row = end as usize;
        states.push(&state.to_bytes());
    }
    Folded { states, ..Folded::default() }
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
    let columns = inputs.iter().map(|input| column(input.kind, rows)).collect();
    GuestBatch { columns, event_times: (0..rows as i64).collect(), groups: all }
}

fn column(kind: ColumnType, rows: usize) -> ArrayRef {
    match kind {
        ColumnType::Boolean => Arc::new((0..rows).map(|row| Some(row % 2 == 0)).collect::<BooleanArray>()),
        ColumnType::Integer => Arc::new(Int64Array::from_iter_values(0..rows as i64)),
        ColumnType::Float => Arc::new(Float64Array::from_iter_values((0..rows).map(|row| 30.0 + (row % 7) as f64))),
        ColumnType::Text => Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("text-{}", row % 100)))),
        ColumnType::Json => Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("[{row}]")))),
    }
}
