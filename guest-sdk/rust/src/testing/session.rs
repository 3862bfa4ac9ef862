//! Session windows: states are merged as rows close the gaps between sessions.

use super::call::{Caller, GroupCall};
use super::groups::Record;
use crate::contract::CloseReason;
use crate::metric::Metric;
use std::collections::BTreeMap;
use tidemark_dataflow::session::{add, session_of};
use tidemark_dataflow::window::is_window_late;
use tidemark_dataflow::{EventTime, Window};

pub(super) struct Sessions {
    gap_ms: i64,
    pub(super) late: usize,
    /// Open sessions of each key.
    windows: BTreeMap<String, Vec<Window>>,
    states: BTreeMap<(String, Window), Vec<u8>>,
}

impl Sessions {
    pub(super) fn new(gap_ms: i64) -> Self {
        Self { gap_ms, late: 0, windows: BTreeMap::new(), states: BTreeMap::new() }
    }

    pub(super) fn fold<M: Metric>(&mut self, caller: &mut Caller<M>, records: Vec<Record>, watermark: i64) {
        for record in records {
            let time = EventTime(record.event_time_ms);
            let windows = self.windows.entry(record.key.clone()).or_default();
            let mut merged = windows.clone();
            let merge = add(&mut merged, time, self.gap_ms);
            if is_window_late(merge.session, 0, EventTime(watermark)) {
                debug_assert!(is_window_late(session_of(time, self.gap_ms), 0, EventTime(watermark)));
                self.late += 1;
                continue;
            }
            *windows = merged;
            let key = &record.key;
            let absorbed = merge.absorbed.iter().filter_map(|window| self.states.remove(&(key.clone(), *window)));
            let absorbed: Vec<_> = absorbed.collect();
            let state = absorbed.into_iter().reduce(|left, right| caller.merge(key, &left, &right)).unwrap_or_default();
            let place = (key.clone(), merge.session);
            let answer = caller.call(vec![call_of(&place, state, vec![record])], None).remove(0);
            self.states.insert(place, answer.state);
        }
    }

    pub(super) fn advance<M: Metric>(&mut self, caller: &mut Caller<M>, watermark: i64) {
        let watermark = EventTime(watermark);
        let due = self.states.keys().filter(|(_, window)| window.last() <= watermark).cloned();
        let mut due: Vec<_> = due.collect();
        due.sort_by(|(key, window), (other_key, other)| (window.end, window, key).cmp(&(other.end, other, other_key)));
        let calls = due.into_iter().map(|place| {
            let state = self.states.remove(&place).unwrap_or_default();
            self.windows.entry(place.0.clone()).or_default().retain(|window| *window != place.1);
            call_of(&place, state, Vec::new())
        });
        let calls = calls.collect();
        caller.call(calls, Some(CloseReason::WindowEnd));
    }
}

fn call_of((key, window): &(String, Window), state: Vec<u8>, records: Vec<Record>) -> GroupCall {
    GroupCall { key: key.clone(), window: (window.start.0, window.end.0), time: window.last().0, state, records }
}
