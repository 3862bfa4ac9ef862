//! How a call into a module can fail, and what that says about the groups of the call.

use crate::limits::LimitExceeded;
use std::fmt::Write;
use tidemark_engine::dead_letter::Reason;
use wasmtime::{Trap, WasmBacktrace};

/// Frames of a trap's backtrace that are told.
const FRAMES: usize = 4;

/// Why a call gave no result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum CallFailure {
    /// The code trapped.
    Trap(String),
    /// It was still running when its time or its fuel was used up.
    Timeout(String),
    /// It wanted more memory than it may have.
    Memory(LimitExceeded),
    /// It returned something malformed or oversized.
    Output(String),
}

impl CallFailure {
    /// The dead letter's class.
    pub(crate) const fn reason(&self) -> Reason {
        match self {
            Self::Trap(_) => Reason::GuestTrap,
            Self::Timeout(_) => Reason::GuestTimeout,
            Self::Memory(_) => Reason::GuestMemory,
            Self::Output(_) => Reason::GuestOutput,
        }
    }

    /// What happened, for a person.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Trap(detail) | Self::Timeout(detail) | Self::Output(detail) => detail.clone(),
            Self::Memory(limit) => limit.to_string(),
        }
    }

    /// Classes what wasmtime returned; `output_bytes` is the limit of what is copied out.
    pub(crate) fn of(error: &wasmtime::Error, output_bytes: usize) -> Self {
        if let Some(limit) = error.downcast_ref::<LimitExceeded>() {
            return Self::Memory(limit.clone());
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Self::Timeout("still running at the end of its time".into()),
            Some(Trap::OutOfFuel) => Self::Timeout("still running at the end of its fuel".into()),
            Some(trap) => Self::Trap(format!("{trap}{}", backtrace(error))),
            // No trap: the code ran to its end, and what it returned breaks the rules of the component model.
            None if copied_too_much(error) => Self::Output(format!("output_bytes exceeded: limit {output_bytes}")),
            None => Self::Output(error.root_cause().to_string()),
        }
    }
}

/// Whether the host stopped copying a result because it is too long. Wasmtime's error for that is private.
fn copied_too_much(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls")
}

/// Where it trapped: the innermost functions, or nothing where they have no names.
fn backtrace(error: &wasmtime::Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let mut out = String::new();
    for frame in trace.frames().iter().take(FRAMES) {
        let place = if out.is_empty() { " in " } else { ", called by " };
        match frame.func_name() {
            // Writing to a `String` cannot fail.
            Some(name) => drop(write!(out, "{place}{name}")),
            None => drop(write!(out, "{place}function {}", frame.func_index())),
        }
    }
    out
}
