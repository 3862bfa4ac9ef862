//! Which rows belong together: the declared window, played by one of four small machines.

use super::aligned::Aligned;
use super::call::Caller;
use super::cell::Cell;
use super::join::PairedRows;
use super::keyed::Keyed;
use super::session::Sessions;
use crate::facts::{Filter, Window};
use crate::metric::{Metric, Side};

/// A row of input.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) key: String,
    pub(super) event_time_ms: i64,
    pub(super) sequence: u64,
    pub(super) side: Option<Side>,
    pub(super) cells: Vec<Cell>,
}

pub(super) enum Grouping {
    Aligned(Aligned),
    Sessions(Sessions),
    Keyed(Keyed),
    Join(PairedRows),
}

impl Grouping {
    pub(super) fn new(window: Window) -> Self {
        match window {
            Window::Tumbling { size_ms, offset_ms } => Self::Aligned(Aligned::new(size_ms, size_ms, offset_ms)),
            Window::Sliding { size_ms, slide_ms, offset_ms } => {
                Self::Aligned(Aligned::new(size_ms, slide_ms, offset_ms))
            }
            Window::Session { gap_ms } => Self::Sessions(Sessions::new(gap_ms)),
            Window::Key { ttl_ms } => Self::Keyed(Keyed::new(ttl_ms)),
            Window::Join(terms) => Self::Join(PairedRows::new(terms)),
        }
    }

    pub(super) fn allow_lateness(&mut self, lateness_ms: i64) {
        match self {
            Self::Aligned(aligned) => aligned.lateness_ms = lateness_ms,
            _ => panic!("only tumbling and sliding windows of the driver have an allowed lateness"),
        }
    }

    /// The filters of both sides of a join.
    pub(super) fn sides(&self) -> Option<[Filter; 2]> {
        if let Self::Join(join) = self { Some([join.terms.left, join.terms.right]) } else { None }
    }

    pub(super) fn has_timers(&self) -> bool {
        matches!(self, Self::Keyed(_))
    }

    pub(super) fn late(&self) -> usize {
        match self {
            Self::Aligned(aligned) => aligned.late,
            Self::Sessions(sessions) => sessions.late,
            Self::Keyed(_) => 0,
            Self::Join(join) => join.late,
        }
    }

    /// Adds a batch of records, which are in canonical order.
    pub(super) fn fold<M: Metric>(&mut self, caller: &mut Caller<M>, records: Vec<Record>, watermark: i64) {
        match self {
            Self::Aligned(aligned) => aligned.fold(caller, records, watermark),
            Self::Sessions(sessions) => sessions.fold(caller, records, watermark),
            Self::Keyed(keyed) => keyed.fold(caller, records, watermark),
            Self::Join(join) => join.fold(caller, records, watermark),
        }
    }

    /// Closes what is due at `watermark`.
    pub(super) fn advance<M: Metric>(&mut self, caller: &mut Caller<M>, watermark: i64) {
        match self {
            Self::Aligned(aligned) => aligned.advance(caller, watermark),
            Self::Sessions(sessions) => sessions.advance(caller, watermark),
            Self::Keyed(keyed) => keyed.advance(caller, watermark),
            Self::Join(join) => join.advance(caller, watermark),
        }
    }
}
