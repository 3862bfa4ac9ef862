/* The figures on known samples, and the bound of what is kept. */
#include "metric.c"
#include <tidemark_test.h>

static void status_at(tm_driver *driver, long long time_ms, const char *fps) {
    char event[512];
    snprintf(event, sizeof event,
        "{\"type\": \"ai_stream_status\", \"timestamp\": \"0\", \"data\": {\"stream_id\": \"s\", \"timestamp\": %lld,"
        " \"pipeline\": \"p%lld\", \"inference_status\": {\"fps\": %s}}}",
        time_ms, time_ms, fps);
    tm_driver_event(driver, event);
}

static frame_rate window_of(size_t count, const char *const *rates) {
    tm_driver *driver = tm_driver_new();
    for (size_t place = 0; place < count; place++) status_at(driver, (long long)place, rates[place]);
    tm_driver_finish(driver);
    return read_frame_rate(&driver->rows[0]);
}

#define WINDOW_OF(...) window_of(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

TM_TEST(figures_are_those_of_type_7) {
    frame_rate row = WINDOW_OF("4", "1", "3", "2");
    TM_EXPECT(row.samples == 4 && *row.mean_fps == 2.5 && *row.p50_fps == 2.5 && *row.min_fps == 1 && *row.max_fps == 4);
    TM_EXPECT(fabs(*row.p95_fps - 3.85) < 1e-12);
    TM_EXPECT(tm_equals(row.pipeline, "p3"));
    frame_rate one = WINDOW_OF("17.5");
    TM_EXPECT(*one.p50_fps == 17.5 && *one.p95_fps == 17.5);
}

TM_TEST(zeros_are_counted_apart_and_rubbish_is_none) {
    frame_rate row = WINDOW_OF("0", "null", "-3", "\"fast\"", "20", "0.0");
    TM_EXPECT(row.samples == 1 && row.zero_samples == 2 && *row.mean_fps == 20 && *row.min_fps == 20);
    frame_rate none = WINDOW_OF("0");
    TM_EXPECT(none.samples == 0 && none.mean_fps == NULL && none.p50_fps == NULL && none.max_fps == NULL);
}

TM_TEST(of_too_many_samples_the_quantiles_are_null) {
    tm_driver *driver = tm_driver_new();
    for (int place = 0; place < MAX_RATES; place++) status_at(driver, place, "8");
    status_at(driver, MAX_RATES, "16");
    tm_driver_finish(driver);
    frame_rate row = read_frame_rate(&driver->rows[0]);
    TM_EXPECT(row.samples == MAX_RATES + 1 && row.p50_fps == NULL && row.p95_fps == NULL && *row.max_fps == 16);
}

TM_TEST(windows_merge) {
    tm_driver *driver = tm_driver_with((tm_window)TM_SESSION(15), 0, "{}");
    status_at(driver, 0, "1");
    status_at(driver, 20, "3");
    status_at(driver, 10, "8");
    tm_driver_finish(driver);
    frame_rate row = read_frame_rate(&driver->rows[0]);
    TM_EXPECT(driver->row_count == 1 && row.samples == 3 && *row.p50_fps == 3 && *row.mean_fps == 4);
}
