//! Known answers from real sessions, and the edges of the definition.

use super::*;
use tidemark_metric::testing::{MetricTestDriver, real_capture};

fn trace(kind: &str, time_ms: i64, orchestrator: &str) -> String {
    format!(
        r#"{{"type": "stream_trace", "timestamp": "{time_ms}", "gateway": "g", "data": {{"type": "{kind}",
            "request_id": "r", "stream_id": "s", "timestamp": {time_ms},
            "orchestrator_info": {{"address": "{orchestrator}"}}}}}}"#
    )
}

fn request(time_ms: i64) -> String {
    trace("gateway_receive_stream_request", time_ms, "")
}

fn segment(time_ms: i64, orchestrator: &str) -> String {
    trace("gateway_receive_first_processed_segment", time_ms, orchestrator)
}

/// Latency, orchestrator and whether matched, of each request.
fn rows_of(events: &[String]) -> Vec<(Option<i64>, Option<String>, bool)> {
    let mut driver = MetricTestDriver::new(PromptToFirstFrame);
    events.iter().for_each(|event| driver.event(event));
    driver.finish();
    let row = |row: &Latency| (row.latency_ms, row.orchestrator.map(str::to_owned), row.matched);
    driver.rows().iter().map(|emitted| row(emitted)).collect()
}

#[test]
fn real_sessions_have_their_known_answers() {
    let expected = [
        ("session_db936fab.jsonl", "db936fab", Some(2655), true),
        ("session_bd1cd871_swap.jsonl", "bd1cd871", Some(10_777), true),
        ("session_a06463a9_no_orchestrator.jsonl", "a06463a9", None, false),
    ];
    for (file, request_id, latency_ms, matched) in expected {
        let Some(capture) = real_capture(file) else { return };
        let mut driver = MetricTestDriver::new(PromptToFirstFrame);
        driver.events(capture.lines());
        driver.finish();
        let [row] = &driver.rows()[..] else { panic!("{file}: one request, one row") };
        assert_eq!((row.request_id, row.latency_ms, row.matched), (request_id, latency_ms, matched));
        assert_eq!(row.orchestrator.is_some(), matched);
    }
}

#[test]
fn a_row_has_the_times_of_the_pair_and_the_names_of_the_request() {
    let mut driver = MetricTestDriver::new(PromptToFirstFrame);
    driver.event(&request(1000));
    driver.event(&segment(3500, "0xa"));
    driver.advance_watermark(3499);
    assert!(driver.rows().is_empty(), "an earlier segment may still come");
    driver.advance_watermark(3500);
    let [row] = &driver.rows()[..] else { panic!("one row") };
    assert_eq!((row.key, row.window_start_ms, row.window_end_ms, row.event_time_ms), ("r", 1000, 1001, 3500));
    assert_eq!((row.request_id, row.stream_id, row.gateway), ("r", Some("s"), Some("g")));
    assert_eq!((row.orchestrator, row.latency_ms), (Some("0xa"), Some(2500)));
}

#[test]
fn the_first_segment_counts_in_any_order_of_arrival() {
    let first = [(Some(2000), Some("0xa".to_owned()), true)];
    assert_eq!(rows_of(&[segment(9000, "0xb"), segment(3000, "0xa"), request(1000)]), first);
    assert_eq!(rows_of(&[request(1000), segment(9000, "0xb"), segment(3000, "0xa")]), first);
}

#[test]
fn both_bounds_belong_to_the_interval() {
    let matched = |distance_ms: i64| rows_of(&[request(100_000), segment(100_000 + distance_ms, "0xa")])[0].2;
    assert_eq!([-10_001, -10_000, 60_000, 60_001].map(matched), [false, true, true, false]);
}

#[test]
fn a_negative_latency_is_null_and_zero_is_not() {
    let latency_ms = |distance_ms: i64| rows_of(&[request(5000), segment(5000 + distance_ms, "0xa")])[0].0;
    assert_eq!([-1, 0, 1].map(latency_ms), [None, Some(0), Some(1)]);
}

#[test]
fn a_request_without_a_segment_comes_when_no_segment_can() {
    let mut driver = MetricTestDriver::new(PromptToFirstFrame);
    driver.event(&request(1000));
    driver.advance_watermark(60_999);
    assert!(driver.rows().is_empty());
    driver.advance_watermark(61_000);
    let [row] = &driver.rows()[..] else { panic!("one row") };
    assert_eq!((row.latency_ms, row.orchestrator, row.matched), (None, None, false));
}

#[test]
fn a_segment_alone_is_no_row_and_an_empty_orchestrator_is_null() {
    assert_eq!(rows_of(&[segment(1000, "0xa")]), []);
    assert_eq!(rows_of(&[request(1000), segment(1500, "")]), [(Some(500), None, true)]);
}
