//! What a metric can ask and do while it handles one group.

use crate::contract::{Emitted, Folded, GroupFailure, Groups, Timer};
use crate::failure::Failure;
use crate::output::Output;
use crate::value::ColumnBuilder;
use std::marker::PhantomData;

/// The group in hand: its key and window, and what is emitted for it.
pub struct Context<'a, O: Output> {
    groups: &'a Groups,
    group: usize,
    folding: &'a mut Folding,
    output: PhantomData<fn(O)>,
}

impl<'a, O: Output> Context<'a, O> {
    pub(crate) fn new(groups: &'a Groups, group: usize, folding: &'a mut Folding) -> Self {
        Self { groups, group, folding, output: PhantomData }
    }

    /// The group's key.
    #[must_use]
    pub fn key(&self) -> &'a str {
        std::str::from_utf8(self.groups.keys.get(self.group)).unwrap_or_default()
    }

    /// First millisecond of the window. The smallest `i64` for key windows; of a join, the time of the left row, or of
    /// the only one.
    #[must_use]
    pub fn window_start_ms(&self) -> i64 {
        self.groups.window_starts[self.group]
    }

    /// First millisecond after the window. The greatest `i64` for key windows.
    #[must_use]
    pub fn window_end_ms(&self) -> i64 {
        self.groups.window_ends[self.group]
    }

    /// Event time that emitted rows will have: the window's last millisecond, the newest row of a key window, the time
    /// of a timer, or the greater time of both sides of a join.
    #[must_use]
    pub fn event_time_ms(&self) -> i64 {
        self.groups.times[self.group]
    }

    /// Emits a row. A group may emit any number of them, in `update` as well as in `close`.
    pub fn emit(&mut self, row: O::Row<'_>) {
        O::push(row, &mut self.folding.columns);
        self.folding.emitted.push(self.group as u32);
    }

    /// Asks for a call of `close` with [`Timer`](crate::CloseReason::Timer) when the watermark reaches `event_time_ms`.
    /// Key windows only. Setting a timer twice is setting it once.
    pub fn timer_at(&mut self, event_time_ms: i64) {
        self.folding.folded.timers.push(Timer { group: self.group as u32, time: event_time_ms });
    }

    /// Forgets the group: its state after this call is none, whatever the metric made of it. Where the window lives on,
    /// the next call begins with the default.
    pub fn forget(&mut self) {
        self.folding.forget = true;
    }
}

/// The answer to one call, as it grows group by group.
pub(crate) struct Folding {
    folded: Folded,
    emitted: Vec<u32>,
    columns: Vec<ColumnBuilder>,
    forget: bool,
}

impl Folding {
    pub(crate) fn new<O: Output>() -> Self {
        Self {
            folded: nothing(),
            emitted: Vec::new(),
            columns: O::COLUMNS.iter().map(|column| ColumnBuilder::new(column.kind)).collect(),
            forget: false,
        }
    }

    /// Ends the group in hand: `encode` writes its new state. On a failure whatever it emitted is ignored by the host.
    pub(crate) fn end_group(&mut self, result: Result<(), Failure>, encode: impl FnOnce(&mut Vec<u8>)) {
        let states = &mut self.folded.states;
        let forget = std::mem::take(&mut self.forget);
        match result {
            Ok(()) if forget => {}
            Ok(()) => encode(&mut states.bytes),
            Err(failure) => {
                let group = states.len() as u32;
                self.folded.failures.push(GroupFailure { group, message: failure.to_string() });
            }
        }
        states.end_string();
    }

    pub(crate) fn finish(self) -> Folded {
        let columns = match self.emitted.as_slice() {
            [] => Vec::new(),
            _ => self.columns.into_iter().map(ColumnBuilder::finish).collect(),
        };
        Folded { emitted: Emitted { groups: self.emitted, columns }, ..self.folded }
    }
}

/// The answer of a call in which each of `groups` groups failed for one reason.
pub(crate) fn all_failed(groups: usize, reason: &str) -> Folded {
    let mut folded = nothing();
    for group in 0..groups as u32 {
        folded.states.end_string();
        folded.failures.push(GroupFailure { group, message: reason.to_owned() });
    }
    folded
}

fn nothing() -> Folded {
    Folded {
        states: crate::contract::ByteStrings::new(),
        emitted: Emitted { groups: Vec::new(), columns: Vec::new() },
        timers: Vec::new(),
        failures: Vec::new(),
    }
}
