//! Ports without disk, network or wasmtime: what tests and simulation run the engine on.
//!
//! [`MemoryState`] and [`MemorySink`] are handles to something that outlives the engine, so that a test can drop an
//! engine in the middle of an epoch, as a crash does, and open another one on what is left.

mod catalogue;
mod history;
mod source;
mod state;
mod sink;
mod guest;
mod tick_log;

pub use catalogue::MemoryCatalogue;
pub use guest::{GroupView, NativeFactory, NativeMetric, Reply, input, output};
pub use history::MemoryHistory;
pub use sink::{MemorySink, Row};
pub use source::{MemoryEvent, MemorySource};
pub use state::MemoryState;
pub use tick_log::MemoryTickLog;
