//! The boundary to a metric, in flat columns: one call for many (key, window) groups.
//!
//! This is the Rust form of the WIT contract (`wit/metric.wit`). `tidemark-wasm-host` implements [`Guest`] with a
//! sandboxed component; [`crate::memory`] implements it with native functions for tests.

use crate::dead_letter::Reason;
use arrow_array::{Array, ArrayRef};
use std::ops::Range;

/// Many byte strings in two buffers: string `i` is `bytes[ends[i-1]..ends[i]]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VarBytes {
    /// End of each string in `bytes`; never decreasing.
    pub ends: Vec<u32>,
    /// The strings, one behind the other.
    pub bytes: Vec<u8>,
}

impl VarBytes {
    /// Number of strings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds one string.
    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(u32::try_from(self.bytes.len()).expect("a batch is bounded far below 4 GiB"));
    }

    /// String `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[start..self.ends[index] as usize]
    }

    /// The strings `range`, copied.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let mut out = Self::default();
        range.for_each(|index| out.push(self.get(index)));
        out
    }

    /// Removes everything, keeping the memory.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.bytes.clear();
    }
}

/// The groups of one call; every vector has one entry per group.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// Key, UTF-8.
    pub keys: VarBytes,
    /// Window start in ms; `i64::MIN` for key windows, the left (or only) row's time for joins.
    pub window_starts: Vec<i64>,
    /// Window end in ms, exclusive; `i64::MAX` for key windows, `time + 1` for joins.
    pub window_ends: Vec<i64>,
    /// Event time, in ms, that an emitted row has: `end − 1`, the newest row's for key windows, the timer's, or for a
    /// join the greater of both sides.
    pub times: Vec<i64>,
    /// End of the group's rows in the columns; group `i` has rows `row_ends[i-1]..row_ends[i]`.
    pub row_ends: Vec<u32>,
    /// State before the call; empty where there is none.
    pub states: VarBytes,
}

impl Groups {
    /// Number of groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// The rows of group `index`.
    #[must_use]
    pub fn rows(&self, index: usize) -> Range<usize> {
        let start = if index == 0 { 0 } else { self.row_ends[index - 1] as usize };
        start..self.row_ends[index] as usize
    }
}

/// The argument of one call: rows of many groups, group after group, each in (event time, partition, offset) order.
#[derive(Clone, Debug, Default)]
pub struct GuestBatch {
    /// One array per input column of the descriptor, in its order, all of the same length.
    pub columns: Vec<ArrayRef>,
    /// Event time of each row, in ms.
    pub event_times: Vec<i64>,
    /// Who the rows belong to.
    pub groups: Groups,
}

impl GuestBatch {
    /// The same call for the groups `range` only. Columns are shared, not copied.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let first_row = if range.start == 0 { 0 } else { self.groups.row_ends[range.start - 1] as usize };
        let last_row = if range.end == 0 { 0 } else { self.groups.row_ends[range.end - 1] as usize };
        let groups = &self.groups;
        Self {
            columns: self.columns.iter().map(|column| column.slice(first_row, last_row - first_row)).collect(),
            event_times: self.event_times[first_row..last_row].to_vec(),
            groups: Groups {
                keys: groups.keys.slice(range.clone()),
                window_starts: groups.window_starts[range.clone()].to_vec(),
                window_ends: groups.window_ends[range.clone()].to_vec(),
                times: groups.times[range.clone()].to_vec(),
                row_ends: groups.row_ends[range.clone()].iter().map(|end| end - first_row as u32).collect(),
                states: groups.states.slice(range),
            },
        }
    }
}

/// Why `close` is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CloseReason {
    /// The watermark passed the window's end. Also for each refiring within the allowed lateness.
    WindowEnd,
    /// A timer that the metric set is due.
    Timer,
    /// The key's time to live is over; its state goes after this call.
    Expired,
    /// A left row of an interval join found no partner; the group holds that one row.
    UnmatchedLeft,
    /// A right row found none.
    UnmatchedRight,
}

/// Rows that a call emitted.
#[derive(Clone, Debug, Default)]
pub struct Emitted {
    /// For each row the group it belongs to, never decreasing.
    pub groups: Vec<u32>,
    /// One array per output column of the descriptor, in its order, each as long as `groups`. Empty when `groups` is.
    pub columns: Vec<ArrayRef>,
}

/// A group on which the call failed. Its state stays as it was before the call, and none of its rows or timers count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupFailure {
    /// Which group.
    pub group: u32,
    /// One of the `Guest…` reasons.
    pub reason: Reason,
    /// What the guest or the host says about it.
    pub detail: String,
}

/// The result of one call.
#[derive(Clone, Debug, Default)]
pub struct Folded {
    /// New state of each group; empty: none, what was stored is deleted.
    pub states: VarBytes,
    /// Emitted rows.
    pub emitted: Emitted,
    /// Timers to set: (group, event time in ms), key windows only. A timer that is not later than the watermark is due
    /// at once.
    pub timers: Vec<(u32, i64)>,
    /// Groups that failed, by ascending group.
    pub failures: Vec<GroupFailure>,
}

/// A failure of the module as a whole: not of one group, and not one that another try can mend.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The module can't be called at all any more.
    #[error("module {module} cannot be called: {detail}")]
    Broken {
        /// Module name.
        module: String,
        /// Why.
        detail: String,
    },
}

/// One instance of a metric's module, used by one worker. Keeps nothing between calls that results depend on.
///
/// A failure of single groups is in [`Folded::failures`]; an implementation isolates it (fresh instance, bisection) so
/// that the other groups of the batch have their results.
pub trait Guest: Send {
    /// Folds rows into the groups' states.
    fn update(&mut self, batch: &GuestBatch) -> Result<Folded, GuestError>;

    /// Ends groups. For unmatched rows the batch has one row per group; otherwise it has none.
    fn close(&mut self, batch: &GuestBatch, reason: CloseReason) -> Result<Folded, GuestError>;

    /// Merges pairs of states, for session windows: `left[i]` is the older session's. Groups in failures are indices
    /// of pairs.
    fn merge(&mut self, left: &VarBytes, right: &VarBytes) -> Result<Folded, GuestError>;

    /// Turns states of version `from` into states of the module's own version.
    fn migrate(&mut self, states: &VarBytes, from: u32) -> Result<Folded, GuestError>;
}

/// Makes instances of one module with one configuration: one per worker, and new ones after a restart.
pub trait GuestFactory: Send + Sync {
    /// A new instance, configured.
    fn instantiate(&self) -> Result<Box<dyn Guest>, GuestError>;
}
