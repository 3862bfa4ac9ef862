//! The engine: a deterministic state machine that advances in ticks and commits in epochs.
//!
//! It knows the world only through [`ports`]; the real ports live in `tidemark-state`, `tidemark-wasm-host` and
//! `tidemark-connectors`, and [`memory`] has a set that needs neither disk nor wasmtime.
//!
//! Modules stand in the order in which data meets them.

pub mod ids;
pub mod descriptor;
pub mod metric;
pub mod deployment;
mod succession;
pub mod plan;
pub mod ports;
pub mod batch;
pub mod tick_log;
mod ingest;
mod drain;
mod dedup;
pub mod enrichment;
mod job;
mod stage;
pub mod state_key;
mod pane;
pub mod guest;
mod rows_as_events;
mod archive;
pub mod dead_letter;
pub mod output;
pub mod progress;
pub mod fail_point;
pub mod telemetry;
pub mod error;
mod engine;
pub mod inspect;
pub mod memory;

pub use dedup::DedupSettings;
pub use engine::retry::{Patience, retry};
pub use engine::{Engine, EngineParts, EngineSettings, Step};
pub use error::EngineError;
pub use ingest::TickLimits;
