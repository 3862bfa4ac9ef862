"""Known answers from a real session, and the edges of the definition."""

import copy
import struct
import unittest

from captures import real_capture
from jitter_coefficient import FrameRates, JitterCoefficient

from tidemark_metric import empty_state, session, tumbling
from tidemark_metric.testing import MetricTestDriver


def status(seconds: float, fps: object) -> dict:
    """A status of stream `s`, `seconds` after the epoch."""
    data = {"stream_id": "s", "timestamp": int(seconds * 1000), "inference_status": {"fps": fps}}
    return {"type": "ai_stream_status", "timestamp": "0", "data": data}


def window_of(*rates: object) -> tuple:
    """Samples, zero samples, mean and jitter of the only window of these frame rates."""
    driver = MetricTestDriver(JitterCoefficient)
    for second, fps in enumerate(rates):
        driver.event(status(second, fps))
    driver.finish()
    [row] = driver.rows
    return row.samples, row.zero_samples, row.mean_fps, row.jitter


def bits(rates: FrameRates) -> bytes:
    return struct.pack("<dd", rates.mean, rates.squares)


class JitterCoefficientTest(unittest.TestCase):
    def close_to(self, value: float | None, expected: float) -> None:
        self.assertIsNotNone(value)
        self.assertLessEqual(abs(value - expected), 1e-12 * abs(expected))

    def test_a_real_session_has_its_known_answers(self):
        capture = real_capture("session_db936fab.jsonl")
        if not capture:
            return
        driver = MetricTestDriver(JitterCoefficient)
        driver.events(capture)
        driver.finish()
        rows = driver.rows
        windows = [(row.window_start_ms, row.samples) for row in rows]
        self.assertEqual(windows, [(1_767_908_940_000, 5), (1_767_909_000_000, 6), (1_767_909_060_000, 6)])
        self.close_to(rows[0].mean_fps, 17.189625700588834)
        for row, jitter in zip(rows, (0.0038519678052262693, 0.03671380618600201, 0.1664614418190553)):
            self.close_to(row.jitter, jitter)
        self.assertEqual(rows[0].key, "stream-o5s73x-mk5zc8fy")
        self.assertEqual(rows[0].orchestrator, "0x52cf2968b3dc6016778742d3539449a6597d5954")
        self.assertEqual(rows[0].pipeline, "streamdiffusion-sdxl-faceid")

    def test_a_deployment_may_choose_a_longer_window(self):
        capture = real_capture("session_db936fab.jsonl")
        if not capture:
            return
        driver = MetricTestDriver(JitterCoefficient, window=tumbling("1h"))
        driver.events(capture)
        driver.finish()
        [row] = driver.rows
        self.assertEqual(row.samples, 17)
        self.close_to(row.mean_fps, 15.99995153439375)
        self.close_to(row.jitter, 0.11631881975130488)

    def test_folding_apart_and_merging_gives_the_same(self):
        capture = real_capture("session_db936fab.jsonl")
        if not capture:
            return
        # Statuses come every 10 s: every other one is a session of its own until those between close the gaps.
        driver = MetricTestDriver(JitterCoefficient, window=session("15s"))
        statuses = [line for line in capture if "ai_stream_status" in line]
        for line in statuses[::2] + statuses[1::2]:
            driver.event(line)
        driver.finish()
        [row] = driver.rows
        self.assertEqual(row.samples, 17)
        self.close_to(row.mean_fps, 15.99995153439375)
        self.close_to(row.jitter, 0.11631881975130488)

    def test_merging_an_empty_window_changes_no_bit(self):
        rates, empty = empty_state(FrameRates), empty_state(FrameRates)
        rates.add(17.3)
        rates.add(16.9)
        before = bits(rates)
        rates.merge(empty)
        self.assertEqual(bits(rates), before)
        empty.merge(copy.deepcopy(rates))
        self.assertEqual(bits(empty), before)

    def test_jitter_needs_two_samples_and_a_mean(self):
        self.assertEqual(window_of(20), (1, 0, 20.0, None))
        self.assertEqual(window_of(0, 0), (2, 2, 0.0, None))
        self.assertEqual(window_of(0, 2), (2, 1, 1.0, 1.0))
        self.assertEqual(window_of(20, 20.0), (2, 0, 20.0, 0.0))

    def test_a_status_without_a_frame_rate_is_no_sample(self):
        self.assertEqual(window_of(None, 20, "fast", 20), (2, 0, 20.0, 0.0))
        self.assertEqual(window_of(None), (0, 0, None, None))

    def test_a_window_is_half_open_and_late_rows_are_not_counted(self):
        driver = MetricTestDriver(JitterCoefficient)
        driver.event(status(59.999, 10))
        driver.event(status(60, 20))
        driver.advance_watermark(59_998)
        self.assertEqual(driver.rows, [])
        driver.advance_watermark(59_999)
        driver.event(status(1, 30))
        driver.finish()
        self.assertEqual([(row.window_start_ms, row.mean_fps) for row in driver.rows], [(0, 10.0), (60_000, 20.0)])
        self.assertEqual(driver.late, 1)


if __name__ == "__main__":
    unittest.main()
