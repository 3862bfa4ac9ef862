/** Requests of a service that took too long, each minute. */

import { State, fold, integer, nullable, optional, text, tumbling } from "@tidemark/metric";

/** The requests of a minute so far. */
class Minute extends State({
  requests: integer,
  slow: integer,
  slowest_ms: integer,
  slowestPath: nullable(text),
}) {}

export default fold({
  name: "slow-requests",
  version: "0.1.0",
  doc: "Requests of a service that took too long, each minute.",
  key: "data.service",
  filter: { type: "request", "data.user": true },
  window: tumbling("1m"),

  input: {
    duration_ms: integer("data.duration_ms"),
    path: text("data.path"),
  },
  state: Minute,
  output: {
    requests: integer,
    slow: integer,
    slowest_path: nullable(text),
  },
  settings: {
    /** Milliseconds from which a request is slow. */
    limit_ms: optional(integer, 500),
  },

  update(minute, requests, context) {
    for (const request of requests) {
      const duration_ms = request.duration_ms ?? 0;
      minute.requests += 1;
      minute.slow += Number(duration_ms > context.settings.limit_ms);
      if (duration_ms > minute.slowest_ms) {
        minute.slowest_ms = duration_ms;
        minute.slowestPath = request.path;
      }
    }
  },

  close(minute, _reason, context) {
    context.emit({ requests: minute.requests, slow: minute.slow, slowest_path: minute.slowestPath });
  },
});
