//! What a run should have written, computed from its input: `jitter-coefficient` and `prompt-to-first-frame` over all
//! events at once, in memory, without a watermark. The input has nothing late.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The window of `jitter-coefficient`.
const WINDOW_MS: i64 = 60_000;

/// How much later than the request the first frame may be.
const BOUNDS_MS: std::ops::RangeInclusive<i64> = -10_000..=60_000;

/// One row of `jitter-coefficient`: samples, mean, jitter.
pub(crate) type Jitter = (u64, Option<f64>, Option<f64>);

/// One row of `prompt-to-first-frame`: latency, and whether a frame came.
pub(crate) type FirstFrame = (Option<i64>, bool);

/// Expected rows.
#[derive(Default)]
pub(crate) struct Expected {
    /// By stream and beginning of the window.
    pub(crate) jitter: BTreeMap<(String, i64), Jitter>,
    /// By request; a request may be made twice.
    pub(crate) first_frames: BTreeMap<String, Vec<FirstFrame>>,
}

/// The rows that these events should lead to. An event that comes twice, with one id, counts once.
pub(crate) fn expected<'a>(lines: impl Iterator<Item = &'a str>) -> Expected {
    let mut seen = BTreeSet::new();
    let mut rates: BTreeMap<(String, i64), Vec<f64>> = BTreeMap::new();
    let mut requests: BTreeMap<String, (Vec<i64>, Vec<i64>)> = BTreeMap::new();
    for line in lines {
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        if let Some(id) = event["id"].as_str()
            && !seen.insert(id.to_owned())
        {
            continue;
        }
        let inner = event["data"].as_str().and_then(|text| serde_json::from_str(text).ok());
        let data = inner.as_ref().unwrap_or(&event["data"]);
        let Some(time) = milliseconds(&data["timestamp"]).or_else(|| milliseconds(&event["timestamp"])) else {
            continue;
        };
        let text = |name: &str| data[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        match (event["type"].as_str(), data["type"].as_str()) {
            (Some("ai_stream_status"), _) => {
                if let Some(stream) = text("stream_id") {
                    let window = rates.entry((stream, time - time.rem_euclid(WINDOW_MS))).or_default();
                    window.extend(number(&data["inference_status"]["fps"]));
                }
            }
            (Some("stream_trace"), Some("gateway_receive_stream_request")) => {
                if let Some(request) = text("request_id") {
                    requests.entry(request).or_default().0.push(time);
                }
            }
            (Some("stream_trace"), Some("gateway_receive_first_processed_segment")) => {
                if let Some(request) = text("request_id") {
                    requests.entry(request).or_default().1.push(time);
                }
            }
            _ => {}
        }
    }
    Expected {
        jitter: rates.into_iter().map(|(window, rates)| (window, jitter(&rates))).collect(),
        first_frames: requests
            .into_iter()
            .map(|(request, (asked, processed))| (request, asked.iter().map(|at| first(*at, &processed)).collect()))
            .filter(|(_, rows): &(_, Vec<FirstFrame>)| !rows.is_empty())
            .collect(),
    }
}

/// The event time of a line, if it has one.
pub(crate) fn time_of(line: &str) -> Option<i64> {
    let event: Value = serde_json::from_str(line).ok()?;
    let inner = event["data"].as_str().and_then(|text| serde_json::from_str(text).ok());
    let data: &Value = inner.as_ref().unwrap_or(&event["data"]);
    milliseconds(&data["timestamp"]).or_else(|| milliseconds(&event["timestamp"]))
}

/// Mean and coefficient of variation in two passes.
fn jitter(rates: &[f64]) -> Jitter {
    let count = rates.len() as f64;
    let mean = (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / count);
    let jitter = mean.filter(|mean| rates.len() >= 2 && *mean != 0.0).map(|mean| {
        let squares: f64 = rates.iter().map(|rate| (rate - mean).powi(2)).sum();
        (squares / count).sqrt() / mean
    });
    (rates.len() as u64, mean, jitter)
}

fn first(asked: i64, processed: &[i64]) -> FirstFrame {
    let delays = processed.iter().map(|at| at - asked).filter(|delay| BOUNDS_MS.contains(delay));
    let first = delays.min();
    (first.filter(|latency| *latency >= 0), first.is_some())
}

fn milliseconds(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_lead_to_rows() {
        let status = |id: &str, fps: &str, time: i64| {
            format!(
                r#"{{"id":"{id}","type":"ai_stream_status","timestamp":"{time}","data":{{"stream_id":"s","inference_status":{{"fps":{fps}}}}}}}"#
            )
        };
        let trace = |kind: &str, time: i64| {
            format!(
                r#"{{"type":"stream_trace","timestamp":1,"data":"{{\"request_id\":\"r\",\"timestamp\":{time},\"type\":\"{kind}\"}}"}}"#
            )
        };
        let lines = [
            status("a", "10", 0),
            status("b", "30", 59_999),
            status("b", "30", 59_999),
            status("c", "null", 60_000),
            trace("gateway_receive_stream_request", 100_000),
            trace("gateway_receive_first_processed_segment", 103_000),
            "rubbish".to_owned(),
        ];
        let rows = expected(lines.iter().map(String::as_str));
        assert_eq!(rows.jitter[&("s".to_owned(), 0)], (2, Some(20.0), Some(0.5)));
        assert_eq!(rows.jitter[&("s".to_owned(), 60_000)], (0, None, None));
        assert_eq!(rows.first_frames["r"], [(Some(3_000), true)]);
    }
}
