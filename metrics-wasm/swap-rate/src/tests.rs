//! The share on hand-made rows, and on those that startup-outcome really makes.

use super::*;
use startup_outcome::StartupOutcome;
use tidemark_metric::testing::{MetricTestDriver, real_capture};

fn request(time_ms: i64, orchestrator: &str, swaps: &str) -> String {
    format!(
        r#"{{"type": "metric.startup-outcome", "timestamp": {time_ms},
            "data": {{"orchestrator": "{orchestrator}", "swaps": {swaps}}}}}"#
    )
}

/// Key, start of the hour, requests, swapped ones and rate, of each row.
fn rows_of(events: &[String]) -> Vec<(String, i64, i64, i64, f64)> {
    let mut driver = MetricTestDriver::new(SwapRate);
    driver.events(events.iter().map(String::as_str));
    driver.finish();
    let row =
        |key: &str, start_ms: i64, row: &Swaps| (key.to_owned(), start_ms, row.requested, row.swapped, row.swap_rate);
    driver.rows().iter().map(|emitted| row(emitted.key, emitted.window_start_ms, emitted)).collect()
}

#[test]
fn the_rows_of_real_sessions_make_a_rate() {
    let mut rows = Vec::new();
    let files = ["session_db936fab.jsonl", "session_bd1cd871_swap.jsonl", "session_a06463a9_no_orchestrator.jsonl"];
    for file in files {
        let Some(capture) = real_capture(file) else { return };
        let mut driver = MetricTestDriver::new(StartupOutcome);
        driver.events(capture.lines());
        driver.finish();
        rows.extend(driver.rows_as_events());
    }
    let steady = ("0x52cf2968b3dc6016778742d3539449a6597d5954".to_owned(), 1_767_906_000_000, 1, 0, 0.0);
    let abandoned = ("0x5fd25374e1e87d6728ec8601c512dfabab375ab5".to_owned(), 1_772_046_000_000, 1, 1, 1.0);
    assert_eq!(rows_of(&rows), [steady, abandoned]);
}

#[test]
fn a_request_counts_once_however_often_it_was_swapped() {
    let events = [request(0, "0xa", "0"), request(1, "0xa", "3"), request(2, "0xa", "1"), request(3, "0xa", "0")];
    assert_eq!(rows_of(&events), [("0xa".to_owned(), 0, 4, 2, 0.5)]);
}

#[test]
fn each_orchestrator_and_hour_has_its_own() {
    let events = [
        request(0, "0xa", "1"),
        request(0, "0xb", "0"),
        request(3_599_999, "0xa", "0"),
        request(3_600_000, "0xa", "0"),
    ];
    assert_eq!(
        rows_of(&events),
        [("0xa".to_owned(), 0, 2, 1, 0.5), ("0xb".to_owned(), 0, 1, 0, 0.0), ("0xa".to_owned(), 3_600_000, 1, 0, 0.0)]
    );
}

#[test]
fn requests_that_nobody_took_and_other_metrics_are_left_out() {
    let other = request(0, "0xa", "1").replace("startup-outcome", "startup-latency");
    let nobody = [request(0, "", "0"), request(0, "0xa", "0").replace("\"0xa\"", "null")];
    assert_eq!(rows_of(&[&nobody[..], &[other]].concat()), []);
    assert_eq!(rows_of(&[request(0, "0xa", "null")]), [("0xa".to_owned(), 0, 1, 0, 0.0)]);
}

#[test]
fn a_late_row_corrects_the_hour_within_the_allowed_lateness() {
    let mut driver = MetricTestDriver::new(SwapRate).with_allowed_lateness(60_000);
    driver.event(&request(0, "0xa", "0"));
    driver.advance_watermark(3_600_000);
    driver.event(&request(1, "0xa", "1"));
    driver.finish();
    assert_eq!(driver.rows().iter().map(|row| row.swap_rate).collect::<Vec<_>>(), [0.0, 0.5]);
}

#[test]
fn hours_merge() {
    let mut hour = Hour { requested: 3, swapped: 1 };
    SwapRate.merge(&mut hour, Hour { requested: 2, swapped: 2 }).expect("merging cannot fail");
    assert_eq!((hour.requested, hour.swapped), (5, 3));
}
