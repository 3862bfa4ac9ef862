"""The rules, in their order, and what a session is."""

import unittest

from startup_outcome import StartupOutcome

from tidemark_metric.testing import MetricTestDriver


def trace(seconds: int, kind: str, **data: object) -> dict:
    data = {"request_id": "r", "type": kind, "timestamp": seconds * 1000, **data}
    return {"type": "stream_trace", "timestamp": "0", "data": data}


def error(seconds: int, message: str) -> dict:
    return {**trace(seconds, "error", message=message), "type": "ai_stream_events"}


def status(seconds: int, state: str, fps: object) -> dict:
    data = {"request_id": "r", "timestamp": seconds * 1000, "state": state, "inference_status": {"fps": fps}}
    return {"type": "ai_stream_status", "timestamp": "0", "data": data}


REQUEST = trace(0, "gateway_receive_stream_request", stream_id="s")


def row_of(*events: dict):
    driver = MetricTestDriver(StartupOutcome)
    for event in events:
        driver.event(event)
    driver.finish()
    [row] = driver.rows
    return row


class StartupOutcomeTest(unittest.TestCase):
    def test_the_first_rule_that_holds_decides(self):
        excuse = error(2, "WHIP Disconnected: bye")
        refused = trace(3, "gateway_no_orchestrators_available")
        playable = trace(4, "gateway_receive_few_processed_segments")
        self.assertEqual(row_of(REQUEST).outcome, "failed")
        self.assertEqual(row_of(REQUEST, error(1, "out of memory")).outcome, "failed")
        self.assertEqual(row_of(REQUEST, excuse).outcome, "excused")
        self.assertEqual(row_of(REQUEST, excuse, refused).outcome, "no-orchestrator")
        self.assertEqual(row_of(REQUEST, excuse, refused, playable).outcome, "success")

    def test_statuses_and_swaps_are_told(self):
        row = row_of(REQUEST, status(1, "LOADING", 0))
        self.assertEqual((row.loading_only, row.zero_fps, row.swaps, row.stream_id), (True, True, 0, "s"))
        swap = trace(5, "orchestrator_swap", orchestrator_info={"address": "0xa"})
        row = row_of(REQUEST, status(1, "LOADING", None), swap, status(9, "ONLINE", 12.5))
        self.assertEqual((row.loading_only, row.zero_fps, row.swaps, row.orchestrator), (False, False, 1, "0xa"))
        self.assertIsNone(row_of(REQUEST).zero_fps)

    def test_a_session_without_its_request_is_no_row(self):
        driver = MetricTestDriver(StartupOutcome)
        driver.event(status(1, "ONLINE", 1))
        driver.finish()
        self.assertEqual(driver.rows, [])

    def test_a_late_event_joins_two_sessions(self):
        row = row_of(REQUEST, status(200, "ONLINE", 9), error(100, "missing video"))
        self.assertEqual((row.errors, row.excusable_errors, row.zero_fps), (1, 1, False))


if __name__ == "__main__":
    unittest.main()
