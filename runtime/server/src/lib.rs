//! The `tidemark` program: configuration, wiring, command line and HTTP.
//!
//! Everything that decides about rows lives in other crates; here they are put together, and only here.

pub mod catalogue;
pub mod cli;
pub mod command;
pub mod config;
pub mod describe;
pub mod exit;
pub mod http;
pub mod kill;
pub mod lineage;
pub mod live;
pub mod log;
pub mod memory;
pub mod progress;
pub mod row_store;
pub mod signals;
pub mod telemetry;
pub mod trial;
pub mod wiring;
