//! Tumbling and sliding windows.

use super::call::{Caller, GroupCall};
use super::groups::Record;
use crate::contract::CloseReason;
use crate::metric::Metric;
use std::collections::{BTreeMap, BTreeSet};
use tidemark_dataflow::window::{AlignedWindows, cleanup_time, fires_at_once, is_window_late};
use tidemark_dataflow::{EventTime, Window};

/// A pane's place: panes that end first come first.
type Place = (EventTime, Window, String);

pub(super) struct Aligned {
    windows: AlignedWindows,
    pub(super) lateness_ms: i64,
    pub(super) late: usize,
    /// State of each open pane, and whether it has fired.
    panes: BTreeMap<Place, (Vec<u8>, bool)>,
}

impl Aligned {
    pub(super) fn new(size_ms: i64, slide_ms: i64, offset_ms: i64) -> Self {
        let windows = AlignedWindows::sliding(size_ms, slide_ms, offset_ms).expect("sizes are positive");
        Self { windows, lateness_ms: 0, late: 0, panes: BTreeMap::new() }
    }

    pub(super) fn fold<M: Metric>(&mut self, caller: &mut Caller<M>, records: Vec<Record>, watermark: i64) {
        let watermark = EventTime(watermark);
        let mut touched: BTreeMap<Place, Vec<Record>> = BTreeMap::new();
        for record in records {
            let windows = self.windows.assign(EventTime(record.event_time_ms));
            let open: Vec<_> = windows.filter(|window| !is_window_late(*window, self.lateness_ms, watermark)).collect();
            self.late += usize::from(open.is_empty());
            for window in open {
                touched.entry((window.end, window, record.key.clone())).or_default().push(record.clone());
            }
        }
        let places: BTreeSet<Place> = touched.keys().cloned().collect();
        let calls = touched.into_iter().map(|(place, records)| self.call_of(&place, records)).collect();
        for (place, answer) in places.iter().zip(caller.call(calls, None)) {
            self.panes.insert(place.clone(), (answer.state, false));
        }
        self.fire(caller, places.into_iter().filter(|(_, window, _)| fires_at_once(*window, watermark)).collect());
    }

    pub(super) fn advance<M: Metric>(&mut self, caller: &mut Caller<M>, watermark: i64) {
        let watermark = EventTime(watermark);
        let due = self.panes.iter().filter(|((_, window, _), (_, fired))| !fired && window.last() <= watermark);
        let due = due.map(|(place, _)| place.clone()).collect();
        self.fire(caller, due);
        self.panes.retain(|(_, window, _), _| cleanup_time(*window, self.lateness_ms) > watermark);
    }

    fn fire<M: Metric>(&mut self, caller: &mut Caller<M>, places: Vec<Place>) {
        let calls = places.iter().map(|place| self.call_of(place, Vec::new())).collect();
        for (place, answer) in places.into_iter().zip(caller.call(calls, Some(CloseReason::WindowEnd))) {
            self.panes.insert(place, (answer.state, true));
        }
    }

    fn call_of(&self, place: &Place, records: Vec<Record>) -> GroupCall {
        let (_, window, key) = place;
        let state = self.panes.get(place).map(|(state, _)| state.clone()).unwrap_or_default();
        GroupCall { key: key.clone(), window: (window.start.0, window.end.0), time: window.last().0, state, records }
    }
}
