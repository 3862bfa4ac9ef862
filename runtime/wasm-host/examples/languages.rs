//! What a language costs: the jitter coefficient as each SDK builds it, beside the same work in native code.
//!
//! `cargo xtask metrics && cargo run --release -p tidemark-wasm-host --example languages MODULE.wasm ...`
//!
//! A line for native code and one for each module: its name, bytes, milliseconds until it is admitted (mostly compiling),
//! microseconds to start an instance, and nanoseconds an event for each of the shapes, groups × rows of each group. Times
//! are medians; rounds of a module and of native code alternate.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array, StringArray};
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemark_engine::guest::{Folded, Groups, Guest, GuestBatch, GuestFactory, VarBytes};
use tidemark_wasm_host::{Host, HostSettings, Limits};

const SHAPES: [(usize, usize); 3] = [(256, 1), (256, 16), (16, 1_024)];
/// Rounds of a shape, as far as they fit into [`MOST`].
const ROUNDS: usize = 201;
const LEAST_ROUNDS: usize = 5;
const MOST: Duration = Duration::from_secs(4);
const STARTS: usize = 51;

fn main() -> Result<(), Box<dyn Error>> {
    let batches = SHAPES.map(|(groups, rows)| batch(groups, rows));
    println!("{:>28} {:>9} {:>9} {:>9} {}", "module", "bytes", "load ms", "start us", shapes());
    let native = batches.each_ref().map(|batch| rounds(batch, &mut |batch| Ok(native_update(batch)), None).map(median));
    print("native", 0, 0.0, 0.0, &flatten(native)?);
    for path in std::env::args().skip(1) {
        let bytes = std::fs::read(&path).map_err(|error| format!("{path}: {error}: cargo xtask metrics"))?;
        // No cache: compiling is part of what is measured.
        let host = Host::new(HostSettings { instances: 4, ..HostSettings::default() })?;
        let started = Instant::now();
        let module = host.load(&bytes)?;
        let load_ms = started.elapsed().as_secs_f64() * 1e3;
        let limits =
            Limits { memory_bytes: 512 << 20, call_time_ms: 60_000, verdict_fuel: 1 << 40, ..Limits::default() };
        let factory = module.factory("{}", limits)?;
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            let started = Instant::now();
            drop(black_box(factory.instantiate()?));
            starts.push(started.elapsed().as_secs_f64() * 1e6);
        }
        let mut guest = factory.instantiate()?;
        let times = batches.each_ref().map(|batch| measure(&mut *guest, batch));
        let name = Path::new(&path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        print(&name, bytes.len(), load_ms, median(starts), &flatten(times)?);
    }
    Ok(())
}

fn shapes() -> String {
    SHAPES.map(|(groups, rows)| format!("{:>12}", format!("{groups} × {rows}"))).concat()
}

fn flatten(times: [Result<f64, String>; SHAPES.len()]) -> Result<Vec<f64>, String> {
    times.into_iter().collect()
}

fn print(name: &str, bytes: usize, load_ms: f64, start_us: f64, times: &[f64]) {
    let times: String = times.iter().map(|time| format!("{time:>12.1}")).collect();
    println!("{name:>28} {bytes:>9} {load_ms:>9.0} {start_us:>9.0} {times}");
}

/// Nanoseconds an event of the module, whose states must be those of native code.
fn measure(guest: &mut dyn Guest, batch: &GuestBatch) -> Result<f64, String> {
    let folded = guest.update(batch).map_err(|error| error.to_string())?;
    if folded.states != native_update(batch).states {
        return Err("the module's states are not those of native code".to_owned());
    }
    let update = &mut |batch: &GuestBatch| guest.update(batch).map_err(|error| error.to_string());
    rounds(batch, update, Some(&|| drop(black_box(native_update(batch))))).map(median)
}

/// Nanoseconds an event of each round of `work`; `between` runs in between, so that both find the same machine.
fn rounds(
    batch: &GuestBatch,
    work: &mut dyn FnMut(&GuestBatch) -> Result<Folded, String>,
    between: Option<&dyn Fn()>,
) -> Result<Vec<f64>, String> {
    let (begun, rows) = (Instant::now(), batch.event_times.len());
    let mut times = Vec::new();
    while times.len() < ROUNDS && (begun.elapsed() < MOST || times.len() < LEAST_ROUNDS) {
        let started = Instant::now();
        let mut calls = 0_u32;
        while calls == 0 || started.elapsed() < Duration::from_micros(500) {
            black_box(work(black_box(batch))?);
            calls += 1;
        }
        times.push(started.elapsed().as_nanos() as f64 / f64::from(calls) / rows as f64);
        if let Some(between) = between {
            between();
        }
    }
    Ok(times)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn batch(groups: usize, rows: usize) -> GuestBatch {
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
    let text = |prefix: &'static str| {
        let texts = (0..rows).map(move |row| format!("{prefix}-{}", row % 100));
        Arc::new(StringArray::from_iter_values(texts)) as ArrayRef
    };
    let fps = Float64Array::from_iter_values((0..rows).map(|row| 16.0 + (row % 7) as f64 / 3.0));
    let columns: Vec<ArrayRef> = vec![Arc::new(fps), text("orchestrator"), text("pipeline")];
    GuestBatch { columns, event_times: (0..rows as i64).collect(), groups: all }
}

/// What `jitter-coefficient` does, with the same arguments and the same states, in native code.
fn native_update(batch: &GuestBatch) -> Folded {
    let fps = batch.columns[0].as_primitive::<Float64Type>().values();
    let (orchestrators, pipelines) = (batch.columns[1].as_string::<i32>(), batch.columns[2].as_string::<i32>());
    let mut states = VarBytes::default();
    for group in 0..batch.groups.len() {
        let (mut samples, mut zeros, mut mean, mut squares) = (0_u64, 0_u64, 0.0, 0.0);
        let (mut orchestrator, mut pipeline) = (None, None);
        for row in batch.groups.rows(group) {
            let time = batch.event_times[row];
            orchestrator = orchestrator.max(Some((time, orchestrators.value(row))));
            pipeline = pipeline.max(Some((time, pipelines.value(row))));
            samples += 1;
            zeros += u64::from(fps[row] == 0.0);
            let distance = fps[row] - mean;
            mean += distance / samples as f64;
            squares += distance * (fps[row] - mean);
        }
        let mut state = Vec::with_capacity(64);
        state.extend(samples.to_le_bytes());
        state.extend(zeros.to_le_bytes());
        state.extend(f64::to_le_bytes(mean));
        state.extend(f64::to_le_bytes(squares));
        for (time, text) in orchestrator.into_iter().chain(pipeline) {
            state.push(1);
            state.extend(i64::to_le_bytes(time));
            state.extend((text.len() as u32).to_le_bytes());
            state.extend(text.as_bytes());
        }
        states.push(&state);
    }
    Folded { states, ..Folded::default() }
}
