//! The types of `wit/metric.wit` in the form in which wasmtime passes them: arguments borrow the host's buffers,
//! results own theirs. They carry no meaning; [`crate::lower`] makes the first kind, [`crate::lift`] judges the second.

use wasmtime::component::{ComponentType, Lift, Lower};

/// The interface that a module exports.
pub(crate) const INTERFACE: &str = "tidemark:metric/metric@1.0.0";

/// `byte-strings`, as argument.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct ByteStrings<'a> {
    pub(crate) ends: &'a [u32],
    pub(crate) bytes: &'a [u8],
}

/// `values`, as argument.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum Values<'a> {
    #[component(name = "booleans")]
    Booleans(&'a [u8]),
    #[component(name = "integers")]
    Integers(&'a [i64]),
    #[component(name = "floats")]
    Floats(&'a [f64]),
    #[component(name = "texts")]
    Texts(ByteStrings<'a>),
}

/// `column`, as argument.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Column<'a> {
    pub(crate) validity: &'a [u8],
    pub(crate) values: Values<'a>,
}

/// `groups`.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Groups<'a> {
    pub(crate) keys: ByteStrings<'a>,
    #[component(name = "window-starts")]
    pub(crate) window_starts: &'a [i64],
    #[component(name = "window-ends")]
    pub(crate) window_ends: &'a [i64],
    pub(crate) times: &'a [i64],
    #[component(name = "row-ends")]
    pub(crate) row_ends: &'a [u32],
    pub(crate) states: ByteStrings<'a>,
}

/// `batch`.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct Batch<'a> {
    pub(crate) columns: &'a [Column<'a>],
    #[component(name = "event-times")]
    pub(crate) event_times: &'a [i64],
    pub(crate) groups: Groups<'a>,
}

/// `close-reason`.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum CloseReason {
    #[component(name = "window-end")]
    WindowEnd,
    #[component(name = "timer")]
    Timer,
    #[component(name = "expired")]
    Expired,
    #[component(name = "unmatched-left")]
    UnmatchedLeft,
    #[component(name = "unmatched-right")]
    UnmatchedRight,
}

/// `byte-strings`, as result.
#[derive(Debug, Default, ComponentType, Lift)]
#[component(record)]
pub(crate) struct OwnedByteStrings {
    pub(crate) ends: Vec<u32>,
    pub(crate) bytes: Vec<u8>,
}

/// `values`, as result.
#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum OwnedValues {
    #[component(name = "booleans")]
    Booleans(Vec<u8>),
    #[component(name = "integers")]
    Integers(Vec<i64>),
    #[component(name = "floats")]
    Floats(Vec<f64>),
    #[component(name = "texts")]
    Texts(OwnedByteStrings),
}

/// `column`, as result.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct OwnedColumn {
    pub(crate) validity: Vec<u8>,
    pub(crate) values: OwnedValues,
}

/// `emitted`.
#[derive(Debug, Default, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Emitted {
    pub(crate) groups: Vec<u32>,
    pub(crate) columns: Vec<OwnedColumn>,
}

/// `timer`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Timer {
    pub(crate) group: u32,
    pub(crate) time: i64,
}

/// `failure`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Failure {
    pub(crate) group: u32,
    pub(crate) message: String,
}

/// `folded`.
#[derive(Debug, Default, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Folded {
    pub(crate) states: OwnedByteStrings,
    pub(crate) emitted: Emitted,
    pub(crate) timers: Vec<Timer>,
    pub(crate) failures: Vec<Failure>,
}
