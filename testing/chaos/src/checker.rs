//! What was written, against what should have been.

use crate::oracle::{Expected, FirstFrame, Jitter};
use chrono::DateTime;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use test_kafka::outside::Seen;

/// How far floats may be apart: the engine adds them up in one pass, in another order.
const TOLERANCE: f64 = 1e-9;

/// What is wrong with the rows of a run: all zero if nothing is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Rows that were found.
    pub rows: usize,
    /// Rows that should be there and are not.
    pub lost: usize,
    /// Rows that are there more than once.
    pub duplicated: usize,
    /// Rows of a key that stand before an earlier one, or in another partition.
    pub out_of_order: usize,
    /// Rows with other values than they should have, or that should not be there at all.
    pub wrong: usize,
}

impl Verdict {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.lost + self.duplicated + self.out_of_order + self.wrong == 0
    }

    /// Adds another run's.
    pub fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
        self.wrong += other.wrong;
    }

    pub(crate) fn of(expected: &Expected, jitter: &[Seen], first_frames: &[Seen]) -> Self {
        let mut verdict = Self { rows: jitter.len() + first_frames.len(), ..Self::default() };
        verdict.order(jitter);
        verdict.order(first_frames);
        verdict.jitter(&expected.jitter, jitter);
        verdict.first_frames(&expected.first_frames, first_frames);
        verdict
    }

    fn order(&mut self, rows: &[Seen]) {
        let mut last: BTreeMap<&str, (i32, String)> = BTreeMap::new();
        for seen in rows {
            let time = parse(seen)["event_time"].as_str().unwrap_or_default().to_owned();
            let key = seen.key.as_deref().unwrap_or_default();
            let before = last.insert(key, (seen.partition, time.clone()));
            let in_order = before.is_none_or(|before| before.0 == seen.partition && before.1 <= time);
            self.out_of_order += usize::from(!in_order);
        }
    }

    fn jitter(&mut self, expected: &BTreeMap<(String, i64), Jitter>, rows: &[Seen]) {
        let mut found: BTreeMap<(String, i64), usize> = BTreeMap::new();
        for row in rows.iter().map(parse) {
            let start = row["window_start"].as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
            let start = start.map_or(i64::MIN, |start| start.timestamp_millis());
            let window = (row["key"].as_str().unwrap_or_default().to_owned(), start);
            let is_right = expected.get(&window).is_some_and(|(samples, mean, jitter)| {
                row["samples"].as_u64() == Some(*samples)
                    && close(row["mean_fps"].as_f64(), *mean)
                    && close(row["jitter"].as_f64(), *jitter)
            });
            self.wrong += usize::from(!is_right);
            *found.entry(window).or_default() += 1;
        }
        self.duplicated += found.values().map(|count| count - 1).sum::<usize>();
        self.lost += expected.keys().filter(|window| !found.contains_key(*window)).count();
    }

    fn first_frames(&mut self, expected: &BTreeMap<String, Vec<FirstFrame>>, rows: &[Seen]) {
        let mut found: BTreeMap<String, Vec<FirstFrame>> = BTreeMap::new();
        for row in rows.iter().map(parse) {
            let value = (row["latency_ms"].as_i64(), row["matched"].as_bool().unwrap_or_default());
            found.entry(row["key"].as_str().unwrap_or_default().to_owned()).or_default().push(value);
        }
        for (request, rows) in &found {
            let wanted = expected.get(request).map_or(&[][..], Vec::as_slice);
            self.wrong += rows.iter().filter(|row| !wanted.contains(row)).count();
            self.duplicated += rows.len().saturating_sub(wanted.len().max(1));
        }
        for (request, wanted) in expected {
            self.lost += wanted.len().saturating_sub(found.get(request).map_or(0, Vec::len));
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, lost, duplicated, out_of_order, wrong } = self;
        write!(f, "{rows} rows, lost {lost}, duplicated {duplicated}, out of order {out_of_order}, wrong {wrong}")
    }
}

fn parse(seen: &Seen) -> Value {
    serde_json::from_str(&seen.value).unwrap_or_default()
}

fn close(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0),
        (found, expected) => found.is_none() && expected.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(offset: i64, start: &str, samples: u64) -> Seen {
        let value = format!(
            r#"{{"key":"s","window_start":"{start}","event_time":"{start}","samples":{samples},"mean_fps":20,"jitter":null}}"#
        );
        Seen { partition: 0, offset, key: Some("s".to_owned()), value, headers: BTreeMap::new() }
    }

    #[test]
    fn nothing_goes_unnoticed() {
        let [first, second] = ["1970-01-01T00:00:00.000Z", "1970-01-01T00:01:00.000Z"];
        let mut expected = Expected::default();
        for start in [0, 60_000] {
            expected.jitter.insert(("s".to_owned(), start), (1, Some(20.0), None));
        }
        expected.first_frames.insert("r".to_owned(), vec![(None, false)]);
        let verdict = |rows: &[Seen]| {
            let Verdict { lost, duplicated, out_of_order, wrong, .. } = Verdict::of(&expected, rows, &[]);
            (lost, duplicated, out_of_order, wrong)
        };
        // The first frame is always missing here.
        assert_eq!(verdict(&[seen(0, first, 1), seen(1, second, 1)]), (1, 0, 0, 0));
        assert_eq!(verdict(&[seen(0, first, 1)]), (2, 0, 0, 0));
        assert_eq!(verdict(&[seen(0, first, 1), seen(1, second, 1), seen(2, second, 1)]), (1, 1, 0, 0));
        assert_eq!(verdict(&[seen(0, second, 1), seen(1, first, 1)]), (1, 0, 1, 0));
        assert_eq!(verdict(&[seen(0, first, 2), seen(1, second, 1)]), (1, 0, 0, 1));
    }
}
