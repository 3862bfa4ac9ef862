/**
 * Failure rate: the share of an orchestrator's requests of which nothing came out. The target is less than 1 %.
 *
 * failure rate = failed requests / requests, from the rows of `startup-outcome`. A request failed if all its statuses
 * said LOADING, or if none had a frame rate above zero. Most that fail do both, and count once.
 *
 * It is not counted from the statuses themselves: those of a request that begins shortly before a full hour fall into
 * two windows, and in the first they say LOADING alone. A request belongs to the hour in which its session ends, and
 * counts for the orchestrator that took it first. One without any status is not known to have failed: it counts as
 * requested, and in `without_status`.
 *
 * This is ../failure-rate in TypeScript: the same rows, and the same bytes of state.
 */

import { State, boolean, float, fold, integer, tumbling } from "@tidemark/metric";

/** The hour of an orchestrator so far. */
class Hour extends State({
  requested: integer,
  failed: integer,
  loadingOnly: integer,
  zeroFps: integer,
  withoutStatus: integer,
}) {}

export default fold({
  name: "failure-rate",
  version: "1.0.0",
  doc: "The share of an orchestrator's requests of which nothing came out, each hour.",
  key: "data.orchestrator",
  filter: { type: "metric.startup-outcome", "data.orchestrator": true },
  window: tumbling("1h"),

  // Both are null for a request without a status.
  input: {
    loading_only: boolean("data.loading_only"),
    zero_fps: boolean("data.zero_fps"),
  },
  state: Hour,
  output: {
    /** Requests. */
    requested: integer,
    /** Those of which nothing came out. */
    failed: integer,
    /** Those that never got beyond LOADING. */
    loading_only: integer,
    /** Those that never had a frame rate above zero. */
    zero_fps: integer,
    /** Those of which no status came. */
    without_status: integer,
    /** `failed / requested`, from 0 to 1. */
    failure_rate: float,
  },

  update(hour, requests) {
    for (const { loading_only, zero_fps } of requests) {
      hour.requested += 1;
      hour.failed += Number(loading_only === true || zero_fps === true);
      hour.loadingOnly += Number(loading_only === true);
      hour.zeroFps += Number(zero_fps === true);
      hour.withoutStatus += Number(loading_only === null);
    }
  },

  close(hour, _reason, context) {
    context.emit({
      requested: hour.requested,
      failed: hour.failed,
      loading_only: hour.loadingOnly,
      zero_fps: hour.zeroFps,
      without_status: hour.withoutStatus,
      // An hour without a request has no window, so this divides by one at least.
      failure_rate: hour.failed / hour.requested,
    });
  },

  merge(hour, later) {
    hour.requested += later.requested;
    hour.failed += later.failed;
    hour.loadingOnly += later.loadingOnly;
    hour.zeroFps += later.zeroFps;
    hour.withoutStatus += later.withoutStatus;
  },
});
