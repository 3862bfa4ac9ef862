//! The evil module, batches for it, and what honest work on them gives.

use arrow_array::{ArrayRef, Float64Array};
use evil::Welford;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tidemark_engine::guest::{Folded, Groups, Guest, GuestBatch, GuestFactory, VarBytes};
use tidemark_wasm_host::{Host, HostSettings, Limits, Module, ModuleFactory};

/// One sandbox for all tests, as in a process.
pub fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| {
        Host::new(HostSettings { instances: 64, ..HostSettings::default() }).expect("the settings are sound")
    })
}

pub fn evil_bytes() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/metrics/evil.wasm");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask metrics` first", path.display()))
}

pub fn evil() -> &'static Module {
    static EVIL: OnceLock<Module> = OnceLock::new();
    EVIL.get_or_init(|| host().load(&evil_bytes()).expect("the evil module looks like any other"))
}

/// Limits that attacks reach soon.
pub fn tight() -> Limits {
    Limits { memory_bytes: 32 << 20, call_time_ms: 10, verdict_fuel: 100_000_000, ..Limits::default() }
}

/// Limits under which no clock plays a part, however busy the machine is.
pub fn patient() -> Limits {
    Limits { memory_bytes: 32 << 20, call_time_ms: 60_000, verdict_fuel: 1 << 40, ..Limits::default() }
}

pub fn factory(attack: &str, limits: Limits) -> Arc<ModuleFactory> {
    let config = format!(r#"{{ "attack": "{attack}" }}"#);
    evil().factory(&config, limits).unwrap_or_else(|error| panic!("{attack}: {error}"))
}

pub fn guest(attack: &str, limits: Limits) -> Box<dyn Guest> {
    factory(attack, limits).instantiate().expect("the factory has tried one out")
}

/// One value of each group and row: no two groups have the same.
pub fn value(group: usize, row: usize) -> Option<f64> {
    (!(group + row).is_multiple_of(5)).then(|| group as f64 * 1.25 + (row * row) as f64 / 7.0)
}

/// A batch with one group for each key, group `i` with `rows[i]` rows.
pub fn batch_of(keys: &[&str], rows: &[usize]) -> GuestBatch {
    let mut groups = Groups::default();
    let mut values = Vec::new();
    for (group, (key, &rows)) in keys.iter().zip(rows).enumerate() {
        values.extend((0..rows).map(|row| value(group, row)));
        groups.keys.push(key.as_bytes());
        groups.window_starts.push(0);
        groups.window_ends.push(60_000);
        groups.times.push(59_999);
        groups.row_ends.push(values.len() as u32);
        groups.states.push(&[]);
    }
    let event_times = (0..values.len() as i64).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(Float64Array::from(values))];
    GuestBatch { columns, event_times, groups }
}

pub fn batch(keys: &[&str]) -> GuestBatch {
    batch_of(keys, &vec![3; keys.len()])
}

/// The state of `group` after honest work on its `rows` rows.
pub fn honest_state(group: usize, rows: usize) -> [u8; 24] {
    let mut state = Welford::default();
    (0..rows).filter_map(|row| value(group, row)).for_each(|value| state.add(value));
    state.to_bytes()
}

/// The batch that ends the groups of `batch`, with honest states.
pub fn closing(batch: &GuestBatch) -> GuestBatch {
    let mut states = VarBytes::default();
    for group in 0..batch.groups.len() {
        states.push(&honest_state(group, batch.groups.rows(group).len()));
    }
    let groups = Groups { states, row_ends: vec![0; batch.groups.len()], ..batch.groups.clone() };
    GuestBatch { columns: vec![], event_times: vec![], groups }
}

/// Indices of the groups that failed.
pub fn failed(folded: &Folded) -> Vec<u32> {
    folded.failures.iter().map(|failure| failure.group).collect()
}
