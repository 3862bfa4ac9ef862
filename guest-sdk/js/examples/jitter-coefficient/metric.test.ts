/** The edges of the definition. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { session } from "@tidemark/metric";
import { MetricTestDriver } from "@tidemark/metric/testing";
import jitter from "./metric.js";

/** A status of stream `s`, `seconds` after the epoch. */
const status = (seconds: number, fps: unknown, more = {}) => ({
  type: "ai_stream_status",
  timestamp: "0",
  data: { stream_id: "s", timestamp: seconds * 1000, inference_status: { fps }, ...more },
});

/** The only window of these frame rates. */
function windowOf(rates: unknown[]) {
  const driver = new MetricTestDriver(jitter);
  rates.forEach((fps, second) => driver.event(status(second, fps)));
  driver.finish();
  const [row] = driver.rows;
  return [row?.samples, row?.zero_samples, row?.mean_fps, row?.jitter];
}

test("jitter needs two samples and a mean", () => {
  assert.deepEqual(windowOf([20]), [1, 0, 20, null]);
  assert.deepEqual(windowOf([0, 0]), [2, 2, 0, null]);
  assert.deepEqual(windowOf([0, 2]), [2, 1, 1, 1]);
  assert.deepEqual(windowOf([20, "20.0"]), [2, 0, 20, 0]);
});

test("a status without a frame rate is no sample", () => {
  assert.deepEqual(windowOf([null, 20, "fast", 20]), [2, 0, 20, 0]);
  assert.deepEqual(windowOf([null]), [0, 0, null, null]);
});

test("a window is half-open and late rows are not counted", () => {
  const driver = new MetricTestDriver(jitter);
  driver.event(status(59.999, 10));
  driver.event(status(60, 20));
  driver.advanceWatermark(59_998);
  assert.equal(driver.rows.length, 0);
  driver.advanceWatermark(59_999);
  driver.event(status(1, 30));
  driver.finish();
  assert.deepEqual(
    driver.rows.map((row) => [row.window_start, row.mean_fps]),
    [
      [0, 10],
      [60_000, 20],
    ],
  );
  assert.equal(driver.late, 1);
});

test("folding apart and merging gives the same", () => {
  const [whole, apart] = [new MetricTestDriver(jitter), new MetricTestDriver(jitter, { window: session("15s") })];
  const statuses = [17, 16, 0, 18, 17.5].map((fps, index) => status(index * 10, fps, { pipeline: `p${index}` }));
  statuses.forEach((event) => whole.event(event));
  // Every other one is a session of its own until those between close the gaps.
  statuses.filter((_, index) => index % 2 === 0).forEach((event) => apart.event(event));
  statuses.filter((_, index) => index % 2 === 1).forEach((event) => apart.event(event));
  whole.finish();
  apart.finish();
  const [a, b] = [whole.rows[0], apart.rows[0]];
  assert.deepEqual([b?.samples, b?.zero_samples, b?.pipeline], [5, 1, "p4"]);
  assert.ok(Math.abs(a?.jitter - b?.jitter) < 1e-12);
});
