//! Known answers from a real session, and the edges of the definition.

use super::*;
use tidemark_metric::facts::Window;
use tidemark_metric::testing::{MetricTestDriver, real_capture};

/// A status of stream `s`, `seconds` after the epoch.
fn status(seconds: f64, fps: &str) -> String {
    let timestamp = (seconds * 1000.0) as i64;
    format!(
        r#"{{"type": "ai_stream_status", "timestamp": "0", "data":
            {{"stream_id": "s", "timestamp": {timestamp}, "inference_status": {{"fps": {fps}}}}}}}"#
    )
}

/// Samples, zero samples, mean and jitter of the only window of these frame rates.
fn window_of(rates: &[&str]) -> (i64, i64, Option<f64>, Option<f64>) {
    let mut driver = MetricTestDriver::new(JitterCoefficient);
    for (second, fps) in rates.iter().enumerate() {
        driver.event(&status(second as f64, fps));
    }
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one window, one row") };
    (row.samples, row.zero_samples, row.mean_fps, row.jitter)
}

fn close_to(value: Option<f64>, expected: f64) {
    let value = value.expect("a number");
    assert!((value - expected).abs() <= 1e-12 * expected.abs(), "{value} is not {expected}");
}

#[test]
fn a_real_session_has_its_known_answers() {
    let Some(capture) = real_capture("session_db936fab.jsonl") else { return };
    let mut driver = MetricTestDriver::new(JitterCoefficient);
    driver.events(capture.lines());
    driver.finish();
    let rows = driver.rows();
    let windows: Vec<_> = rows.iter().map(|row| (row.window_start_ms, row.samples)).collect();
    assert_eq!(windows, [(1_767_908_940_000, 5), (1_767_909_000_000, 6), (1_767_909_060_000, 6)]);
    close_to(rows[0].mean_fps, 17.189_625_700_588_834);
    close_to(rows[0].jitter, 0.003_851_967_805_226_269_3);
    close_to(rows[1].jitter, 0.036_713_806_186_002_01);
    close_to(rows[2].jitter, 0.166_461_441_819_055_3);
    assert_eq!(rows[0].key, "stream-o5s73x-mk5zc8fy");
    assert_eq!(rows[0].orchestrator, Some("0x52cf2968b3dc6016778742d3539449a6597d5954"));
    assert_eq!(rows[0].pipeline, Some("streamdiffusion-sdxl-faceid"));
}

#[test]
fn a_deployment_may_choose_a_longer_window() {
    let Some(capture) = real_capture("session_db936fab.jsonl") else { return };
    let rows_per_window = |size_ms: i64| {
        let window = Window::Tumbling { size_ms, offset_ms: 0 };
        let mut driver = MetricTestDriver::new(JitterCoefficient).with_window(window);
        driver.events(capture.lines());
        driver.finish();
        driver.rows().iter().map(|row| (row.samples, row.mean_fps, row.jitter)).collect::<Vec<_>>()
    };
    assert_eq!(rows_per_window(300_000).iter().map(|row| row.0).collect::<Vec<_>>(), [5, 12]);
    let [(samples, mean_fps, jitter)] = rows_per_window(3_600_000)[..] else { panic!("the session lies in one hour") };
    assert_eq!(samples, 17);
    close_to(mean_fps, 15.999_951_534_393_75);
    close_to(jitter, 0.116_318_819_751_304_88);
}

#[test]
fn folding_apart_and_merging_gives_the_same() {
    let Some(capture) = real_capture("session_db936fab.jsonl") else { return };
    // Statuses come every 10 s: every other one is a session of its own until those between close the gaps.
    let mut driver = MetricTestDriver::new(JitterCoefficient).with_window(Window::Session { gap_ms: 15_000 });
    let statuses: Vec<_> = capture.lines().filter(|line| line.contains("ai_stream_status")).collect();
    statuses.iter().step_by(2).chain(statuses.iter().skip(1).step_by(2)).for_each(|line| driver.event(line));
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one session") };
    assert_eq!(row.samples, 17);
    close_to(row.mean_fps, 15.999_951_534_393_75);
    close_to(row.jitter, 0.116_318_819_751_304_88);
}

#[test]
fn merging_an_empty_window_changes_no_bit() {
    let mut rates = FrameRates::default();
    [17.3, 16.9].into_iter().for_each(|fps| rates.add(fps));
    let before = (rates.mean.to_bits(), rates.squares.to_bits());
    rates.merge(FrameRates::default());
    assert_eq!((rates.mean.to_bits(), rates.squares.to_bits()), before);
    let mut empty = FrameRates::default();
    empty.merge(rates);
    assert_eq!((empty.mean.to_bits(), empty.squares.to_bits()), before);
}

#[test]
fn jitter_needs_two_samples_and_a_mean() {
    assert_eq!(window_of(&["20"]), (1, 0, Some(20.0), None));
    assert_eq!(window_of(&["0", "0"]), (2, 2, Some(0.0), None));
    assert_eq!(window_of(&["0", "2"]), (2, 1, Some(1.0), Some(1.0)));
    assert_eq!(window_of(&["20", "20.0"]), (2, 0, Some(20.0), Some(0.0)));
}

#[test]
fn a_status_without_a_frame_rate_is_no_sample() {
    assert_eq!(window_of(&["null", "20", "\"fast\"", "20"]), (2, 0, Some(20.0), Some(0.0)));
    assert_eq!(window_of(&["null"]), (0, 0, None, None));
}

#[test]
fn a_window_is_half_open_and_late_rows_are_not_counted() {
    let mut driver = MetricTestDriver::new(JitterCoefficient);
    driver.event(&status(59.999, "10"));
    driver.event(&status(60.0, "20"));
    driver.advance_watermark(59_998);
    assert!(driver.rows().is_empty());
    driver.advance_watermark(59_999);
    driver.event(&status(1.0, "30"));
    driver.finish();
    let windows: Vec<_> = driver.rows().iter().map(|row| (row.window_start_ms, row.mean_fps)).collect();
    assert_eq!(windows, [(0, Some(10.0)), (60_000, Some(20.0))]);
    assert_eq!(driver.late(), 1);
}
