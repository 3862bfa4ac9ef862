//! The formula on hand-made hours, and on the rows that the other metrics really make.

use super::*;
use tidemark_metric::testing::{MetricTestDriver, real_capture};

const BENCHMARKS: &str = r#"{
    "prompt_to_first_frame_ms": {"p50": 2000, "p90": 6000},
    "e2e_latency_ms": {"p50": 100, "p90": 500},
    "fps": {"p50": 16, "p10": 8}
}"#;

fn row(metric: &str, data: &str) -> String {
    format!(r#"{{"type": "metric.{metric}", "timestamp": 1000, "data": {{"orchestrator": "0xa", {data}}}}}"#)
}

fn session(columns: &str) -> String {
    row("startup-latency", &format!(r#""requested": true, {columns}"#))
}

const GOOD: &str =
    r#""first_frame": true, "playable": true, "swapped": false, "status_seen": true, "output_viable": true"#;
const BAD: &str =
    r#""first_frame": false, "playable": false, "swapped": true, "status_seen": true, "output_viable": false"#;

/// The one row that these rows make.
fn score_of(settings: &str, events: &[String], check: impl Fn(&Score)) {
    let mut driver = MetricTestDriver::<SlaScore>::configured(settings);
    driver.events(events.iter().map(String::as_str));
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one hour, one row") };
    check(row);
}

fn close_to(value: impl Into<Option<f64>>, expected: f64) {
    let value = value.into().expect("a number");
    assert!((value - expected).abs() <= 1e-12, "{value} is not {expected}");
}

#[test]
fn a_faultless_hour_scores_a_hundred() {
    let mut events = vec![session(GOOD); 2];
    events.extend(vec![row("prompt-to-first-frame", r#""latency_ms": 1500"#); 10]);
    events.extend(vec![row("startup-latency", r#""requested": false, "e2e_latency_ms": 90"#); 10]);
    events.push(row("jitter-coefficient", r#""samples": 30, "zero_samples": 0, "mean_fps": 18"#));
    score_of(BENCHMARKS, &events, |score| {
        close_to(score.score, 100.0);
        assert_eq!((score.requested, score.signals, score.fps_samples), (2, 6, 30));
    });
}

#[test]
fn the_formula_holds_on_a_mixed_hour() {
    let mut events = vec![session(GOOD), session(GOOD), session(GOOD), session(BAD)];
    events.extend(vec![row("prompt-to-first-frame", r#""latency_ms": 3000"#); 5]);
    events.push(row("startup-latency", r#""requested": false, "e2e_latency_ms": 500"#));
    events.push(row("jitter-coefficient", r#""samples": 20, "zero_samples": 5, "mean_fps": 9"#));
    score_of(BENCHMARKS, &events, |score| {
        close_to(score.prompt_to_first_frame_score, 0.5 + 0.25 * 0.5);
        close_to(score.e2e_latency_score, 0.5 - 0.5 * 0.1);
        // 180 frames a second over the 15 samples that are not zero: a mean of 12.
        close_to(score.fps_score, 0.5);
        close_to(score.quality, 0.6 * (0.6 * 0.625 + 0.4 * 0.45) + 0.4 * 0.5);
        close_to(score.coverage, 10.0 / 12.0);
        close_to(score.reliability, 0.75);
        close_to(score.score, 100.0 * (10.0 / 12.0) * (0.7 * 0.75 + 0.3 * 0.533));
    });
}

#[test]
fn without_benchmarks_quality_is_neutral() {
    let events = [session(GOOD), row("prompt-to-first-frame", r#""latency_ms": 1"#)];
    score_of("{}", &events, |score| {
        close_to(score.quality, 0.5);
        close_to(score.score, 100.0 * (0.7 + 0.3 * 0.5));
        assert_eq!(score.prompt_to_first_frame_samples, 1);
    });
}

#[test]
fn an_hour_without_a_request_has_no_score() {
    let events = [row("jitter-coefficient", r#""samples": 60, "zero_samples": 0, "mean_fps": 16"#)];
    score_of(BENCHMARKS, &events, |score| {
        assert_eq!((score.score, score.coverage, score.reliability), (None, None, None));
        close_to(score.fps_score, 1.0);
    });
}

#[test]
fn an_unreported_output_counts_against_coverage_only() {
    let silent =
        r#""first_frame": true, "playable": true, "swapped": false, "status_seen": false, "output_viable": null"#;
    score_of("{}", &[session(silent)], |score| {
        close_to(score.output_viability, 1.0);
        close_to(score.coverage, 2.0 / 3.0);
    });
}

#[test]
fn rows_without_an_orchestrator_and_other_metrics_are_left_out() {
    let mut driver = MetricTestDriver::<SlaScore>::configured("{}");
    driver.event(&session(GOOD).replace("0xa", ""));
    driver.event(&row("output-fps", r#""samples": 3"#));
    driver.finish();
    assert!(driver.rows().is_empty());
}

#[test]
fn hours_fold_apart_and_merge() {
    let metric = SlaScore { prompt_to_first_frame_ms: None, e2e_latency_ms: None, fps: None };
    let one = || Hour {
        requested: 1,
        playable: 2,
        swapped: 3,
        not_viable: 4,
        signals: 5,
        first_frames: 6,
        first_frames_ms: 7,
        e2e_latencies: 8,
        e2e_latencies_ms: 9,
        frame_rates: 10,
        frame_rates_sum: 11.0,
    };
    let mut merged = one();
    metric.merge(&mut merged, one()).expect("merging cannot fail");
    let mut twice = Vec::new();
    merged.encode(&mut twice);
    let expected: Vec<u8> = (1..=10).flat_map(|n: i64| (2 * n).to_le_bytes()).chain(22.0_f64.to_le_bytes()).collect();
    assert_eq!(twice, expected, "every field is merged");
}

#[test]
fn the_rows_of_a_real_session_make_a_score() {
    let Some(capture) = real_capture("session_db936fab.jsonl") else { return };
    let mut rows = rows_of(MetricTestDriver::<jitter_coefficient::JitterCoefficient>::configured("{}"), &capture);
    rows.extend(rows_of(MetricTestDriver::<startup_latency::StartupLatency>::configured("{}"), &capture));
    rows.extend(rows_of(MetricTestDriver::<prompt_to_first_frame::PromptToFirstFrame>::configured("{}"), &capture));
    let mut driver = MetricTestDriver::<SlaScore>::configured(BENCHMARKS);
    driver.events(rows.iter().map(String::as_str));
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one hour, one row") };
    assert_eq!(row.key, "0x52cf2968b3dc6016778742d3539449a6597d5954");
    assert_eq!((row.requested, row.playable, row.signals, row.fps_samples), (1, 1, 3, 17));
    // 2,655 ms of 2,000…6,000 and 105 ms of 100…500, one sample of ten each; 15.99995 fps of 8…16, 17 of 30.
    close_to(row.prompt_to_first_frame_score, 0.5 + (0.836_25 - 0.5) * 0.1);
    close_to(row.e2e_latency_score, 0.5 + (0.9875 - 0.5) * 0.1);
    assert!((row.fps_score - (0.5 + 0.5 * 17.0 / 30.0)).abs() < 1e-5);
    close_to(row.reliability, 1.0);
    close_to(row.score, 100.0 * (0.7 + 0.3 * row.quality));
}

fn rows_of<M: Metric>(mut driver: MetricTestDriver<M>, capture: &str) -> Vec<String> {
    driver.events(capture.lines());
    driver.finish();
    driver.rows_as_events()
}

#[test]
fn settings_are_checked() {
    let refused = |json: &str| SlaScore::configure(json).err().map(|failure| failure.to_string());
    assert_eq!(refused(BENCHMARKS), None);
    assert_eq!(
        refused(r#"{"e2e_latency_ms": {"p50": 2, "p90": 2}}"#).as_deref(),
        Some("e2e_latency_ms: p90 must be greater than p50")
    );
    assert_eq!(refused(r#"{"fps": {"p50": 8, "p10": 16}}"#).as_deref(), Some("fps: p10 must be less than p50"));
    assert_eq!(refused(r#"{"fps": {"p50": 8}}"#).as_deref(), Some("fps: p10 is missing"));
}
