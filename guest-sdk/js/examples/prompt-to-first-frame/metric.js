/**
 * Prompt to first frame: how long a user waits from the request of a stream to its first processed segment.
 *
 * `t(gateway_receive_first_processed_segment) − t(gateway_receive_stream_request)`, joined by request. The bounds are
 * those of the network's own analytics: −10 s, because events of one request overtake each other, to +60 s. After a
 * swap of the orchestrator the first segment repeats under the same request: the first one counts. A request that no
 * segment follows is a row too, without latency; so is one whose segment seems to come before it, which no user saw.
 */

import { boolean, integer, interval, join, nullable, text } from "@tidemark/metric";

/** The gateway received a request: the left side. */
const REQUEST = {
  stream_id: text("data.stream_id"),
  gateway: text("gateway"),
};

/** The gateway received the first processed segment: the right side. */
const FIRST_SEGMENT = {
  timestamp_ms: integer("data.timestamp"),
  envelope_timestamp_ms: integer("timestamp"),
  orchestrator: text("data.orchestrator_info.address"),
};

/**
 * The row of a request that no segment follows. Some sources write "" for nothing.
 *
 * @param {import("@tidemark/metric").Row<typeof REQUEST>} request
 * @param {{ key: string }} context
 */
const withoutSegment = (request, context) => ({
  request_id: context.key,
  stream_id: request.stream_id || null,
  gateway: request.gateway || null,
  matched: false,
});

export default join({
  name: "prompt-to-first-frame",
  version: "1.0.0",
  doc: "Milliseconds from the request of a stream to its first processed segment.",
  key: "data.request_id",
  filter: { type: "stream_trace" },
  window: interval({
    left: { "data.type": "gateway_receive_stream_request" },
    right: { "data.type": "gateway_receive_first_processed_segment" },
    lower: "-10s",
    upper: "60s",
    take: "first",
    unmatched: "left",
  }),

  left: REQUEST,
  right: FIRST_SEGMENT,
  output: {
    request_id: text,
    stream_id: nullable(text),
    /** The gateway that received it. */
    gateway: nullable(text),
    /** Who sent the first segment; null for a request without one. */
    orchestrator: nullable(text),
    /** Null for a request without a segment, and where the difference is negative. */
    latency_ms: nullable(integer),
    /** Whether a segment followed. */
    matched: boolean,
  },

  matched(request, segment, context) {
    // A pair has only one event time, that of its later side, and here the segment may be the earlier.
    const time_ms = segment.timestamp_ms ?? segment.envelope_timestamp_ms;
    const latency_ms = time_ms === null ? null : time_ms - context.windowStartMs;
    context.emit({
      ...withoutSegment(request, context),
      orchestrator: segment.orchestrator || null,
      latency_ms: latency_ms !== null && latency_ms >= 0 ? latency_ms : null,
      matched: true,
    });
  },

  unmatchedLeft: (request, context) => context.emit(withoutSegment(request, context)),
});
