/** A minute with one slow request. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricTestDriver } from "@tidemark/metric/testing";
import metric from "./metric.js";

const request = (timestamp: number, duration_ms: number, path: string) => ({
  type: "request",
  timestamp,
  data: { service: "api", user: "u", duration_ms, path },
});

test("requests over the limit are slow", () => {
  const driver = new MetricTestDriver(metric, { settings: { limit_ms: 500 } });
  driver.event(request(1000, 700, "/report"));
  driver.event(request(2000, 20, "/"));
  driver.advanceWatermark(59_999);
  assert.deepEqual(driver.rows, [
    {
      key: "api",
      window_start: 0,
      window_end: 60_000,
      event_time: 59_999,
      requests: 2,
      slow: 1,
      slowest_path: "/report",
    },
  ]);
});
