/** The share on hand-made rows. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { session } from "@tidemark/metric";
import { MetricTestDriver } from "@tidemark/metric/testing";
import failureRate from "./metric.js";

/** A row of startup-outcome. */
const request = (timestamp: number, loading_only: boolean | null, zero_fps: boolean | null, orchestrator = "0xa") => ({
  type: "metric.startup-outcome",
  timestamp,
  data: { orchestrator, loading_only, zero_fps },
});

test("a request that fails in both ways counts once", () => {
  const driver = new MetricTestDriver(failureRate);
  driver.event(request(0, true, true));
  driver.event(request(1, false, true));
  driver.event(request(2, false, false));
  driver.event(request(3, null, null));
  driver.finish();
  const [row] = driver.rows;
  assert.deepEqual(
    [row?.requested, row?.failed, row?.loading_only, row?.zero_fps, row?.without_status, row?.failure_rate],
    [4, 2, 1, 2, 1, 0.5],
  );
});

test("each orchestrator and hour has its own, and nobody has none", () => {
  const driver = new MetricTestDriver(failureRate);
  driver.event(request(3_599_999, true, true));
  driver.event(request(3_600_000, false, false));
  driver.event(request(0, false, false, "0xb"));
  driver.event(request(0, true, true, ""));
  driver.finish();
  assert.deepEqual(
    driver.rows.map((row) => [row.key, row.window_start, row.failure_rate]),
    [
      ["0xa", 0, 1],
      ["0xb", 0, 0],
      ["0xa", 3_600_000, 0],
    ],
  );
});

test("hours merge", () => {
  const driver = new MetricTestDriver(failureRate, { window: session("1s") });
  driver.event(request(0, true, true));
  driver.event(request(1_500, null, null));
  driver.event(request(750, false, false));
  driver.finish();
  assert.deepEqual(
    driver.rows.map((row) => [row.requested, row.failed, row.without_status]),
    [[3, 1, 1]],
  );
});
