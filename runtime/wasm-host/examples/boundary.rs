//! What crossing the boundary costs: a Welford update on one column, in the sandbox and as native code, side by side.
//!
//! `cargo xtask metrics && cargo run --release -p tidemark-wasm-host --example boundary [MODULE.wasm ...]`
//!
//! Shapes are groups × rows of each group; one call carries them all. Times are the medians of short alternating rounds,
//! in nanoseconds a row: `plain` is the sandbox without canonical NaNs. Further modules are measured with made-up values
//! for the columns they declare.

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
const ROUNDS: usize = 301;
/// Short enough that most rounds are not interrupted on a busy machine.
const ROUND: Duration = Duration::from_micros(500);

fn main() -> Result<(), Box<dyn Error>> {
    let evil = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/metrics/evil.wasm");
    let honest = r#"{ "attack": "none" }"#;
    let host = Host::new(HostSettings::default())?;
    let plain = Host::new(HostSettings { canonical_nans: false, ..HostSettings::default() })?;
    let (inputs, mut sandbox) = instance(&host, &evil, honest)?;
    let (_, mut plain) = instance(&plain, &evil, honest)?;
    println!("{:>14} {:>9} {:>9} {:>6} {:>9} {:>6}", "groups × rows", "native", "sandbox", "ratio", "plain", "ratio");
    for (groups, rows) in SHAPES {
        let batch = batch(&inputs, groups, rows);
        let mut times: [Vec<f64>; 3] = Default::default();
        for _ in 0..ROUNDS {
            times[0].push(round(&batch, native)?);
            times[1].push(round(&batch, |batch| update(&mut *sandbox, batch))?);
            times[2].push(round(&batch, |batch| update(&mut *plain, batch))?);
        }
        let [unboxed, sandbox, plain] = times.map(median);
        let (shape, ratios) = (format!("{groups} × {rows}"), [sandbox / unboxed, plain / unboxed]);
        println!("{shape:>14} {unboxed:>9.2} {sandbox:>9.2} {:>6.2} {plain:>9.2} {:>6.2}", ratios[0], ratios[1]);
    }
    for path in std::env::args().skip(1).map(PathBuf::from) {
        let (inputs, mut guest) = instance(&host, &path, "{}")?;
        println!("\n{}", path.display());
        for (groups, rows) in SHAPES {
            let batch = batch(&inputs, groups, rows);
            let times: Result<Vec<f64>, String> =
                (0..ROUNDS).map(|_| round(&batch, |batch| update(&mut *guest, batch))).collect();
            println!("{:>14} {:>9} {:>9.2}", format!("{groups} × {rows}"), "", median(times?));
        }
    }
    Ok(())
}

fn native(batch: &GuestBatch) -> Result<(), String> {
    black_box(native_update(batch));
    Ok(())
}

fn update(guest: &mut dyn Guest, batch: &GuestBatch) -> Result<(), String> {
    guest.update(batch).map(drop).map_err(|error| error.to_string())
}

type Instance = (Vec<InputColumn>, Box<dyn Guest>);

fn instance(host: &Host, path: &Path, config: &str) -> Result<Instance, Box<dyn Error>> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}: cargo xtask metrics", path.display()))?;
    let module = host.load(&bytes)?;
    let guest = module.factory(config, Limits::default())?.instantiate()?;
    Ok((module.descriptor().inputs.clone(), guest))
}

/// Nanoseconds a row, of one round.
fn round(batch: &GuestBatch, mut work: impl FnMut(&GuestBatch) -> Result<(), String>) -> Result<f64, String> {
    let rows = batch.event_times.len();
    // Asking for the time must not count where a call is short.
    let repeats = (4_096 / rows).clamp(1, 16);
    let started = Instant::now();
    let mut calls = 0;
    while started.elapsed() < ROUND {
        for _ in 0..repeats {
            work(black_box(batch))?;
        }
        calls += repeats;
    }
    Ok(started.elapsed().as_nanos() as f64 / calls as f64 / rows as f64)
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
        state.fold(&values[row..end as usize]);
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
