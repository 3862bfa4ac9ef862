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
  const [row] = driver.rows;
  assert.deepEqual([row.key, row.window_start], ["api", 0]);
  assert.deepEqual([row.requests, row.slow, row.slowest_path], [2, 1, "/report"]);
});
