//! Wasmtime's settings, and the clock that ends calls.
//!
//! Two engines: `live` interrupts by wall clock, which is cheap; `verdict` counts fuel, which is the same on every
//! machine, and is used only to judge a single group that ran out of time ([`crate::isolate`]).

use crate::limits::HostSettings;
use std::thread;
use std::time::Duration;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// The resolution of time limits.
pub(crate) const TICK_MS: u64 = 10;

/// Core modules, tables and memories of one component: Python's links some forty modules around one memory, and
/// JavaScript's is composed of several components, each with a memory of its own that all but one leave empty.
const CORE_INSTANCES_PER_COMPONENT: u32 = 128;
const TABLES_PER_COMPONENT: u32 = 32;
const MEMORIES_PER_COMPONENT: u32 = 4;
/// Entries of a table. A Python component needs some 20,000.
pub(crate) const TABLE_ELEMENTS: usize = 65_536;

/// The two engines.
#[derive(Clone)]
pub(crate) struct Engines {
    /// For every call.
    pub(crate) live: Engine,
    /// For verdicts.
    pub(crate) verdict: Engine,
}

impl Engines {
    /// Both engines, and the ticker of the live one.
    pub(crate) fn new(settings: &HostSettings) -> wasmtime::Result<Self> {
        let mut live = deterministic(settings);
        live.epoch_interruption(true);
        live.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(settings)));
        let mut verdict = deterministic(settings);
        verdict.consume_fuel(true);
        let engines = Self { live: Engine::new(&live)?, verdict: Engine::new(&verdict)? };
        start_ticker(&engines.live)?;
        Ok(engines)
    }
}

/// What both engines share: everything that decides about results.
fn deterministic(settings: &HostSettings) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.concurrency_support(false);
    // `canonical_nan` does it better.
    config.cranelift_nan_canonicalization(false);
    config.wasm_relaxed_simd(false);
    config.relaxed_simd_deterministic(true);
    // Code that passes values between the parts of a composed component reads one memory and writes another.
    config.wasm_multi_memory(true);
    config.wasm_memory64(false);
    config.max_wasm_stack(settings.stack_bytes);
    config
}

fn pool(settings: &HostSettings) -> PoolingAllocationConfig {
    let instances = settings.instances;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances);
    pool.total_core_instances(instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT));
    pool.total_memories(instances.saturating_mul(MEMORIES_PER_COMPONENT));
    pool.total_tables(instances.saturating_mul(TABLES_PER_COMPONENT));
    pool.max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT);
    pool.max_memories_per_component(MEMORIES_PER_COMPONENT);
    pool.max_memories_per_module(MEMORIES_PER_COMPONENT);
    pool.max_tables_per_component(TABLES_PER_COMPONENT);
    pool.max_memory_size(settings.memory_bytes);
    pool.table_elements(TABLE_ELEMENTS);
    pool
}

/// Advances the engine's epoch every [`TICK_MS`]; ends with the engine.
fn start_ticker(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    let ticker = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(Duration::from_millis(TICK_MS));
        }
    };
    thread::Builder::new().name("wasm-ticker".into()).stack_size(64 << 10).spawn(ticker)?;
    Ok(())
}

/// The number of ticks after which `ms` have surely passed.
pub(crate) const fn ticks(ms: u64) -> u64 {
    ms.div_ceil(TICK_MS) + 1
}
