/* The edges of the definition. */
#include "metric.c"
#include <tidemark_test.h>

static void trace(tm_driver *driver, const char *type, int64_t time_ms, const char *address) {
    char event[512];
    snprintf(event, sizeof event,
        "{\"type\": \"stream_trace\", \"timestamp\": \"%lld\", \"gateway\": \"g\", \"data\": {\"type\": \"%s\","
        " \"request_id\": \"r\", \"stream_id\": \"s\", \"timestamp\": %lld, \"orchestrator_info\": {\"address\": \"%s\"}}}",
        (long long)time_ms, type, (long long)time_ms, address);
    tm_driver_event(driver, event);
}

static void request_at(tm_driver *driver, int64_t time_ms) {
    trace(driver, "gateway_receive_stream_request", time_ms, "");
}

static void segment_at(tm_driver *driver, int64_t time_ms, const char *address) {
    trace(driver, "gateway_receive_first_processed_segment", time_ms, address);
}

/* The only row of a request and a segment this much later. */
static latency row_at(int64_t distance_ms, const char *address) {
    tm_driver *driver = tm_driver_new();
    request_at(driver, 100000);
    segment_at(driver, 100000 + distance_ms, address);
    tm_driver_finish(driver);
    return read_latency(&driver->rows[0]);
}

TM_TEST(a_row_has_the_times_of_the_pair_and_the_names_of_the_request) {
    tm_driver *driver = tm_driver_new();
    request_at(driver, 1000);
    segment_at(driver, 3500, "0xa");
    tm_driver_advance(driver, 3499);
    TM_EXPECT(driver->row_count == 0); /* an earlier segment may still come */
    tm_driver_advance(driver, 3500);
    TM_EXPECT(driver->row_count == 1);
    const tm_row *row = &driver->rows[0];
    TM_EXPECT(tm_equals(&row->key, "r") && row->window_start_ms == 1000 && row->window_end_ms == 1001);
    TM_EXPECT(row->event_time_ms == 3500);
    latency values = read_latency(row);
    TM_EXPECT(tm_equals(&values.request_id, "r") && tm_equals(values.stream_id, "s") && tm_equals(values.gateway, "g"));
    TM_EXPECT(tm_equals(values.orchestrator, "0xa") && *values.latency_ms == 2500 && values.matched);
}

TM_TEST(the_first_segment_counts_in_any_order_of_arrival) {
    tm_driver *driver = tm_driver_new();
    segment_at(driver, 9000, "0xb");
    segment_at(driver, 3000, "0xa");
    request_at(driver, 1000);
    tm_driver_finish(driver);
    TM_EXPECT(driver->row_count == 1 && *read_latency(&driver->rows[0]).latency_ms == 2000);
}

TM_TEST(both_bounds_belong_to_the_interval) {
    TM_EXPECT(!row_at(-10001, "0xa").matched && row_at(-10000, "0xa").matched);
    TM_EXPECT(row_at(60000, "0xa").matched && !row_at(60001, "0xa").matched);
}

TM_TEST(a_negative_latency_is_null_and_zero_is_not) {
    TM_EXPECT(row_at(-1, "0xa").latency_ms == NULL);
    TM_EXPECT(*row_at(0, "0xa").latency_ms == 0 && *row_at(1, "0xa").latency_ms == 1);
}

TM_TEST(a_request_without_a_segment_comes_when_no_segment_can) {
    tm_driver *driver = tm_driver_new();
    request_at(driver, 1000);
    tm_driver_advance(driver, 60999);
    TM_EXPECT(driver->row_count == 0);
    tm_driver_advance(driver, 61000);
    TM_EXPECT(driver->row_count == 1);
    latency values = read_latency(&driver->rows[0]);
    TM_EXPECT(values.latency_ms == NULL && values.orchestrator == NULL && !values.matched);
}

TM_TEST(a_segment_alone_is_no_row_and_an_empty_orchestrator_is_null) {
    tm_driver *driver = tm_driver_new();
    segment_at(driver, 1000, "0xa");
    tm_driver_finish(driver);
    TM_EXPECT(driver->row_count == 0);
    TM_EXPECT(row_at(500, "").orchestrator == NULL && *row_at(500, "").latency_ms == 500);
}
