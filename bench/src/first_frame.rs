//! prompt-to-first-frame: from a stream's request to its first processed segment, joined by request.

use rustc_hash::FxHashMap;
use std::ops::RangeInclusive;

/// How much later than the request the segment may be, in milliseconds.
const BOUNDS_MS: RangeInclusive<i64> = -10_000..=60_000;

/// The times of both sides, by request.
#[derive(Default)]
pub(crate) struct FirstFrames {
    requests: FxHashMap<String, Times>,
}

#[derive(Default)]
struct Times {
    requested: Vec<i64>,
    /// More than one after a swap of the orchestrator.
    processed: Vec<i64>,
}

/// One request.
#[derive(Debug)]
pub(crate) struct FirstFrameRow {
    pub(crate) request_id: String,
    pub(crate) requested: i64,
    /// `None` where no segment came in time, or before the request.
    pub(crate) latency_ms: Option<i64>,
    pub(crate) matched: bool,
}

impl FirstFrames {
    pub(crate) fn requested(&mut self, request_id: &str, time: i64) {
        self.times(request_id, |times| times.requested.push(time));
    }

    pub(crate) fn processed(&mut self, request_id: &str, time: i64) {
        self.times(request_id, |times| times.processed.push(time));
    }

    fn times(&mut self, request_id: &str, note: impl FnOnce(&mut Times)) {
        if request_id.is_empty() {
            return;
        }
        note(match self.requests.get_mut(request_id) {
            Some(times) => times,
            None => self.requests.entry(request_id.to_owned()).or_default(),
        });
    }

    pub(crate) fn rows(&self) -> Vec<FirstFrameRow> {
        let requests = self.requests.iter().flat_map(|(id, times)| times.requested.iter().map(move |t| (id, t, times)));
        let row = |(request_id, requested, times): (&String, &i64, &Times)| {
            let first =
                times.processed.iter().map(|time| time - requested).filter(|delay| BOUNDS_MS.contains(delay)).min();
            FirstFrameRow {
                request_id: request_id.clone(),
                requested: *requested,
                latency_ms: first.filter(|latency| *latency >= 0),
                matched: first.is_some(),
            }
        };
        requests.map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Latency and whether it matched, of one request at 100,000 ms.
    fn latency(processed: &[i64]) -> (Option<i64>, bool) {
        let mut frames = FirstFrames::default();
        processed.iter().for_each(|time| frames.processed("r", *time));
        frames.requested("r", 100_000);
        let [row] = frames.rows().try_into().expect("one request");
        (row.latency_ms, row.matched)
    }

    #[test]
    fn the_first_segment_within_the_bounds_counts() {
        assert_eq!(latency(&[]), (None, false));
        assert_eq!(latency(&[105_000, 102_000]), (Some(2_000), true));
        assert_eq!(latency(&[160_000]), (Some(60_000), true));
        assert_eq!(latency(&[160_001]), (None, false));
        assert_eq!(latency(&[90_000]), (None, true), "negative");
        assert_eq!(latency(&[89_999, 101_000]), (Some(1_000), true));
    }
}
