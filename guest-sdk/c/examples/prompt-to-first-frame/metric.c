/* Prompt to first frame: how long a user waits from the request of a stream to its first processed segment.
 *
 * t(gateway_receive_first_processed_segment) − t(gateway_receive_stream_request), joined by request. The bounds are
 * those of the network's own analytics: −10 s, because events of one request overtake each other, to +60 s. After a
 * swap of the orchestrator the first segment repeats under the same request: the first one counts. A request that no
 * segment follows is a row too, without latency; so is one whose segment seems to come before it, which no user saw.
 */
#include <tidemark.h>

/* The gateway received a request: the left side. */
TM_INPUT(request,
    (tm_text, stream_id, "data.stream_id"),
    (tm_text, gateway, "gateway"))

/* The gateway received the first processed segment: the right side. */
TM_INPUT(first_segment,
    (int64_t, timestamp_ms, "data.timestamp"),
    (int64_t, envelope_timestamp_ms, "timestamp"),
    (tm_text, orchestrator, "data.orchestrator_info.address"))

/* One request. */
TM_OUTPUT(latency,
    (tm_text, request_id),
    (tm_text, stream_id, nullable),
    (tm_text, gateway, nullable),       /* the gateway that received it */
    (tm_text, orchestrator, nullable),  /* who sent the first segment; null for a request without one */
    (int64_t, latency_ms, nullable),    /* null without a segment, and where the difference is negative */
    (bool, matched))                    /* whether a segment followed */

static latency without_segment(const request *request, const tm_context *context) {
    return (latency){
        .request_id = context->key,
        .stream_id = tm_not_empty(request->stream_id),
        .gateway = tm_not_empty(request->gateway),
    };
}

static void matched(const request *request, const first_segment *segment, tm_context *context) {
    latency row = without_segment(request, context);
    row.orchestrator = tm_not_empty(segment->orchestrator);
    row.matched = true;
    /* A pair has only one event time, that of its later side, and here the segment may be the earlier. */
    const int64_t *time_ms = segment->timestamp_ms ? segment->timestamp_ms : segment->envelope_timestamp_ms;
    int64_t latency_ms = time_ms ? *time_ms - context->window_start_ms : -1;
    if (latency_ms >= 0) row.latency_ms = &latency_ms;
    emit_latency(context, row);
}

static void unmatched_left(const request *request, tm_context *context) {
    emit_latency(context, without_segment(request, context));
}

TM_JOIN(request, first_segment, latency,
    .name = "prompt-to-first-frame",
    .version = "1.0.0",
    .doc = "Milliseconds from the request of a stream to its first processed segment.",
    .key = "data.request_id",
    .filter = {TM_IS("type", "stream_trace")},
    .window = TM_INTERVAL(-10 * TM_SECOND, 60 * TM_SECOND,
        .left = {TM_IS("data.type", "gateway_receive_stream_request")},
        .right = {TM_IS("data.type", "gateway_receive_first_processed_segment")},
        .take_first = true,
        .unmatched = TM_LEFT),
    .matched = matched,
    .unmatched_left = unmatched_left)
