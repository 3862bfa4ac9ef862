//! The `tidemark` program: configuration, wiring, command line and HTTP.
//!
//! Everything that decides about rows lives in other crates; here they are put together, and only here.

pub mod catalogue;
pub mod cli;
pub mod cluster;
pub mod client;
pub mod command;
pub mod config;
pub mod control;
pub mod describe;
pub mod exit;
pub mod fairness;
mod folder;
pub mod http;
pub mod kill;
pub mod lineage;
pub mod live;
pub mod log;
pub mod memory;
pub mod modules;
pub mod operate;
pub mod past;
pub mod progress;
pub mod row_store;
pub mod savepoint;
pub mod shadow;
pub mod signals;
pub mod telemetry;
pub mod trial;
pub mod verify;
pub mod wiring;
