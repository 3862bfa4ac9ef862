"""A minute with one slow request. `pytest` runs it, and so does `python`."""

from tidemark_metric.testing import MetricTestDriver

from metric import SlowRequests


def test_requests_over_the_limit_are_slow():
    driver = MetricTestDriver(SlowRequests(limit_ms=500))
    data = {"service": "api", "user": "u"}
    driver.event({"type": "request", "timestamp": 1000, "data": {**data, "duration_ms": 700, "path": "/report"}})
    driver.event({"type": "request", "timestamp": 2000, "data": {**data, "duration_ms": 20, "path": "/"}})
    driver.advance_watermark(59_999)

    [row] = driver.rows
    assert (row.key, row.window_start_ms) == ("api", 0)
    assert (row.requests, row.slow, row.slowest_path) == (2, 1, "/report")


if __name__ == "__main__":
    test_requests_over_the_limit_are_slow()
