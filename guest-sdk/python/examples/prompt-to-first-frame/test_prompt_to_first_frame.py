"""Known answers from real sessions, and the edges of the definition."""

import unittest

from captures import real_capture
from prompt_to_first_frame import PromptToFirstFrame

from tidemark_metric.testing import MetricTestDriver


def trace(kind: str, time_ms: int, orchestrator: str) -> dict:
    data = {"type": kind, "request_id": "r", "stream_id": "s", "timestamp": time_ms}
    data["orchestrator_info"] = {"address": orchestrator}
    return {"type": "stream_trace", "timestamp": str(time_ms), "gateway": "g", "data": data}


def request(time_ms: int) -> dict:
    return trace("gateway_receive_stream_request", time_ms, "")


def segment(time_ms: int, orchestrator: str = "0xa") -> dict:
    return trace("gateway_receive_first_processed_segment", time_ms, orchestrator)


def rows_of(*events: dict) -> list[tuple]:
    """Latency, orchestrator and whether matched, of each request."""
    driver = MetricTestDriver(PromptToFirstFrame)
    for event in events:
        driver.event(event)
    driver.finish()
    return [(row.latency_ms, row.orchestrator, row.matched) for row in driver.rows]


class PromptToFirstFrameTest(unittest.TestCase):
    def test_real_sessions_have_their_known_answers(self):
        expected = [
            ("session_db936fab.jsonl", "db936fab", 2655, True),
            ("session_bd1cd871_swap.jsonl", "bd1cd871", 10_777, True),
            ("session_a06463a9_no_orchestrator.jsonl", "a06463a9", None, False),
        ]
        for file, request_id, latency_ms, matched in expected:
            capture = real_capture(file)
            if not capture:
                return
            driver = MetricTestDriver(PromptToFirstFrame)
            driver.events(capture)
            driver.finish()
            [row] = driver.rows
            self.assertEqual((row.request_id, row.latency_ms, row.matched), (request_id, latency_ms, matched))
            self.assertEqual(row.orchestrator is not None, matched)

    def test_a_row_has_the_times_of_the_pair_and_the_names_of_the_request(self):
        driver = MetricTestDriver(PromptToFirstFrame)
        driver.event(request(1000))
        driver.event(segment(3500))
        driver.advance_watermark(3499)
        self.assertEqual(driver.rows, [], "an earlier segment may still come")
        driver.advance_watermark(3500)
        [row] = driver.rows
        times = (row.window_start_ms, row.window_end_ms, row.event_time_ms)
        self.assertEqual((row.key, *times), ("r", 1000, 1001, 3500))
        self.assertEqual((row.request_id, row.stream_id, row.gateway), ("r", "s", "g"))
        self.assertEqual((row.orchestrator, row.latency_ms), ("0xa", 2500))

    def test_the_first_segment_counts_in_any_order_of_arrival(self):
        first = [(2000, "0xa", True)]
        self.assertEqual(rows_of(segment(9000, "0xb"), segment(3000), request(1000)), first)
        self.assertEqual(rows_of(request(1000), segment(9000, "0xb"), segment(3000)), first)

    def test_both_bounds_belong_to_the_interval(self):
        found = [rows_of(request(100_000), segment(100_000 + by))[0][2] for by in (-10_001, -10_000, 60_000, 60_001)]
        self.assertEqual(found, [False, True, True, False])

    def test_a_negative_latency_is_null_and_zero_is_not(self):
        self.assertEqual([rows_of(request(5000), segment(5000 + by))[0][0] for by in (-1, 0, 1)], [None, 0, 1])

    def test_a_request_without_a_segment_comes_when_no_segment_can(self):
        driver = MetricTestDriver(PromptToFirstFrame)
        driver.event(request(1000))
        driver.advance_watermark(60_999)
        self.assertEqual(driver.rows, [])
        driver.advance_watermark(61_000)
        [row] = driver.rows
        self.assertEqual((row.latency_ms, row.orchestrator, row.matched), (None, None, False))

    def test_a_segment_alone_is_no_row_and_an_empty_orchestrator_is_null(self):
        self.assertEqual(rows_of(segment(1000)), [])
        self.assertEqual(rows_of(request(1000), segment(1500, "")), [(500, None, True)])


if __name__ == "__main__":
    unittest.main()
