//! Chaos: the real binary between topics of a real broker, killed again and again at moments drawn from a seed, and a
//! checker that computes the rows for itself from the input.
//!
//! Nothing here knows the engine: what it should have written is computed from the events by [`oracle`], and what it has
//! written is read as any other consumer reads it. A run is told by its seed; it ends the same way each time, though the
//! clock decides how far the process is when it is killed.

mod checker;
mod life;
mod nodes;
mod oracle;
mod random;
mod run;

pub use checker::Verdict;
pub use run::{Report, Setup};
