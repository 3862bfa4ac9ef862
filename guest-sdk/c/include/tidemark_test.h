/* Tests of a metric without a runtime, natively. A test file includes the metric's file, then this header, which brings
 * the program's `main`:
 *
 *     #include "metric.c"
 *     #include <tidemark_test.h>
 *
 *     TM_TEST(a_status_without_a_frame_rate_is_no_sample) {
 *         tm_driver *driver = tm_driver_new();
 *         tm_driver_event(driver, "{\"type\": \"ai_stream_status\", \"timestamp\": 0, \"data\": {\"stream_id\": \"s\"}}");
 *         tm_driver_finish(driver);
 *         TM_EXPECT(driver->row_count == 1);
 *         TM_EXPECT(read_jitter(&driver->rows[0]).samples == 0);
 *     }
 *
 * The driver plays the host, with the window that the metric declares; time moves only where a test says so. Every
 * batch is given to the metric twice, as a whole and group by group, and memory of calls is overwritten after them: a
 * metric whose answers differ is not pure, and the program ends.
 */
#ifndef TIDEMARK_TEST_H
#define TIDEMARK_TEST_H

#include "tidemark/testing/pairs.h"

typedef struct {
    /* What the metric emitted, in order. `read_<output>(&driver->rows[0])` gives a row's columns. */
    const tm_row *rows;
    size_t row_count;
    /* Groups that failed, each as `key: message`. */
    const char *const *failures;
    size_t failure_count;
    /* How many rows came too late for every window or partner. */
    size_t late;
    /* The rest is the driver's own. */
    tm_caller caller;
    tm_windows windows;
    int64_t watermark;
    size_t events;
} tm_driver;

/* Another window than the declared one, as a deployment may choose it, and late rows that count. */
TM_FUNCTION tm_driver *tm_driver_with(tm_window window, int64_t allowed_lateness_ms, const char *settings) {
    tm_description metric = tm_description_of_metric();
    bool is_join = metric.right_inputs != NULL;
    if ((window.kind == TM_INTERVAL_JOIN) != is_join) TM_STOP("a join has an interval, and nothing else does");
    if (window.kind == TM_NO_WINDOW) TM_STOP(".window is missing");
    if (window.kind == TM_SESSION_WINDOW && !metric.is_mergeable) TM_STOP("sessions grow together: set .merge");
    tm_configured.is_configured = false;
    const char *mistake = tm_configure(tm_text_of(settings));
    if (mistake != NULL) TM_STOP("the settings are refused: %s", mistake);
    tm_driver *driver = calloc(1, sizeof *driver);
    driver->windows = (tm_windows){.terms = window, .allowed_lateness_ms = allowed_lateness_ms};
    driver->caller.has_timers = window.kind == TM_KEY_WINDOW;
    driver->watermark = INT64_MIN;
    return driver;
}

/* A driver with these settings, a JSON document. */
TM_FUNCTION tm_driver *tm_driver_configured(const char *settings) {
    return tm_driver_with(tm_description_of_metric().facts->window, 0, settings);
}

TM_FUNCTION tm_driver *tm_driver_new(void) {
    return tm_driver_configured("{}");
}

TM_FUNCTION void tm_show(tm_driver *driver) {
    driver->rows = driver->caller.rows.items;
    driver->row_count = driver->caller.rows.length;
    driver->failures = driver->caller.failures.items;
    driver->failure_count = driver->caller.failures.length;
    driver->late = driver->windows.late;
}

/* Adds the row of an event to `records`; for a join, one for each side that wants it. */
TM_FUNCTION void tm_add_records(tm_driver *driver, tm_records *records, tm_text event) {
    tm_description metric = tm_description_of_metric();
    tm_text whole;
    size_t sequence = ++driver->events;
    if (!tm_scan_whole(event, &whole) || whole.bytes[0] != '{') {
        TM_STOP("event %zu is no JSON object: %.*s", sequence, TM_PRINTED(event));
    }
    int64_t time_ms = tm_time_of(whole, sequence);
    tm_cell key = tm_cell_at(whole, metric.facts->key, TM_TEXT);
    if (!tm_passes(whole, metric.facts->filter) || key.is_null || key.text.length == 0) return;
    size_t own = tm_count_fields(metric.inputs);
    size_t columns = own + (metric.right_inputs == NULL ? 0 : tm_count_fields(metric.right_inputs));
    const tm_window *window = &driver->windows.terms;
    bool is_join = window->kind == TM_INTERVAL_JOIN;
    for (int side = is_join ? TM_LEFT_SIDE : TM_NO_SIDE; side <= (is_join ? TM_RIGHT_SIDE : TM_NO_SIDE); side++) {
        if (is_join && !tm_passes(whole, side == TM_LEFT_SIDE ? window->left : window->right)) continue;
        tm_record record = {key.text, time_ms, sequence, (tm_side)side, malloc(columns * sizeof(tm_cell) + 1)};
        for (size_t place = 0; place < columns; place++) {
            const tm_field *field = place < own ? &metric.inputs[place] : &metric.right_inputs[place - own];
            bool is_of_side = !is_join || (side == TM_LEFT_SIDE) == (place < own);
            record.cells[place] = is_of_side ? tm_cell_at(whole, field->path, field->type) : (tm_cell){.is_null = true};
        }
        TM_ADD(*records, record);
    }
}

/* Feeds several events in one batch, one line each; empty lines are skipped. An event's time is `data.timestamp`, else
 * the envelope's `timestamp`. Events that the filter does not want and events without a key change nothing. */
TM_FUNCTION void tm_driver_events(tm_driver *driver, const char *lines) {
    tm_records records = {0};
    while (*lines != 0) {
        size_t length = strcspn(lines, "\n");
        if (strspn(lines, " \t\r") < length) tm_add_records(driver, &records, (tm_text){lines, length});
        lines += length + (lines[length] == '\n');
    }
    tm_end_call();
    TM_SORT(records, tm_compare_records);
    switch (driver->windows.terms.kind) {
    case TM_SESSION_WINDOW: tm_fold_sessions(&driver->caller, &driver->windows, records, driver->watermark); break;
    case TM_KEY_WINDOW: tm_fold_keys(&driver->caller, &driver->windows, records, driver->watermark); break;
    case TM_INTERVAL_JOIN: tm_fold_pairs(&driver->caller, &driver->windows, records, driver->watermark); break;
    default: tm_fold_aligned(&driver->caller, &driver->windows, records, driver->watermark); break;
    }
    tm_show(driver);
}

/* Feeds one event. */
TM_FUNCTION void tm_driver_event(tm_driver *driver, const char *json) {
    char *line = strcpy(malloc(strlen(json) + 1), json);
    for (char *byte = line; *byte != 0; byte++) {
        if (*byte == '\n') *byte = ' ';
    }
    tm_driver_events(driver, line);
}

/* Moves event time: everything up to it has come, what is due is closed. Never moves back. */
TM_FUNCTION void tm_driver_advance(tm_driver *driver, int64_t event_time_ms) {
    if (event_time_ms <= driver->watermark) return;
    driver->watermark = event_time_ms;
    switch (driver->windows.terms.kind) {
    case TM_KEY_WINDOW: tm_advance_keys(&driver->caller, &driver->windows, event_time_ms); break;
    case TM_INTERVAL_JOIN: tm_advance_pairs(&driver->caller, &driver->windows, event_time_ms); break;
    default: tm_fire(&driver->caller, &driver->windows, event_time_ms, false); break;
    }
    tm_show(driver);
}

/* Ends the input: the watermark goes to the end of time. */
TM_FUNCTION void tm_driver_finish(tm_driver *driver) {
    tm_driver_advance(driver, INT64_MAX);
}

/* ----- tests ----- */

typedef struct {
    const char *name;
    void (*run)(void);
} tm_test;

static TM_MANY(tm_test) tm_tests;
static const char *tm_mistake;

/* A test; it ends at the first TM_EXPECT that does not hold. */
#define TM_TEST(name) \
    static void name(void); \
    __attribute__((constructor)) static void tm_add_##name(void) { \
        TM_ADD(tm_tests, ((tm_test){#name, name})); \
    } \
    static void name(void)

#define TM_QUOTED_(line) #line
#define TM_QUOTED(line) TM_QUOTED_(line)
#define TM_EXPECT(condition) \
    do { \
        if (!(condition)) { \
            tm_mistake = __FILE__ ":" TM_QUOTED(__LINE__) ": expected " #condition; \
            return; \
        } \
    } while (0)

/* For the address sanitizer: the driver frees nothing. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "detect_leaks=0";
}

/* `./test jitter` runs those tests that have `jitter` in their names. */
int main(int count, char **arguments) {
    size_t failed = 0, passed = 0;
    for (size_t place = 0; place < tm_tests.length; place++) {
        const tm_test *test = &tm_tests.items[place];
        if (count > 1 && strstr(test->name, arguments[1]) == NULL) continue;
        tm_mistake = NULL;
        test->run();
        printf("%s %s\n", tm_mistake == NULL ? "ok    " : "FAILED", test->name);
        if (tm_mistake != NULL) printf("       %s\n", tm_mistake);
        *(tm_mistake == NULL ? &passed : &failed) += 1;
    }
    printf("%zu passed, %zu failed\n", passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}

#endif
