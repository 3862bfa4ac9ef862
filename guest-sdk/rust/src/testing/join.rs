//! Interval joins: every pair and every row without a partner is a group of its own.

use super::call::{Caller, GroupCall};
use super::cell::Cell;
use super::groups::Record;
use crate::contract::CloseReason;
use crate::facts::JoinTerms;
use crate::metric::{self, Metric};
use std::collections::BTreeMap;
use tidemark_dataflow::EventTime;
use tidemark_dataflow::join::{IntervalJoin, JoinBuffer, Joined, Matches, RowOrder, Side};

pub(super) struct PairedRows {
    pub(super) terms: JoinTerms,
    pub(super) late: usize,
    join: IntervalJoin,
    waiting: BTreeMap<String, JoinBuffer<Record>>,
}

impl PairedRows {
    pub(super) fn new(terms: JoinTerms) -> Self {
        let matches = if terms.take_first { Matches::First } else { Matches::All };
        let lower_ms = terms.lower_ms + i64::from(terms.lower_exclusive);
        let upper_ms = terms.upper_ms - i64::from(terms.upper_exclusive);
        let join = IntervalJoin::new(lower_ms, upper_ms, matches).expect("the bounds were checked by the macro");
        let join = join.with_unmatched(terms.unmatched_left, terms.unmatched_right);
        Self { terms, late: 0, join, waiting: BTreeMap::new() }
    }

    pub(super) fn fold<M: Metric>(&mut self, caller: &mut Caller<M>, records: Vec<Record>, watermark: i64) {
        let mut joined = Vec::new();
        for record in records {
            let time = EventTime(record.event_time_ms);
            if IntervalJoin::is_late(time, EventTime(watermark)) {
                self.late += 1;
                continue;
            }
            let side = if record.side == Some(metric::Side::Left) { Side::Left } else { Side::Right };
            let order = RowOrder { time, partition: 0, offset: record.sequence };
            let buffer = self.waiting.entry(record.key.clone()).or_default();
            buffer.insert(&self.join, side, order, record, &mut joined);
        }
        emit(caller, joined);
    }

    pub(super) fn advance<M: Metric>(&mut self, caller: &mut Caller<M>, watermark: i64) {
        let mut joined = Vec::new();
        for buffer in self.waiting.values_mut() {
            buffer.advance(&self.join, EventTime(watermark), &mut joined);
        }
        self.waiting.retain(|_, buffer| !buffer.is_empty());
        emit(caller, joined);
    }
}

fn emit<M: Metric>(caller: &mut Caller<M>, joined: Vec<Joined<Record>>) {
    let (mut pairs, mut lonely) = (Vec::new(), [Vec::new(), Vec::new()]);
    for joined in joined {
        match joined {
            Joined::Pair { left: (_, left), right: (_, right) } => pairs.push(pair_call(left, right)),
            Joined::Unmatched { side, row: (_, row) } => {
                let time = row.event_time_ms;
                lonely[side as usize].push(call_of(time, time, row));
            }
        }
    }
    caller.call(pairs, None);
    let [left, right] = lonely;
    caller.call(left, Some(CloseReason::UnmatchedLeft));
    caller.call(right, Some(CloseReason::UnmatchedRight));
}

/// A pair is one row: each side fills its own columns.
fn pair_call(left: Record, right: Record) -> GroupCall {
    let (start, time) = (left.event_time_ms, left.event_time_ms.max(right.event_time_ms));
    let cells = left.cells.into_iter().zip(right.cells);
    let cells = cells.map(|(left, right)| if matches!(left, Cell::Null) { right } else { left }).collect();
    call_of(start, time, Record { event_time_ms: time, cells, ..right_key(left.key, right.sequence) })
}

fn right_key(key: String, sequence: u64) -> Record {
    Record { key, event_time_ms: 0, sequence, side: None, cells: Vec::new() }
}

fn call_of(start: i64, time: i64, record: Record) -> GroupCall {
    let key = record.key.clone();
    GroupCall { key, window: (start, start.saturating_add(1)), time, state: Vec::new(), records: vec![record] }
}
