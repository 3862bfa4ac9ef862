//! Golden figures of a real session, and the edges of the definition.

use super::*;
use tidemark_metric::facts::Window;
use tidemark_metric::testing::{MetricTestDriver, real_capture};

/// A report of stream `s`, `seconds` after the epoch, with this video track behind an audio one.
fn report(seconds: i64, quality: &str, video: &str) -> String {
    format!(
        r#"{{"type": "stream_ingest_metrics", "timestamp": "0", "data": {{"stream_id": "s", "timestamp": {},
            "stats": {{"track_stats": [{{"type": "audio", "jitter": 99.0, "rtt": 1}}, {{"type": "video", {video}}}],
            "conn_quality": {quality}}}}}}}"#,
        seconds * 1000
    )
}

fn packets(seconds: i64, lost: i64, received: i64) -> String {
    report(seconds, "\"good\"", &format!(r#""packets_lost": {lost}, "packets_received": {received}"#))
}

/// Checks the only row of these events.
fn row_of(events: &[String], check: impl Fn(&Quality)) {
    let mut driver = MetricTestDriver::new(IngestQuality);
    events.iter().for_each(|event| driver.event(event));
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one window, one row") };
    check(row);
}

#[test]
fn a_real_session_has_its_golden_figures() {
    let Some(capture) = real_capture("session_db936fab.jsonl") else { return };
    let mut driver = MetricTestDriver::new(IngestQuality);
    driver.events(capture.lines());
    driver.finish();
    let golden = [
        (1_767_908_940_000, 10, 5.454_615_828_005_99, 10.126_770_701_625_134),
        (1_767_909_000_000, 12, 5.718_985_334_047_153_5, 13.243_133_035_304_284),
        (1_767_909_060_000, 12, 5.383_804_471_883_288, 9.087_296_222_189_858),
    ];
    let rows = driver.rows();
    assert_eq!(rows.len(), golden.len());
    for (row, (window_start_ms, reports, mean_jitter_ms, max_jitter_ms)) in rows.iter().zip(golden) {
        assert_eq!((row.key, row.window_start_ms), ("stream-o5s73x-mk5zc8fy", window_start_ms));
        assert_eq!((row.reports, row.video_reports), (reports, reports));
        let mean = row.mean_jitter_ms.expect("a number");
        assert!((mean - mean_jitter_ms).abs() <= 1e-12 * mean_jitter_ms, "{mean} is not {mean_jitter_ms}");
        assert_eq!(row.max_jitter_ms, Some(max_jitter_ms));
        assert_eq!((row.packet_loss_pct, row.connection_loss_pct), (Some(0.0), Some(0.0)));
        assert_eq!((row.mean_rtt_ms, row.bad_share), (None, Some(0.0)));
    }
}

#[test]
fn jitter_and_round_trips_are_those_of_the_video() {
    let events = [
        report(1, "\"good\"", r#""jitter": 4, "rtt": 0"#),
        report(2, "\"good\"", r#""jitter": 8.0, "rtt": 1500000"#),
        report(3, "\"good\"", r#""jitter": 0, "rtt": 500000"#),
        report(4, "\"good\"", r#""jitter": -3, "rtt": -7"#),
    ];
    row_of(&events, |row| {
        assert_eq!((row.mean_jitter_ms, row.max_jitter_ms, row.mean_rtt_ms), (Some(4.0), Some(8.0), Some(1.0)));
        assert_eq!((row.video_reports, row.packet_loss_pct, row.connection_loss_pct), (4, None, None));
    });
}

#[test]
fn the_loss_of_a_window_is_not_that_of_the_connection() {
    // A connection that lost half of its packets long ago.
    row_of(&[packets(1, 500, 500), packets(2, 500, 600), packets(3, 525, 1175)], |row| {
        assert_eq!(row.packet_loss_pct, Some(100.0 * 25.0 / 700.0));
        assert_eq!(row.connection_loss_pct, Some(100.0 * 525.0 / 1700.0));
    });
    row_of(&[packets(1, 1, 99)], |row| assert_eq!((row.packet_loss_pct, row.connection_loss_pct), (None, Some(1.0))));
    row_of(&[packets(1, 9, 900), packets(2, 1, 99)], |row| {
        assert_eq!((row.packet_loss_pct, row.connection_loss_pct), (None, Some(1.0)), "a new connection");
    });
}

#[test]
fn the_share_of_bad_ones_is_of_those_with_a_quality() {
    let events = ["\"bad\"", "\"good\"", "\"unknown\"", "\"bad\"", "null", "\"\""]
        .map(|quality| report(1, quality, r#""jitter": 1"#));
    row_of(&events, |row| assert_eq!((row.reports, row.bad_share), (6, Some(0.5))));
    row_of(&[report(1, "null", "\"jitter\": 1")], |row| assert_eq!(row.bad_share, None));
}

#[test]
fn a_report_without_video_is_counted_and_no_more() {
    let audio = report(1, "\"bad\"", "\"jitter\": 1").replace("\"video\"", "\"data\"");
    let nothing = audio.replace("track_stats", "tracks");
    row_of(&[audio, nothing], |row| {
        assert_eq!((row.reports, row.video_reports, row.bad_share), (2, 0, Some(1.0)));
        assert_eq!((row.mean_jitter_ms, row.max_jitter_ms, row.mean_rtt_ms), (None, None, None));
    });
}

#[test]
fn the_order_of_arrival_decides_nothing() {
    let events = [packets(1, 0, 100), packets(2, 9, 200), packets(3, 10, 290), packets(4, 20, 480)];
    let rows = |rotation: usize| {
        let mut driver = MetricTestDriver::new(IngestQuality);
        events.iter().cycle().skip(rotation).take(events.len()).for_each(|event| driver.event(event));
        driver.finish();
        driver.rows_as_events()
    };
    (1..events.len()).for_each(|rotation| assert_eq!(rows(rotation), rows(0)));
    row_of(&events, |row| assert_eq!(row.packet_loss_pct, Some(5.0)));
}

#[test]
fn folding_apart_and_merging_gives_the_same() {
    let full = r#""packets_lost": 10, "packets_received": 190, "jitter": 6, "rtt": 2000000"#;
    let events = [
        packets(0, 0, 100),
        report(20, "\"bad\"", r#""packets_lost": 25, "packets_received": 575, "jitter": 2, "rtt": 4000000"#),
        report(10, "\"bad\"", full),
    ];
    // The first two are sessions of their own until the third one closes the gap.
    let mut driver = MetricTestDriver::new(IngestQuality).with_window(Window::Session { gap_ms: 15_000 });
    events.iter().for_each(|event| driver.event(event));
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one session") };
    assert_eq!((row.reports, row.video_reports, row.bad_share), (3, 3, Some(2.0 / 3.0)));
    assert_eq!((row.mean_jitter_ms, row.max_jitter_ms, row.mean_rtt_ms), (Some(4.0), Some(6.0), Some(3.0)));
    assert_eq!((row.packet_loss_pct, row.connection_loss_pct), (Some(5.0), Some(100.0 * 25.0 / 600.0)));
}

#[test]
fn a_window_is_half_open_and_late_reports_are_not_counted() {
    let mut driver = MetricTestDriver::new(IngestQuality);
    driver.event(&packets(59, 0, 1));
    driver.event(&packets(60, 0, 2));
    driver.advance_watermark(59_999);
    driver.event(&packets(1, 0, 1));
    driver.finish();
    assert_eq!(
        driver.rows().iter().map(|row| (row.window_start_ms, row.reports)).collect::<Vec<_>>(),
        [(0, 1), (60_000, 1)]
    );
    assert_eq!(driver.late(), 1);
}
