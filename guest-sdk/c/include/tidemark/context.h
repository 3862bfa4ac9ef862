/* What a metric can ask and do while it handles one group: its key and window, failing, timers, forgetting. Rows are
 * emitted with the functions of output.h.
 */
#ifndef TIDEMARK_CONTEXT_H
#define TIDEMARK_CONTEXT_H

#include "input.h"

/* The answer to one call, as it grows group by group. */
typedef struct {
    tm_buffer state_ends, states, emitted, timers, failures;
    /* One per output column. */
    struct tm_column_buffer *columns;
    size_t groups;
} tm_folding;

typedef struct {
    /* The group's key. */
    tm_text key;
    /* First millisecond of the window; INT64_MIN for key windows; of a join the time of the left, or the only, row. */
    int64_t window_start_ms;
    /* First millisecond after the window; INT64_MAX for key windows. */
    int64_t window_end_ms;
    /* Event time that emitted rows will have. */
    int64_t event_time_ms;
    /* What the deployment configured, a struct of TM_SETTINGS; NULL without settings. */
    const void *settings;
    /* The rest is not for authors. */
    tm_folding *folding;
    const char *failure;
    bool is_forgotten;
} tm_context;

/* Fails the group: the host keeps its state as it was and puts its rows aside as a dead letter with this message;
 * whatever else the metric does for the group is ignored, and no other group is affected. Return after it. `message` is
 * a string that lives until the end of the call: a literal, or memory of tm_allocate. */
TM_FUNCTION void tm_fail(tm_context *context, const char *message) {
    if (context->failure == NULL) context->failure = message;
}

/* Asks for a call of `close` with TM_TIMER when the watermark reaches `event_time_ms`. Key windows only. Setting a
 * timer twice is setting it once. */
TM_FUNCTION void tm_timer_at(tm_context *context, int64_t event_time_ms) {
    tm_timer timer = {.group = (uint32_t)context->folding->groups, .time = event_time_ms};
    tm_append(&context->folding->timers, &timer, sizeof timer);
}

/* Forgets the group: its state after this call is none, whatever the metric made of it. Where the window lives on, the
 * next call begins with zeros. */
TM_FUNCTION void tm_forget(tm_context *context) {
    context->is_forgotten = true;
}

/* The context of the next group of a call. */
TM_FUNCTION tm_context tm_begin_group(tm_folding *folding, const tm_batch *batch, const void *settings) {
    size_t group = folding->groups;
    return (tm_context){
        .key = tm_string_at(&batch->keys, group),
        .window_start_ms = batch->window_starts.items[group],
        .window_end_ms = batch->window_ends.items[group],
        .event_time_ms = batch->times.items[group],
        .settings = settings,
        .folding = folding,
    };
}

/* Ends a group whose new state, if it has one, is at the end of `states`. */
TM_FUNCTION void tm_end_group(tm_folding *folding, const char *message) {
    if (message != NULL) {
        tm_failure failure = {.group = (uint32_t)folding->groups, .message = tm_text_of(message)};
        tm_append(&folding->failures, &failure, sizeof failure);
    }
    uint32_t end = (uint32_t)folding->states.length;
    tm_append(&folding->state_ends, &end, sizeof end);
    folding->groups++;
}

#endif
