//! The engine: a deterministic state machine that advances in ticks and commits in epochs.
//!
//! It knows the world only through [`ports`]; the real ports live in `tidemark-state`, `tidemark-wasm-host` and
//! `tidemark-connectors`, and `memory` has a set that needs neither disk nor wasmtime.
//!
//! Modules stand in the order in which data meets them.

pub mod batch;
pub mod dead_letter;
pub mod descriptor;
pub mod enrichment;
pub mod guest;
pub mod ids;
pub mod output;
pub mod plan;
pub mod ports;
