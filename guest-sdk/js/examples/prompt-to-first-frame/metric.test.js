/** The edges of the definition. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricTestDriver } from "@tidemark/metric/testing";
import promptToFirstFrame from "./metric.js";

const trace = (type, timeMs, address) => ({
  type: "stream_trace",
  timestamp: `${timeMs}`,
  gateway: "g",
  data: { type, request_id: "r", stream_id: "s", timestamp: timeMs, orchestrator_info: { address } },
});
const request = (timeMs) => trace("gateway_receive_stream_request", timeMs, "");
const segment = (timeMs, address) => trace("gateway_receive_first_processed_segment", timeMs, address);

/** Latency, orchestrator and whether matched, of each request. */
function rowsOf(...events) {
  const driver = new MetricTestDriver(promptToFirstFrame);
  events.forEach((event) => driver.event(event));
  driver.finish();
  return driver.rows.map((row) => [row.latency_ms, row.orchestrator, row.matched]);
}

test("a row has the times of the pair and the names of the request", () => {
  const driver = new MetricTestDriver(promptToFirstFrame);
  driver.event(request(1000));
  driver.event(segment(3500, "0xa"));
  driver.advanceWatermark(3499);
  assert.equal(driver.rows.length, 0, "an earlier segment may still come");
  driver.advanceWatermark(3500);
  assert.deepEqual(driver.rows, [
    {
      ...{ key: "r", window_start: 1000, window_end: 1001, event_time: 3500, request_id: "r", stream_id: "s" },
      ...{ gateway: "g", orchestrator: "0xa", latency_ms: 2500, matched: true },
    },
  ]);
});

test("the first segment counts in any order of arrival", () => {
  assert.deepEqual(rowsOf(segment(9000, "0xb"), segment(3000, "0xa"), request(1000)), [[2000, "0xa", true]]);
  assert.deepEqual(rowsOf(request(1000), segment(9000, "0xb"), segment(3000, "0xa")), [[2000, "0xa", true]]);
});

test("both bounds belong to the interval", () => {
  const matched = (distance) => rowsOf(request(100_000), segment(100_000 + distance, "0xa"))[0][2];
  assert.deepEqual([-10_001, -10_000, 60_000, 60_001].map(matched), [false, true, true, false]);
});

test("a negative latency is null and zero is not", () => {
  const latency = (distance) => rowsOf(request(5000), segment(5000 + distance, "0xa"))[0][0];
  assert.deepEqual([-1, 0, 1].map(latency), [null, 0, 1]);
});

test("a request without a segment comes when no segment can", () => {
  const driver = new MetricTestDriver(promptToFirstFrame);
  driver.event(request(1000));
  driver.advanceWatermark(60_999);
  assert.equal(driver.rows.length, 0);
  driver.advanceWatermark(61_000);
  assert.deepEqual(
    driver.rows.map((row) => [row.latency_ms, row.orchestrator, row.matched]),
    [[null, null, false]],
  );
});

test("a segment alone is no row, and an empty orchestrator is null", () => {
  assert.deepEqual(rowsOf(segment(1000, "0xa")), []);
  assert.deepEqual(rowsOf(request(1000), segment(1500, "")), [[500, null, true]]);
});
