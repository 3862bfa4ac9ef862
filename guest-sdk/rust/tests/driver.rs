//! The test driver itself: its windows are those of the runtime, and it finds impure metrics.

use std::sync::atomic::{AtomicI64, Ordering};
use tidemark_metric::facts::{JoinTerms, Window};
use tidemark_metric::testing::MetricTestDriver;
use tidemark_metric::{CloseReason, Context, Failure, Fold, Input, Join, Merge, Metric, Output, Rows, State};

/// The numbers of a key, joined.
#[derive(Metric)]
#[metric(name = "numbers", key = "data.k", window(tumbling = "10ms"), mergeable)]
struct Numbers;

#[derive(Input)]
struct Number {
    #[at = "data.n"]
    n: Option<i64>,
}

#[derive(State, Default)]
struct Seen {
    numbers: Vec<i64>,
}

#[derive(Output)]
struct Joined<'a> {
    numbers: &'a str,
    reason: &'a str,
}

impl Fold for Numbers {
    type Input = Number;
    type State = Seen;
    type Output = Joined<'static>;

    fn update(&self, seen: &mut Seen, rows: Rows<Number>, context: &mut Context<Joined>) -> Result<(), Failure> {
        for row in rows {
            match row.n {
                // In key windows, numbers over 100 are timers, and 0 forgets.
                Some(time_ms @ 100..) => context.timer_at(time_ms),
                Some(0) => context.forget(),
                Some(n) => seen.numbers.push(n),
                None => return Err("no number".into()),
            }
        }
        Ok(())
    }

    fn close(&self, seen: &mut Seen, reason: CloseReason, context: &mut Context<Joined>) -> Result<(), Failure> {
        let numbers = seen.numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let reason = match reason {
            CloseReason::WindowEnd => "end",
            CloseReason::Timer => "timer",
            CloseReason::Expired => "expired",
            _ => "unmatched",
        };
        context.emit(Joined { numbers: &numbers, reason });
        Ok(())
    }
}

impl Merge for Numbers {
    fn merge(&self, seen: &mut Seen, later: Seen) -> Result<(), Failure> {
        seen.numbers.extend(later.numbers);
        Ok(())
    }
}

fn number(key: &str, time_ms: i64, n: i64) -> String {
    format!(r#"{{"type": "number", "timestamp": "{time_ms}", "data": {{"k": "{key}", "n": {n}}}}}"#)
}

/// Key, window start, event time, numbers and reason of each row.
fn rows(driver: &MetricTestDriver<Numbers>) -> Vec<(String, i64, i64, String, String)> {
    let rows = driver.rows();
    let row = |row: &tidemark_metric::testing::TestRow<'_, Joined<'_>>| {
        (row.key.to_owned(), row.window_start_ms, row.event_time_ms, row.numbers.to_owned(), row.reason.to_owned())
    };
    rows.iter().map(row).collect()
}

fn expect(driver: &MetricTestDriver<Numbers>, expected: &[(&str, i64, i64, &str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(key, start, time, numbers, reason)| {
            ((*key).to_owned(), *start, *time, (*numbers).to_owned(), (*reason).to_owned())
        })
        .collect();
    assert_eq!(rows(driver), expected);
}

#[test]
fn a_batch_is_in_event_time_order_and_windows_close_by_end_and_key() {
    let mut driver = MetricTestDriver::new(Numbers);
    let events = [number("b", 15, 5), number("b", 9, 3), number("a", 9, 4), number("b", 1, 2), number("a", 1, 1)];
    driver.events(events.iter().map(String::as_str));
    driver.finish();
    expect(&driver, &[("a", 0, 9, "1 4", "end"), ("b", 0, 9, "2 3", "end"), ("b", 10, 19, "5", "end")]);
}

#[test]
fn a_window_within_the_allowed_lateness_fires_again() {
    let mut driver = MetricTestDriver::new(Numbers).with_allowed_lateness(5);
    driver.event(&number("a", 1, 1));
    driver.advance_watermark(13);
    driver.event(&number("a", 2, 2));
    expect(&driver, &[("a", 0, 9, "1", "end"), ("a", 0, 9, "1 2", "end")]);
    driver.advance_watermark(14);
    driver.event(&number("a", 3, 3));
    driver.finish();
    assert_eq!((driver.rows().len(), driver.late()), (2, 1));
}

#[test]
fn a_row_is_in_each_sliding_window_that_covers_it() {
    let sliding = Window::Sliding { size_ms: 10, slide_ms: 5, offset_ms: 0 };
    let mut driver = MetricTestDriver::new(Numbers).with_window(sliding);
    driver.event(&number("a", 7, 1));
    driver.finish();
    expect(&driver, &[("a", 0, 9, "1", "end"), ("a", 5, 14, "1", "end")]);
}

#[test]
fn sessions_merge_with_the_earlier_one_first() {
    let mut driver = MetricTestDriver::new(Numbers).with_window(Window::Session { gap_ms: 10 });
    [number("a", 20, 3), number("a", 0, 1), number("a", 50, 9), number("a", 10, 2)]
        .iter()
        .for_each(|event| driver.event(event));
    driver.advance_watermark(29);
    expect(&driver, &[("a", 0, 29, "1 3 2", "end")]);
    driver.event(&number("a", 12, 7));
    driver.finish();
    assert_eq!((driver.rows().len(), driver.late()), (2, 1));
}

#[test]
fn a_key_has_timers_and_a_time_to_live() {
    let mut driver = MetricTestDriver::new(Numbers).with_window(Window::Key { ttl_ms: Some(1000) });
    [number("a", 1, 7), number("a", 2, 200), number("a", 3, 150), number("b", 4, 100)]
        .iter()
        .for_each(|event| driver.event(event));
    driver.advance_watermark(150);
    let min = i64::MIN;
    expect(&driver, &[("b", min, 100, "", "timer"), ("a", min, 150, "7", "timer")]);
    driver.event(&number("a", 400, 8));
    driver.finish();
    expect(
        &driver,
        &[
            ("b", min, 100, "", "timer"),
            ("a", min, 150, "7", "timer"),
            ("a", min, 200, "7 8", "timer"),
            ("b", min, 1004, "", "expired"),
            ("a", min, 1400, "7 8", "expired"),
        ],
    );
}

#[test]
fn a_forgotten_key_is_gone() {
    let mut driver = MetricTestDriver::new(Numbers).with_window(Window::Key { ttl_ms: Some(10) });
    [number("a", 1, 7), number("a", 2, 0)].iter().for_each(|event| driver.event(event));
    driver.finish();
    assert!(driver.rows().is_empty());
}

#[test]
fn a_failure_leaves_the_state_as_it_was() {
    let mut driver = MetricTestDriver::new(Numbers);
    driver.event(&number("a", 1, 1));
    driver.events([r#"{"timestamp": 2, "data": {"k": "a", "n": 2}}"#, r#"{"timestamp": 3, "data": {"k": "a"}}"#]);
    driver.event(&number("a", 4, 4));
    driver.finish();
    expect(&driver, &[("a", 0, 9, "1 4", "end")]);
    assert_eq!(driver.failures(), ["a: no number"]);
}

#[test]
fn events_are_read_as_the_runtime_reads_them() {
    let mut driver = MetricTestDriver::new(Numbers);
    driver.events([
        r#"{"timestamp": 99, "data": "{\"k\": \"a\", \"n\": \"1\", \"timestamp\": 1}"}"#,
        r#"{"timestamp": "2", "data": {"k": "a", "n": 2.0}}"#,
        r#"{"timestamp": 3, "data": {"k": "", "n": 3}}"#,
        r#"{"timestamp": 4, "data": {"n": 4}}"#,
        "",
    ]);
    driver.finish();
    expect(&driver, &[("a", 0, 9, "1 2", "end")]);
}

/// A metric that counts its calls: not pure.
#[derive(Metric)]
#[metric(name = "calls", key = "data.k", window(tumbling = "10ms"))]
struct Calls;

static CALLS: AtomicI64 = AtomicI64::new(0);

#[derive(Output)]
struct Count {
    calls: i64,
}

impl Fold for Calls {
    type Input = Number;
    type State = ();
    type Output = Count;

    fn update(&self, _: &mut (), _: Rows<Number>, context: &mut Context<Count>) -> Result<(), Failure> {
        context.emit(Count { calls: CALLS.fetch_add(1, Ordering::Relaxed) });
        Ok(())
    }

    fn close(&self, _: &mut (), _: CloseReason, _: &mut Context<Count>) -> Result<(), Failure> {
        Ok(())
    }
}

#[test]
#[should_panic(expected = "the answer depends on the other groups of the call")]
fn an_impure_metric_is_found() {
    MetricTestDriver::new(Calls).event(&number("a", 1, 1));
}

/// Pairs of times.
#[derive(Metric)]
#[metric(
    name = "pairs",
    key = "data.k",
    window(join, left("type" = "l"), right("type" = "r"), lower = "-1ms", upper = "1ms")
)]
struct Pairs;

#[derive(Output)]
struct Pair {
    left: Option<i64>,
    right: Option<i64>,
}

impl Join for Pairs {
    type Left = Number;
    type Right = Number;
    type Output = Pair;

    fn matched(&self, left: Number, right: Number, context: &mut Context<Pair>) -> Result<(), Failure> {
        context.emit(Pair { left: left.n, right: right.n });
        Ok(())
    }

    fn unmatched_left(&self, left: Number, context: &mut Context<Pair>) -> Result<(), Failure> {
        context.emit(Pair { left: left.n, right: None });
        Ok(())
    }

    fn unmatched_right(&self, right: Number, context: &mut Context<Pair>) -> Result<(), Failure> {
        context.emit(Pair { left: None, right: right.n });
        Ok(())
    }
}

/// The pairs of L and R at 1 to 4, L first or R first, as two digits each.
fn pairs_of(terms: JoinTerms, left_first: bool) -> Vec<i64> {
    let mut driver = MetricTestDriver::new(Pairs).with_window(Window::Join(terms));
    let sides = if left_first { ["l", "r"] } else { ["r", "l"] };
    for side in sides {
        for time_ms in 1..=4 {
            driver.event(&number("a", time_ms, time_ms).replace("\"number\"", &format!("\"{side}\"")));
        }
    }
    driver.finish();
    let mut pairs: Vec<_> =
        driver.rows().iter().map(|pair| pair.left.unwrap_or(0) * 10 + pair.right.unwrap_or(0)).collect();
    pairs.sort_unstable();
    pairs
}

#[test]
fn joins_pair_what_flink_pairs() {
    let Window::Join(declared) = Pairs::FACTS.window else { panic!("a join") };
    let inclusive = |lower_ms, upper_ms| JoinTerms { lower_ms, upper_ms, ..declared };
    let exclusive = |lower_ms, upper_ms| JoinTerms {
        lower_exclusive: true,
        upper_exclusive: true,
        ..inclusive(lower_ms, upper_ms)
    };
    let cases: [(JoinTerms, &[i64]); 6] = [
        (inclusive(-2, -1), &[21, 31, 32, 42, 43]),
        (inclusive(-1, 1), &[11, 12, 21, 22, 23, 32, 33, 34, 43, 44]),
        (inclusive(1, 2), &[12, 13, 23, 24, 34]),
        (exclusive(-3, -1), &[31, 42]),
        (exclusive(-1, 1), &[11, 22, 33, 44]),
        (exclusive(1, 3), &[13, 24]),
    ];
    for (terms, expected) in cases {
        assert_eq!(pairs_of(terms, true), expected);
        assert_eq!(pairs_of(terms, false), expected);
    }
    let first = JoinTerms { take_first: true, unmatched_left: true, unmatched_right: true, ..inclusive(-1, -1) };
    assert_eq!(pairs_of(first, true), [4, 10, 21, 32, 43]);
}
