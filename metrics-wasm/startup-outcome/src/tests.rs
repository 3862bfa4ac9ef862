//! Known answers from real sessions, and the edges of the definition.

use super::*;
use tidemark_metric::testing::{MetricTestDriver, real_capture};

const REQUEST: &str = "gateway_receive_stream_request";
const FEW: &str = "gateway_receive_few_processed_segments";
const REFUSED: &str = "gateway_no_orchestrators_available";
const SWAP: &str = "orchestrator_swap";

fn trace(kind: &str, time_ms: i64, orchestrator: &str) -> String {
    format!(
        r#"{{"type": "stream_trace", "timestamp": "{time_ms}", "data": {{"type": "{kind}", "request_id": "r",
            "stream_id": "s", "orchestrator_info": {{"address": "{orchestrator}"}}}}}}"#
    )
}

fn stream_event(kind: &str, time_ms: i64, message: &str) -> String {
    format!(
        r#"{{"type": "ai_stream_events", "timestamp": "{time_ms}", "data": {{"type": "{kind}", "request_id": "r",
            "message": "{message}"}}}}"#
    )
}

fn error(time_ms: i64, message: &str) -> String {
    stream_event("error", time_ms, message)
}

fn status(state: &str, time_ms: i64, fps: &str) -> String {
    format!(
        r#"{{"type": "ai_stream_status", "timestamp": "{time_ms}", "data": {{"type": "status", "request_id": "r",
            "state": "{state}", "inference_status": {{"fps": {fps}}}}}}}"#
    )
}

/// Checks the only row of these events.
fn row_of(events: &[String], check: impl Fn(&Outcome)) {
    let mut driver = MetricTestDriver::new(StartupOutcome);
    events.iter().for_each(|event| driver.event(event));
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one request, one row") };
    check(row);
}

/// The outcome of each row of these events.
fn outcomes_of(events: &[String]) -> Vec<String> {
    let mut driver = MetricTestDriver::new(StartupOutcome);
    events.iter().for_each(|event| driver.event(event));
    driver.finish();
    driver.rows().iter().map(|row| row.outcome.to_owned()).collect()
}

#[test]
fn real_sessions_have_their_known_answers() {
    let expected = [
        ("session_db936fab.jsonl", "db936fab", "success", (0, 0, 0), (Some(false), Some(false))),
        ("session_bd1cd871_swap.jsonl", "bd1cd871", "success", (5, 2, 1), (Some(false), Some(false))),
        ("session_a06463a9_no_orchestrator.jsonl", "a06463a9", "no-orchestrator", (2, 2, 0), (None, None)),
    ];
    for (file, request_id, outcome, counts, shown) in expected {
        let Some(capture) = real_capture(file) else { return };
        let mut driver = MetricTestDriver::new(StartupOutcome);
        driver.events(capture.lines());
        driver.finish();
        let [row] = &driver.rows()[..] else { panic!("{file}: one request, one row") };
        assert_eq!((row.request_id, row.outcome), (request_id, outcome));
        assert_eq!((row.errors, row.excusable_errors, row.swaps), counts, "{file}");
        assert_eq!((row.loading_only, row.zero_fps), shown, "{file}");
        assert_eq!(row.orchestrator.is_some(), outcome == "success", "{file}");
    }
}

#[test]
fn the_first_rule_that_holds_decides() {
    let request = || trace(REQUEST, 0, "");
    let (few, refused) = (trace(FEW, 5000, "0xa"), trace(REFUSED, 6000, ""));
    let (excused, unexcused) = (error(7000, "user disconnected"), error(8000, "inference failed: timeout"));
    let all = [request(), few.clone(), refused.clone(), excused.clone(), unexcused.clone()];
    assert_eq!(outcomes_of(&all), ["success"]);
    assert_eq!(outcomes_of(&[request(), refused, excused.clone(), unexcused.clone()]), ["no-orchestrator"]);
    assert_eq!(outcomes_of(&[request(), excused, unexcused.clone()]), ["excused"]);
    assert_eq!(outcomes_of(&[request(), unexcused]), ["failed"]);
    assert_eq!(outcomes_of(&[request()]), ["failed"]);
}

#[test]
fn excuses_are_found_anywhere_in_an_error_in_any_case() {
    let with = |event: String| outcomes_of(&[trace(REQUEST, 0, ""), event]);
    for excuse in EXCUSES {
        assert_eq!(with(error(1000, &format!("gateway: {}!", excuse.to_uppercase()))), ["excused"]);
    }
    assert_eq!(with(error(1000, "ICE connection state failed")), ["excused"]);
    assert_eq!(with(error(1000, "missing audio")), ["failed"]);
    assert_eq!(with(stream_event("restart", 1000, "user disconnected")), ["failed"], "no error");
    row_of(&[trace(REQUEST, 0, ""), error(1, "whip disconnected"), error(2, "x"), error(3, "")], |row| {
        assert_eq!((row.errors, row.excusable_errors), (3, 1));
    });
}

#[test]
fn the_order_of_arrival_decides_nothing() {
    let events = [
        trace(REQUEST, 1000, ""),
        status("LOADING", 60_000, "0"),
        trace(SWAP, 90_000, "0xa"),
        status("ONLINE", 150_000, "20"),
        error(170_000, "mediamtx ingest disconnected"),
    ];
    let mut seen = Vec::new();
    for rotation in 0..events.len() {
        let mut driver = MetricTestDriver::new(StartupOutcome);
        events.iter().cycle().skip(rotation).take(events.len()).for_each(|event| driver.event(event));
        driver.finish();
        seen.push(driver.rows_as_events());
    }
    assert!(seen.iter().all(|rows| *rows == seen[0]), "{seen:#?}");
    let [row] = &seen[0][..] else { panic!("one row") };
    assert!(row.contains(r#""orchestrator":"0xa","outcome":"excused","errors":1"#), "{row}");
    assert!(row.contains(r#""swaps":1,"loading_only":false,"zero_fps":false"#), "{row}");
}

#[test]
fn a_swap_counts_against_the_first_orchestrator() {
    row_of(&[trace(REQUEST, 0, ""), trace(SWAP, 9000, "0xa"), trace(FEW, 12_000, "0xb")], |row| {
        assert_eq!((row.orchestrator, row.swaps, row.outcome), (Some("0xa"), 1, "success"));
    });
}

#[test]
fn statuses_show_whether_something_came_out() {
    let shown = |statuses: &[(&str, &str)]| {
        let statuses = statuses.iter().map(|(state, fps)| status(state, 1000, fps));
        let events: Vec<_> = [trace(REQUEST, 0, "")].into_iter().chain(statuses).collect();
        let mut driver = MetricTestDriver::new(StartupOutcome);
        driver.events(events.iter().map(String::as_str));
        driver.finish();
        (driver.rows()[0].loading_only, driver.rows()[0].zero_fps)
    };
    assert_eq!(shown(&[]), (None, None));
    assert_eq!(shown(&[("LOADING", "0"), ("LOADING", "0.0")]), (Some(true), Some(true)));
    assert_eq!(shown(&[("LOADING", "0"), ("ONLINE", "null")]), (Some(false), Some(true)));
    assert_eq!(shown(&[("LOADING", "12")]), (Some(true), Some(false)));
    assert_eq!(shown(&[("ONLINE", "0"), ("DEGRADED_INPUT", "8.5")]), (Some(false), Some(false)));
}

#[test]
fn statuses_hold_a_long_session_together() {
    let mut events = vec![trace(REQUEST, 0, ""), trace(FEW, 5000, "0xa")];
    events.extend((1..=60).map(|minute| status("ONLINE", minute * 60_000, "20")));
    events.push(trace(SWAP, 3_601_000, "0xa"));
    events.push(error(3_634_000, "mediamtx ingest disconnected"));
    row_of(&events, |row| assert_eq!((row.outcome, row.swaps, row.errors), ("success", 1, 1)));
}

#[test]
fn a_row_comes_two_minutes_after_the_last_event_and_later_ones_are_none() {
    let mut driver = MetricTestDriver::new(StartupOutcome);
    driver.event(&trace(REQUEST, 0, ""));
    driver.event(&trace(REFUSED, 1000, ""));
    driver.advance_watermark(120_998);
    assert!(driver.rows().is_empty());
    driver.advance_watermark(120_999);
    assert_eq!((driver.rows()[0].event_time_ms, driver.rows()[0].outcome), (120_999, "no-orchestrator"));
    driver.event(&trace(FEW, 900, "0xa"));
    assert_eq!(driver.late(), 1);
    // A tail without the request.
    driver.event(&error(300_000, "user disconnected"));
    driver.finish();
    assert_eq!(driver.rows().len(), 1);
}

#[test]
fn foreign_events_alone_are_no_session() {
    let events = [trace("stream_started", 7, ""), trace("app_start", 1000, ""), status("ONLINE", 2000, "9")];
    assert!(outcomes_of(&events).is_empty());
}

#[test]
fn every_field_is_merged() {
    let full = || {
        let mut session = Session {
            requested: true,
            playable: true,
            refused: true,
            errors: 1,
            excusable_errors: 2,
            swaps: 3,
            statuses: 4,
            loaded: true,
            frames: true,
            ..Session::default()
        };
        session.stream_id.offer(5, Some("s"));
        session.orchestrator.offer(6, Some("0xa"));
        session
    };
    let merged = |mut session: Session, later: Session| {
        StartupOutcome.merge(&mut session, later).expect("merging cannot fail");
        let mut bytes = Vec::new();
        session.encode(&mut bytes);
        bytes
    };
    assert_eq!(merged(full(), Session::default()), merged(Session::default(), full()));
    let twice = Session { errors: 2, excusable_errors: 4, swaps: 6, statuses: 8, ..full() };
    assert_eq!(merged(full(), full()), merged(twice, Session::default()));
}
