//! Golden figures of a real session, and the edges of the definition.

use super::*;
use tidemark_metric::facts::Window;
use tidemark_metric::testing::{MetricTestDriver, real_capture};

/// A status of stream `s`, `seconds` after the epoch.
fn status(seconds: i64, fps: &str) -> String {
    format!(
        r#"{{"type": "ai_stream_status", "timestamp": "0", "data": {{"stream_id": "s", "timestamp": {}, "pipeline": "p",
            "orchestrator_info": {{"address": "0xa"}}, "inference_status": {{"fps": {fps}}}}}}}"#,
        seconds * 1000
    )
}

/// Checks the only window of these frame rates.
fn window_of(rates: &[&str], check: impl Fn(&FrameRate)) {
    let mut driver = MetricTestDriver::new(OutputFps);
    for (second, fps) in rates.iter().enumerate() {
        driver.event(&status(second as i64, fps));
    }
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one window, one row") };
    check(row);
}

fn close_to(value: Option<f64>, expected: f64) {
    let value = value.expect("a number");
    assert!((value - expected).abs() <= 1e-12 * expected.abs(), "{value} is not {expected}");
}

#[test]
fn a_real_session_has_its_golden_figures() {
    let Some(capture) = real_capture("session_db936fab.jsonl") else { return };
    let mut driver = MetricTestDriver::new(OutputFps);
    driver.events(capture.lines());
    driver.finish();
    // Mean, median, 95th percentile, least and greatest, by Python's `statistics.quantiles(…, method="inclusive")`.
    let golden = [
        (
            1_767_908_940_000,
            5,
            [
                17.189_625_700_588_834,
                17.186_979_982_805_88,
                17.276_728_806_534_212,
                17.089_245_637_926_744,
                17.298_215_447_072_742,
            ],
        ),
        (
            1_767_909_000_000,
            6,
            [
                16.486_387_513_813_092,
                16.487_251_329_017_734,
                17.160_659_925_567_675,
                15.785_640_774_906_039,
                17.185_857_728_016_792,
            ],
        ),
        (
            1_767_909_060_000,
            6,
            [
                14.522_120_416_478_506,
                15.440_531_121_328_69,
                16.809_833_642_048_478,
                9.792_241_483_474_283,
                16.983_902_096_084_837,
            ],
        ),
    ];
    let rows = driver.rows();
    assert_eq!(rows.len(), golden.len());
    for (row, (window_start_ms, samples, figures)) in rows.iter().zip(golden) {
        assert_eq!((row.window_start_ms, row.samples, row.zero_samples), (window_start_ms, samples, 0));
        let [mean, p50, p95, min, max] = figures;
        close_to(row.mean_fps, mean);
        close_to(row.p50_fps, p50);
        close_to(row.p95_fps, p95);
        assert_eq!((row.min_fps, row.max_fps), (Some(min), Some(max)));
        assert_eq!(row.orchestrator, Some("0x52cf2968b3dc6016778742d3539449a6597d5954"));
        assert_eq!(row.pipeline, Some("streamdiffusion-sdxl-faceid"));
    }
}

#[test]
fn a_quantile_lies_between_its_neighbours() {
    assert_eq!(quantile(&[], 0.5), None);
    assert_eq!(quantile(&[7.0], 0.95), Some(7.0));
    assert_eq!(quantile(&[1.0, 2.0], 0.5), Some(1.5));
    assert_eq!(
        [0.0, 0.25, 0.5, 0.625, 1.0].map(|p| quantile(&[1.0, 2.0, 3.0, 5.0, 9.0], p)),
        [Some(1.0), Some(2.0), Some(3.0), Some(4.0), Some(9.0)]
    );
}

#[test]
fn zeros_are_left_out_and_counted() {
    window_of(&["0", "10", "0.0", "20"], |row| {
        assert_eq!((row.samples, row.zero_samples), (2, 2));
        assert_eq!(
            (row.mean_fps, row.p50_fps, row.min_fps, row.max_fps),
            (Some(15.0), Some(15.0), Some(10.0), Some(20.0))
        );
    });
    window_of(&["0"], |row| {
        assert_eq!((row.samples, row.zero_samples), (0, 1));
        assert_eq!((row.mean_fps, row.p50_fps, row.p95_fps, row.min_fps, row.max_fps), (None, None, None, None, None));
    });
}

#[test]
fn what_is_no_frame_rate_is_no_sample() {
    window_of(&["null", "\"fast\"", "-1", "20"], |row| {
        assert_eq!((row.samples, row.zero_samples, row.p95_fps), (1, 0, Some(20.0)));
        assert_eq!((row.orchestrator, row.pipeline), (Some("0xa"), Some("p")));
    });
}

#[test]
fn the_order_of_arrival_decides_nothing() {
    let rates = ["19", "11", "17", "13"];
    let rows = |rotation: usize| {
        let mut driver = MetricTestDriver::new(OutputFps);
        let seconds = (0..rates.len()).cycle().skip(rotation).take(rates.len());
        seconds.for_each(|second| driver.event(&status(second as i64, rates[second])));
        driver.finish();
        driver.rows_as_events()
    };
    (1..rates.len()).for_each(|rotation| assert_eq!(rows(rotation), rows(0)));
}

#[test]
fn too_many_samples_have_no_quantiles_but_all_the_rest() {
    let figures = |samples: usize| {
        let mut driver = MetricTestDriver::new(OutputFps);
        let statuses: Vec<_> = (0..samples).map(|_| status(1, "20")).chain([status(2, "0")]).collect();
        driver.events(statuses.iter().map(String::as_str));
        driver.finish();
        let row = &driver.rows()[0];
        assert_eq!((row.samples, row.zero_samples), (samples as i64, 1));
        assert_eq!((row.mean_fps, row.min_fps, row.max_fps), (Some(20.0), Some(20.0), Some(20.0)));
        (row.p50_fps, row.p95_fps)
    };
    assert_eq!(figures(MAX_RATES), (Some(20.0), Some(20.0)));
    assert_eq!(figures(MAX_RATES + 1), (None, None));
}

#[test]
fn merging_keeps_the_bound() {
    let state = |samples: usize| {
        let mut rates = FrameRates::default();
        (0..samples).for_each(|_| rates.add(20.0));
        rates
    };
    for (left, right, kept) in
        [(3, 4, 7), (0, 4, 4), (4, 0, 4), (MAX_RATES, 1, 0), (1, MAX_RATES + 1, 0), (MAX_RATES + 1, 0, 0)]
    {
        let mut merged = state(left);
        OutputFps.merge(&mut merged, state(right)).expect("merging cannot fail");
        assert_eq!((merged.samples as usize, merged.rates.len()), (left + right, kept));
        assert_eq!((merged.min, merged.max), (Some(20.0), Some(20.0)));
    }
}

#[test]
fn folding_apart_and_merging_gives_the_same() {
    let mut driver = MetricTestDriver::new(OutputFps).with_window(Window::Session { gap_ms: 15_000 });
    [(0, "10"), (20, "14"), (10, "30")].iter().for_each(|(seconds, fps)| driver.event(&status(*seconds, fps)));
    driver.finish();
    let [row] = &driver.rows()[..] else { panic!("one session") };
    assert_eq!((row.samples, row.mean_fps, row.p50_fps), (3, Some(18.0), Some(14.0)));
    assert_eq!((row.min_fps, row.max_fps), (Some(10.0), Some(30.0)));
}

#[test]
fn a_window_is_half_open_and_late_rows_are_not_counted() {
    let mut driver = MetricTestDriver::new(OutputFps);
    driver.event(&status(59, "10"));
    driver.event(&status(60, "20"));
    driver.advance_watermark(59_999);
    driver.event(&status(1, "30"));
    driver.finish();
    let windows: Vec<_> = driver.rows().iter().map(|row| (row.window_start_ms, row.mean_fps)).collect();
    assert_eq!(windows, [(0, Some(10.0)), (60_000, Some(20.0))]);
    assert_eq!(driver.late(), 1);
}
