//! Key windows: one state per key, timers, and a time to live.

use super::call::{Answer, Caller, GroupCall};
use super::groups::Record;
use crate::contract::CloseReason;
use crate::metric::Metric;
use std::collections::{BTreeMap, BTreeSet};
use tidemark_dataflow::EventTime;

/// What is due; the metric's own timers come before the expiry of the same moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Timer,
    Expiry,
}

struct KeyState {
    state: Vec<u8>,
    newest_ms: i64,
}

pub(super) struct Keyed {
    ttl_ms: Option<i64>,
    states: BTreeMap<String, KeyState>,
    timers: BTreeSet<(i64, Kind, String)>,
}

impl Keyed {
    pub(super) fn new(ttl_ms: Option<i64>) -> Self {
        Self { ttl_ms, states: BTreeMap::new(), timers: BTreeSet::new() }
    }

    pub(super) fn fold<M: Metric>(&mut self, caller: &mut Caller<M>, records: Vec<Record>, watermark: i64) {
        let mut by_key: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        records.into_iter().for_each(|record| by_key.entry(record.key.clone()).or_default().push(record));
        let calls = by_key.into_iter().map(|(key, records)| {
            let time = records.last().map_or(i64::MIN, |record| record.event_time_ms);
            self.call_of(key, time, records)
        });
        let calls: Vec<GroupCall> = calls.collect();
        let keys: Vec<_> = calls.iter().map(|call| (call.key.clone(), call.time)).collect();
        for ((key, time), answer) in keys.into_iter().zip(caller.call(calls, None)) {
            let newest_ms = self.states.get(&key).map_or(time, |known| known.newest_ms.max(time));
            if let Some(ttl_ms) = self.ttl_ms {
                self.timers.insert((EventTime(newest_ms).plus_ms(ttl_ms).0, Kind::Expiry, key.clone()));
            }
            self.keep(key, newest_ms, answer);
        }
        self.advance(caller, watermark);
    }

    pub(super) fn advance<M: Metric>(&mut self, caller: &mut Caller<M>, watermark: i64) {
        // A call may set a timer that is due at once, so this goes on until there is none.
        while let Some((time, kind, key)) = self.timers.first().filter(|(time, ..)| *time <= watermark).cloned() {
            self.timers.pop_first();
            let Some(newest_ms) = self.states.get(&key).map(|known| known.newest_ms) else { continue };
            let call = self.call_of(key.clone(), time, Vec::new());
            if kind == Kind::Timer {
                let answer = caller.call(vec![call], Some(CloseReason::Timer)).remove(0);
                self.keep(key, newest_ms, answer);
            } else if self.ttl_ms.is_some_and(|ttl_ms| EventTime(newest_ms).plus_ms(ttl_ms).0 <= time) {
                caller.call(vec![call], Some(CloseReason::Expired));
                self.states.remove(&key);
            }
        }
    }

    fn keep(&mut self, key: String, newest_ms: i64, answer: Answer) {
        let timers = answer.timers.iter().map(|time| (*time, Kind::Timer, key.clone()));
        self.timers.extend(timers);
        if answer.state.is_empty() && answer.timers.is_empty() {
            self.states.remove(&key);
        } else {
            self.states.insert(key, KeyState { state: answer.state, newest_ms });
        }
    }

    fn call_of(&self, key: String, time: i64, records: Vec<Record>) -> GroupCall {
        let state = self.states.get(&key).map(|known| known.state.clone()).unwrap_or_default();
        GroupCall { key, window: (i64::MIN, i64::MAX), time, state, records }
    }
}
