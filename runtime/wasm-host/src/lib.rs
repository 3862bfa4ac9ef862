//! The sandbox: loads, limits and calls metric components. The only crate that knows wasmtime.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tidemark_engine::guest::GuestFactory;
//! use tidemark_wasm_host::{Host, HostSettings, Limits};
//!
//! let host = Host::new(HostSettings::default())?;
//! let module = host.load(&std::fs::read("jitter-coefficient.wasm")?)?;
//! let factory = module.factory("{}", Limits::default())?;
//! let guest = factory.instantiate()?;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing that a module does reaches further than its own group's rows: a trap, an endless loop, a memory bomb or a
//! malformed answer costs the group that caused it and nobody else ([`isolate`]). Everything that comes back from a
//! module passes [`lift`], the one place where it is bounded and checked.
//!
//! Modules stand in the order in which data meets them.

mod limits;

mod admission;
mod cache;
mod canonical_nan;
mod check;
mod composition;
mod engine;
mod host;
mod module;

mod abi;
mod failure;
mod instance;

mod guest;
mod isolate;
mod job;
mod lift;
mod lower;
mod meter;
mod telemetry;

pub mod contract;

pub use admission::LoadError;
pub use host::{Host, HostError};
pub use limits::{HostSettings, LimitExceeded, Limits};
pub use meter::FuelMeter;
pub use module::{FactoryError, Module, ModuleFactory};
pub use telemetry::{GuestTelemetry, TelemetrySnapshot};
