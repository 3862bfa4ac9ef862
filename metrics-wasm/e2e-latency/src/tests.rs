//! Known answers from real sessions, and the edges of the definition.

use super::*;
use tidemark_metric::testing::{MetricTestDriver, real_capture};

const PROCESSED: &str = "runner_send_first_processed_segment";

fn driver() -> MetricTestDriver<E2eLatency> {
    MetricTestDriver::configured("{}")
}

fn trace(kind: &str, time_ms: i64, orchestrator: &str) -> String {
    format!(
        r#"{{"type": "stream_trace", "timestamp": "{time_ms}", "data": {{"type": "{kind}", "request_id": "r",
            "stream_id": "s", "timestamp": {time_ms}, "orchestrator_info": {{"address": "{orchestrator}"}}}}}}"#
    )
}

/// Latency, orchestrator and whether matched, of each row.
fn rows_of(events: &[String]) -> Vec<(Option<i64>, Option<String>, bool)> {
    let mut driver = driver();
    events.iter().for_each(|event| driver.event(event));
    driver.finish();
    driver.rows().iter().map(|row| (row.latency_ms, row.orchestrator.map(str::to_owned), row.matched)).collect()
}

#[test]
fn real_sessions_have_their_known_answers() {
    let expected = [
        ("session_db936fab.jsonl", "db936fab", Some(105), "0x52cf2968b3dc6016778742d3539449a6597d5954"),
        ("session_bd1cd871_swap.jsonl", "bd1cd871", None, "0x5fd25374e1e87d6728ec8601c512dfabab375ab5"),
    ];
    for (file, request_id, latency_ms, orchestrator) in expected {
        let Some(capture) = real_capture(file) else { return };
        let mut driver = driver();
        driver.events(capture.lines());
        driver.finish();
        let [row] = &driver.rows()[..] else { panic!("{file}: one request, one row") };
        assert_eq!((row.request_id, row.latency_ms, row.matched), (request_id, latency_ms, true));
        assert_eq!(row.orchestrator, Some(orchestrator));
    }
}

#[test]
fn a_real_request_that_nobody_took_has_no_row() {
    let Some(capture) = real_capture("session_a06463a9_no_orchestrator.jsonl") else { return };
    let mut driver = driver();
    driver.events(capture.lines());
    driver.finish();
    assert!(driver.rows().is_empty());
}

#[test]
fn a_negative_latency_is_null_and_zero_is_not() {
    let latency_ms = |distance_ms: i64| {
        let [(latency_ms, _, true)] =
            rows_of(&[trace(SENT, 5000, "0xa"), trace(PROCESSED, 5000 + distance_ms, "0xa")])[..]
        else {
            panic!("one row, matched")
        };
        latency_ms
    };
    assert_eq!([-114, -1, 0, 1, 60_000].map(latency_ms), [None, None, Some(0), Some(1), Some(60_000)]);
}

#[test]
fn one_event_alone_is_a_row_without_latency() {
    let alone = [(None, Some("0xa".to_owned()), false)];
    assert_eq!(rows_of(&[trace(SENT, 1000, "0xa")]), alone);
    assert_eq!(rows_of(&[trace(PROCESSED, 1000, "0xa")]), alone);
    // What comes after the row is due belongs to a later attempt.
    assert_eq!(rows_of(&[trace(SENT, 1000, "0xa"), trace(PROCESSED, 61_001, "0xb")]), alone);
    assert_eq!(rows_of(&[trace(SENT, 1000, "")]), [(None, None, false)]);
}

#[test]
fn the_first_attempt_counts_in_any_order_of_arrival() {
    let events = [
        trace(SENT, 1000, "0xa"),
        trace(PROCESSED, 1300, "0xa"),
        trace(SENT, 20_000, "0xb"),
        trace(PROCESSED, 20_500, "0xb"),
    ];
    for rotation in 0..events.len() {
        let rotated: Vec<_> = events.iter().cycle().skip(rotation).take(events.len()).cloned().collect();
        assert_eq!(rows_of(&rotated), [(Some(300), Some("0xa".to_owned()), true)]);
    }
}

#[test]
fn a_row_comes_once_and_exactly_when_it_is_due() {
    let mut driver = MetricTestDriver::new(E2eLatency { settle_ms: 10_000 });
    driver.event(&trace(PROCESSED, 3000, "0xa"));
    driver.event(&trace(SENT, 1000, "0xa"));
    driver.advance_watermark(10_999);
    assert!(driver.rows().is_empty());
    driver.advance_watermark(11_000);
    assert_eq!(driver.rows()[0].event_time_ms, 11_000);
    // The timer of 13,000 is due too, and a swap repeats the events.
    driver.event(&trace(SENT, 20_000, "0xb"));
    driver.event(&trace(PROCESSED, 21_000, "0xb"));
    driver.finish();
    assert_eq!(driver.rows().len(), 1);
    assert_eq!(driver.rows()[0].latency_ms, Some(2000));
}

#[test]
fn other_steps_and_events_change_nothing() {
    assert_eq!(rows_of(&[trace("gateway_receive_stream_request", 1000, ""), trace("stream_started", 7, "")]), []);
}

#[test]
fn settings_are_checked() {
    let refused = |json: &str| E2eLatency::configure(json).err().map(|failure| failure.to_string());
    assert_eq!(refused("{}"), None);
    assert_eq!(refused(r#"{"settle_ms": -1}"#).as_deref(), Some("settle_ms must be positive"));
}
