//! The share on hand-made rows, and on those that startup-outcome really makes.

use super::*;
use startup_outcome::StartupOutcome;
use tidemark_metric::testing::{MetricTestDriver, real_capture};

fn request(time_ms: i64, loading_only: &str, zero_fps: &str) -> String {
    format!(
        r#"{{"type": "metric.startup-outcome", "timestamp": {time_ms},
            "data": {{"orchestrator": "0xa", "loading_only": {loading_only}, "zero_fps": {zero_fps}}}}}"#
    )
}

/// Checks the only row of these events.
fn row_of(events: &[String], check: impl Fn(&str, &Failures)) {
    let mut driver = MetricTestDriver::new(FailureRate);
    driver.events(events.iter().map(String::as_str));
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one hour, one row") };
    check(row.key, row);
}

/// What startup-outcome makes of these events.
fn outcomes_of<'a>(events: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut driver = MetricTestDriver::new(StartupOutcome);
    driver.events(events);
    driver.finish();
    driver.rows_as_events()
}

#[test]
fn the_rows_of_real_sessions_make_a_rate() {
    let expected = [
        ("session_db936fab.jsonl", "0x52cf2968b3dc6016778742d3539449a6597d5954"),
        ("session_bd1cd871_swap.jsonl", "0x5fd25374e1e87d6728ec8601c512dfabab375ab5"),
    ];
    for (file, orchestrator) in expected {
        let Some(capture) = real_capture(file) else { return };
        row_of(&outcomes_of(capture.lines()), |key, row| {
            assert_eq!((key, row.requested, row.failed, row.failure_rate), (orchestrator, 1, 0, 0.0));
        });
    }
}

#[test]
fn a_request_that_fails_both_ways_counts_once() {
    let events = [
        request(0, "true", "true"),
        request(1, "true", "false"),
        request(2, "false", "true"),
        request(3, "false", "false"),
        request(4, "null", "null"),
    ];
    row_of(&events, |_, row| {
        assert_eq!((row.requested, row.failed, row.failure_rate), (5, 3, 0.6));
        assert_eq!((row.loading_only, row.zero_fps, row.without_status), (2, 2, 1));
    });
}

#[test]
fn a_start_across_a_full_hour_is_no_failure() {
    let event = |event_type: &str, time_ms: i64, data: &str| {
        format!(
            r#"{{"type": "{event_type}", "timestamp": {time_ms}, "data": {{"request_id": "r",
                "orchestrator_info": {{"address": "0xa"}}, {data}}}}}"#
        )
    };
    let events = [
        event("stream_trace", 3_590_000, r#""type": "gateway_receive_stream_request""#),
        event("ai_stream_status", 3_599_000, r#""state": "LOADING", "inference_status": {"fps": 0}"#),
        event("ai_stream_status", 3_609_000, r#""state": "ONLINE", "inference_status": {"fps": 17.3}"#),
    ];
    row_of(&outcomes_of(events.iter().map(String::as_str)), |_, row| {
        assert_eq!((row.requested, row.failed), (1, 0));
    });
}

#[test]
fn requests_that_nobody_took_and_other_metrics_are_left_out() {
    let mut driver = MetricTestDriver::new(FailureRate);
    driver.event(&request(0, "true", "true").replace("0xa", ""));
    driver.event(&request(0, "true", "true").replace("startup-outcome", "startup-latency"));
    driver.finish();
    assert!(driver.rows().is_empty());
}

#[test]
fn a_late_row_is_not_counted() {
    let mut driver = MetricTestDriver::new(FailureRate);
    driver.event(&request(3_599_999, "false", "false"));
    driver.advance_watermark(3_599_999);
    driver.event(&request(0, "true", "true"));
    driver.finish();
    assert_eq!((driver.rows().len(), driver.rows()[0].failed, driver.late()), (1, 0, 1));
}

#[test]
fn every_field_is_merged() {
    let hour = || Hour { requested: 1, failed: 2, loading_only: 3, zero_fps: 4, without_status: 5 };
    let (mut merged, mut bytes) = (hour(), Vec::new());
    FailureRate.merge(&mut merged, hour()).expect("merging cannot fail");
    merged.encode(&mut bytes);
    let twice: Vec<u8> = (1..=5).flat_map(|n: i64| (2 * n).to_le_bytes()).collect();
    assert_eq!(bytes, twice);
}
