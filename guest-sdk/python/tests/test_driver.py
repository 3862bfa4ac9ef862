"""The test driver itself: its windows are those of the runtime, and it finds impure metrics."""

import unittest
from dataclasses import dataclass

from metrics import Number, Numbers, Pairs

from tidemark_metric import Fold, interval_join, metric, per_key, session, sliding, tumbling
from tidemark_metric.testing import MetricTestDriver

LEAST = -(2**63)


def number(key, time_ms, n, kind="number"):
    return {"type": kind, "timestamp": str(time_ms), "data": {"k": key, "n": n}}


def rows(driver):
    return [(row.key, row.window_start_ms, row.event_time_ms, row.numbers, row.reason) for row in driver.rows]


class DriverTest(unittest.TestCase):
    def test_a_batch_is_in_event_time_order_and_windows_close_by_end_and_key(self):
        driver = MetricTestDriver(Numbers)
        events = [("b", 15, 5), ("b", 9, 3), ("a", 9, 4), ("b", 1, 2), ("a", 1, 1)]
        driver.events(number(*event) for event in events)
        driver.finish()
        self.assertEqual(
            rows(driver), [("a", 0, 9, "1 4", "end"), ("b", 0, 9, "2 3", "end"), ("b", 10, 19, "5", "end")]
        )

    def test_a_window_within_the_allowed_lateness_fires_again(self):
        driver = MetricTestDriver(Numbers, allowed_lateness_ms=5)
        driver.event(number("a", 1, 1))
        driver.advance_watermark(13)
        driver.event(number("a", 2, 2))
        self.assertEqual(rows(driver), [("a", 0, 9, "1", "end"), ("a", 0, 9, "1 2", "end")])
        driver.advance_watermark(14)
        driver.event(number("a", 3, 3))
        driver.finish()
        self.assertEqual((len(driver.rows), driver.late), (2, 1))

    def test_a_row_is_in_each_sliding_window_that_covers_it(self):
        driver = MetricTestDriver(Numbers, window=sliding("10ms", every="5ms"))
        driver.event(number("a", 7, 1))
        driver.finish()
        self.assertEqual(rows(driver), [("a", 0, 9, "1", "end"), ("a", 5, 14, "1", "end")])

    def test_windows_align_to_the_epoch_on_both_sides(self):
        def starts(time_ms, offset=0):
            driver = MetricTestDriver(Numbers, window=tumbling("60ms", offset=offset))
            driver.event(number("a", time_ms, 1))
            driver.finish()
            return [row.window_start_ms for row in driver.rows]

        found = [starts(0), starts(59), starts(60), starts(-1), starts(14, 15), starts(44, -15)]
        self.assertEqual(found, [[0], [0], [60], [-60], [-45], [-15]])

    def test_sessions_merge_with_the_earlier_one_first(self):
        driver = MetricTestDriver(Numbers, window=session("10ms"))
        for event in [("a", 20, 3), ("a", 0, 1), ("a", 50, 9), ("a", 10, 2)]:
            driver.event(number(*event))
        driver.advance_watermark(29)
        self.assertEqual(rows(driver), [("a", 0, 29, "1 3 2", "end")])
        driver.event(number("a", 12, 7))
        driver.finish()
        self.assertEqual((len(driver.rows), driver.late), (2, 1))

    def test_a_key_has_timers_and_a_time_to_live(self):
        driver = MetricTestDriver(Numbers, window=per_key(ttl="1s"))
        for event in [("a", 1, 7), ("a", 2, 200), ("a", 3, 150), ("b", 4, 100)]:
            driver.event(number(*event))
        driver.advance_watermark(150)
        first = [("b", LEAST, 100, "", "timer"), ("a", LEAST, 150, "7", "timer")]
        self.assertEqual(rows(driver), first)
        driver.event(number("a", 400, 8))
        driver.finish()
        rest = [
            ("a", LEAST, 200, "7 8", "timer"),
            ("b", LEAST, 1004, "", "expired"),
            ("a", LEAST, 1400, "7 8", "expired"),
        ]
        self.assertEqual(rows(driver), first + rest)

    def test_a_forgotten_key_is_gone(self):
        driver = MetricTestDriver(Numbers, window=per_key(ttl="10ms"))
        driver.event(number("a", 1, 7))
        driver.event(number("a", 2, 0))
        driver.finish()
        self.assertEqual(driver.rows, [])

    def test_a_failure_leaves_the_state_as_it_was(self):
        driver = MetricTestDriver(Numbers)
        driver.event(number("a", 1, 1))
        driver.events(['{"timestamp": 2, "data": {"k": "a", "n": 2}}', '{"timestamp": 3, "data": {"k": "a"}}'])
        driver.event(number("a", 4, 4))
        driver.finish()
        self.assertEqual(rows(driver), [("a", 0, 9, "1 4", "end")])
        self.assertEqual(driver.failures, ["a: no number"])

    def test_events_are_read_as_the_runtime_reads_them(self):
        driver = MetricTestDriver(Numbers)
        driver.events(
            [
                '{"timestamp": 99, "data": "{\\"k\\": \\"a\\", \\"n\\": \\"1\\", \\"timestamp\\": 1}"}',
                '{"timestamp": "2", "data": {"k": "a", "n": 2.0}}',
                '{"timestamp": 3, "data": {"k": "", "n": 3}}',
                '{"timestamp": 4, "data": {"n": 4}}',
                "",
            ]
        )
        driver.finish()
        self.assertEqual(rows(driver), [("a", 0, 9, "1 2", "end")])

    def test_rows_can_be_read_by_another_metric(self):
        driver = MetricTestDriver(Numbers)
        driver.event(number("a", 1, 1))
        driver.finish()
        expected = '{"type": "metric.numbers", "timestamp": 9, "data": {"numbers": "1", "reason": "end", "key": "a"}}'
        self.assertEqual(driver.rows_as_events(), [expected])

    def test_an_impure_metric_is_found(self):
        @dataclass
        class Count:
            calls: int

        calls = []

        @metric(name="calls", version="1.0.0", key="data.k", window=tumbling("10ms"))
        class Calls(Fold[Number, None, Count]):
            def update(self, state, rows, context):
                calls.append(1)
                context.emit(Count(len(calls)))

            def close(self, state, reason, context):
                pass

        with self.assertRaisesRegex(AssertionError, "the answer depends on the other groups of the call"):
            MetricTestDriver(Calls).event(number("a", 1, 1))


class JoinTest(unittest.TestCase):
    def pairs(self, left_first, lower, upper, **terms):
        """The pairs of L and R at 1 to 4, L first or R first, as two digits each."""
        window = interval_join(left={"type": "l"}, right={"type": "r"}, lower=lower, upper=upper, **terms)
        driver = MetricTestDriver(Pairs, window=window)
        for side in "lr" if left_first else "rl":
            for time_ms in range(1, 5):
                driver.event(number("a", time_ms, time_ms, side))
        driver.finish()
        return sorted((row.left or 0) * 10 + (row.right or 0) for row in driver.rows)

    def test_joins_pair_what_flink_pairs(self):
        exclusive = {"lower_exclusive": True, "upper_exclusive": True}
        # Rows without a partner are among them: 3 is a lonely right row, 30 a lonely left one.
        cases = [
            (-2, -1, {}, [4, 10, 21, 31, 32, 42, 43]),
            (-1, 1, {}, [11, 12, 21, 22, 23, 32, 33, 34, 43, 44]),
            (1, 2, {}, [1, 12, 13, 23, 24, 34, 40]),
            (-3, -1, exclusive, [3, 4, 10, 20, 31, 42]),
            (-1, 1, exclusive, [11, 22, 33, 44]),
            (1, 3, exclusive, [1, 2, 13, 24, 30, 40]),
            (-1, -1, {"take_first": True}, [4, 10, 21, 32, 43]),
        ]
        for lower, upper, terms, expected in cases:
            for left_first in (True, False):
                self.assertEqual(self.pairs(left_first, lower, upper, **terms), expected, (lower, upper, left_first))


if __name__ == "__main__":
    unittest.main()
