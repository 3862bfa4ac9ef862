//! Known answers from real sessions, and the edges of the definition.

use super::*;
use tidemark_metric::testing::{MetricTestDriver, real_capture};

const REQUEST: &str = "gateway_receive_stream_request";
const FIRST: &str = "gateway_receive_first_processed_segment";
const FEW: &str = "gateway_receive_few_processed_segments";

fn driver() -> MetricTestDriver<StartupLatency> {
    MetricTestDriver::configured("{}")
}

fn trace(kind: &str, time_ms: i64, orchestrator: &str) -> String {
    format!(
        r#"{{"type": "stream_trace", "timestamp": "{time_ms}", "data": {{"type": "{kind}", "request_id": "r",
            "stream_id": "s", "orchestrator_info": {{"address": "{orchestrator}"}}}}}}"#
    )
}

fn status(state: &str, time_ms: i64, fps: f64) -> String {
    format!(
        r#"{{"type": "ai_stream_status", "timestamp": "{time_ms}", "data": {{"request_id": "r", "stream_id": "s",
            "state": "{state}", "inference_status": {{"fps": {fps}}}}}}}"#
    )
}

#[test]
fn a_real_session_has_its_known_answers() {
    let Some(capture) = real_capture("session_db936fab.jsonl") else { return };
    let mut driver = driver();
    driver.events(capture.lines());
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one request, one row") };
    assert_eq!(row.request_id, "db936fab");
    assert_eq!(row.startup_latency_ms, Some(4089));
    assert_eq!(row.prompt_to_playable_ms, Some(6744));
    assert_eq!(row.e2e_latency_ms, Some(105));
    assert_eq!((row.requested, row.first_frame, row.playable, row.swapped), (true, true, true, false));
    assert_eq!((row.status_seen, row.output_viable), (true, Some(true)));
    assert_eq!(row.orchestrator, Some("0x52cf2968b3dc6016778742d3539449a6597d5954"));
    assert_eq!(row.event_time_ms, 1_767_908_945_298 + 120_000);
}

#[test]
fn a_real_swap_is_seen_and_its_negative_latency_is_null() {
    let Some(capture) = real_capture("session_bd1cd871_swap.jsonl") else { return };
    let mut driver = driver();
    driver.events(capture.lines());
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one request, one row") };
    assert_eq!((row.e2e_latency_ms, row.swapped, row.playable), (None, true, true));
    assert_eq!(row.orchestrator, Some("0x5fd25374e1e87d6728ec8601c512dfabab375ab5"));
}

#[test]
fn a_real_request_that_nobody_took_is_a_row() {
    let Some(capture) = real_capture("session_a06463a9_no_orchestrator.jsonl") else { return };
    let mut driver = driver();
    driver.events(capture.lines());
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one request, one row") };
    assert_eq!((row.requested, row.playable, row.orchestrator), (true, false, None));
    assert_eq!((row.status_seen, row.output_viable), (false, None));
}

#[test]
fn the_order_of_arrival_decides_nothing() {
    let events = [
        trace(REQUEST, 1000, ""),
        trace(FIRST, 3000, "0xa"),
        trace("orchestrator_swap", 5000, "0xa"),
        trace(FIRST, 6000, "0xb"),
        trace(FEW, 8000, "0xb"),
        status("LOADING", 8500, 0.0),
        // After the row is due, at 121,000: ahead of a watermark that has not come so far.
        status("ONLINE", 121_001, 17.0),
    ];
    let mut seen = Vec::new();
    for rotation in 0..events.len() {
        let mut driver = driver();
        events.iter().cycle().skip(rotation).take(events.len()).for_each(|event| driver.event(event));
        driver.finish();
        seen.push(driver.rows_as_events());
    }
    assert!(seen.iter().all(|rows| *rows == seen[0]), "{seen:#?}");
    let [row] = &seen[0][..] else { panic!("one row") };
    assert!(row.contains(r#""startup_latency_ms":5000,"prompt_to_playable_ms":7000"#), "{row}");
    assert!(row.contains(r#""orchestrator":"0xa""#) && row.contains(r#""swapped":true"#), "{row}");
    assert!(row.contains(r#""output_viable":false"#), "what comes after the row is due does not count: {row}");
}

#[test]
fn a_row_comes_once_and_exactly_when_it_is_due() {
    let mut driver = MetricTestDriver::new(StartupLatency { settle_ms: 10_000 });
    driver.event(&trace(FIRST, 3000, "0xa"));
    driver.event(&trace(REQUEST, 1000, ""));
    driver.advance_watermark(10_999);
    assert!(driver.rows().is_empty());
    driver.advance_watermark(11_000);
    assert_eq!(driver.rows()[0].event_time_ms, 11_000);
    // The timer of 13,000 is due too, and a swap repeats the events.
    driver.event(&trace(FIRST, 20_000, "0xb"));
    driver.finish();
    assert_eq!(driver.rows().len(), 1);
}

#[test]
fn the_life_of_a_stream_keeps_the_state_that_remembers_its_row() {
    let mut driver = driver();
    driver.event(&trace(REQUEST, 0, ""));
    for minute in 1..180 {
        driver.event(&status("ONLINE", minute * 60_000, 20.0));
        driver.advance_watermark(minute * 60_000);
    }
    driver.event(&trace("orchestrator_swap", 180 * 60_000, "0xa"));
    driver.finish();
    assert_eq!(driver.rows().len(), 1);
}

#[test]
fn expiry_is_the_last_resort() {
    let mut driver = MetricTestDriver::new(StartupLatency { settle_ms: 7_200_000 });
    driver.event(&trace(REQUEST, 0, ""));
    driver.advance_watermark(3_600_000);
    assert_eq!(driver.rows().len(), 1);
    driver.finish();
    assert_eq!(driver.rows().len(), 1);
}

#[test]
fn output_is_viable_once_loaded_and_with_frames() {
    let viable = |statuses: &[(&str, f64)]| {
        let mut driver = driver();
        driver.event(&trace(REQUEST, 0, ""));
        statuses.iter().for_each(|(state, fps)| driver.event(&status(state, 1000, *fps)));
        driver.finish();
        driver.rows()[0].output_viable
    };
    assert_eq!(viable(&[]), None);
    assert_eq!(viable(&[("LOADING", 0.0)]), Some(false), "loading only");
    assert_eq!(viable(&[("LOADING", 0.0), ("ONLINE", 0.0)]), Some(false), "zero frames");
    assert_eq!(viable(&[("LOADING", 0.0), ("DEGRADED_INPUT", 8.0)]), Some(true));
}

#[test]
fn foreign_events_are_no_request() {
    let mut driver = driver();
    driver.event(&trace("app_start", 1000, "0xa"));
    driver.event(&trace("stream_started", 2000, "0xa"));
    driver.finish();
    assert!(driver.rows().is_empty());
}

#[test]
fn settings_are_checked() {
    let refused = |json: &str| StartupLatency::configure(json).err().map(|failure| failure.to_string());
    assert_eq!(refused("null"), None);
    assert_eq!(refused(r#"{"settle_ms": 0}"#).as_deref(), Some("settle_ms must be positive"));
    assert_eq!(refused(r#"{"settle": 1}"#).as_deref(), Some("there is no setting settle; there are settle_ms"));
    assert_eq!(refused(r#"{"settle_ms": 1.5}"#).as_deref(), Some("settle_ms: 1.5 is not a whole number"));
}
