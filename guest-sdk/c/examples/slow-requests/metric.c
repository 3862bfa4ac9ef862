/* Requests of a service that took too long, each minute. */
#include <tidemark.h>

/* What a request says of itself. */
TM_INPUT(request,
    (int64_t, duration_ms, "data.duration_ms"),
    (tm_text, path, "data.path"))

/* The requests of a minute so far. */
TM_STATE(minute,
    (int64_t, requests),
    (int64_t, slow),
    (int64_t, slowest_ms),
    (tm_text, slowest_path))

TM_OUTPUT(slow_requests,
    (int64_t, requests),
    (int64_t, slow),
    (tm_text, slowest_path, nullable))

TM_SETTINGS(limits,
    (int64_t, limit_ms, 500)) /* milliseconds from which a request is slow */

static void update(minute *minute, const request *request, tm_context *context) {
    const limits *limits = context->settings;
    int64_t duration_ms = request->duration_ms ? *request->duration_ms : 0;
    minute->requests += 1;
    minute->slow += duration_ms > limits->limit_ms;
    if (duration_ms > minute->slowest_ms) {
        minute->slowest_ms = duration_ms;
        minute->slowest_path = request->path ? *request->path : (tm_text){0};
    }
}

static void close_window(minute *minute, tm_close_reason reason, tm_context *context) {
    (void)reason;
    emit_slow_requests(context, (slow_requests){
        .requests = minute->requests,
        .slow = minute->slow,
        .slowest_path = tm_not_empty(&minute->slowest_path),
    });
}

TM_FOLD(request, minute, slow_requests,
    .name = "slow-requests",
    .version = "0.1.0",
    .doc = "Requests of a service that took too long, each minute.",
    .key = "data.service",
    .filter = {TM_IS("type", "request"), TM_PRESENT("data.user")},
    .window = TM_TUMBLING(TM_MINUTE),
    .settings = TM_SETTINGS_OF(limits),
    .update = update,
    .close = close_window)
