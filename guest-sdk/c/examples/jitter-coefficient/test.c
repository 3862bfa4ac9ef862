/* The edges of the definition. */
#include "metric.c"
#include <tidemark_test.h>

/* A status of stream `s`, `seconds` after the epoch. */
static void status_at(tm_driver *driver, double seconds, const char *fps) {
    char event[512];
    snprintf(event, sizeof event,
        "{\"type\": \"ai_stream_status\", \"timestamp\": \"0\", \"data\": {\"stream_id\": \"s\", \"timestamp\": %.0f,"
        " \"pipeline\": \"p%.0f\", \"inference_status\": {\"fps\": %s}}}",
        seconds * 1000, seconds, fps);
    tm_driver_event(driver, event);
}

/* The only window of these frame rates. */
static jitter window_of(size_t count, const char *const *rates) {
    tm_driver *driver = tm_driver_new();
    for (size_t second = 0; second < count; second++) status_at(driver, (double)second, rates[second]);
    tm_driver_finish(driver);
    return read_jitter(&driver->rows[0]);
}

#define WINDOW_OF(...) window_of(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

TM_TEST(jitter_needs_two_samples_and_a_mean) {
    jitter one = WINDOW_OF("20");
    TM_EXPECT(one.samples == 1 && *one.mean_fps == 20 && one.jitter == NULL);
    jitter zeros = WINDOW_OF("0", "0");
    TM_EXPECT(zeros.samples == 2 && zeros.zero_samples == 2 && *zeros.mean_fps == 0 && zeros.jitter == NULL);
    jitter uneven = WINDOW_OF("0", "2");
    TM_EXPECT(uneven.zero_samples == 1 && *uneven.mean_fps == 1 && *uneven.jitter == 1);
    jitter even = WINDOW_OF("20", "\"20.0\"");
    TM_EXPECT(even.samples == 2 && *even.jitter == 0);
}

TM_TEST(a_status_without_a_frame_rate_is_no_sample) {
    jitter some = WINDOW_OF("null", "20", "\"fast\"", "20");
    TM_EXPECT(some.samples == 2 && *some.mean_fps == 20 && *some.jitter == 0);
    jitter none = WINDOW_OF("null");
    TM_EXPECT(none.samples == 0 && none.mean_fps == NULL && none.jitter == NULL);
}

TM_TEST(a_window_is_half_open_and_late_rows_are_not_counted) {
    tm_driver *driver = tm_driver_new();
    status_at(driver, 59.999, "10");
    status_at(driver, 60, "20");
    tm_driver_advance(driver, 59998);
    TM_EXPECT(driver->row_count == 0);
    tm_driver_advance(driver, 59999);
    status_at(driver, 1, "30");
    tm_driver_finish(driver);
    TM_EXPECT(driver->row_count == 2 && driver->late == 1);
    TM_EXPECT(driver->rows[0].window_start_ms == 0 && *read_jitter(&driver->rows[0]).mean_fps == 10);
    TM_EXPECT(driver->rows[1].window_start_ms == 60000 && *read_jitter(&driver->rows[1]).mean_fps == 20);
}

TM_TEST(folding_apart_and_merging_gives_the_same) {
    const char *rates[] = {"17", "16", "0", "18", "17.5"};
    jitter whole = window_of(5, rates);
    /* Every other one is a session of its own until those between close the gaps. */
    tm_driver *driver = tm_driver_with((tm_window)TM_SESSION(1500), 0, "{}");
    for (int second = 0; second < 5; second += 2) status_at(driver, second, rates[second]);
    for (int second = 1; second < 5; second += 2) status_at(driver, second, rates[second]);
    tm_driver_finish(driver);
    TM_EXPECT(driver->row_count == 1);
    jitter apart = read_jitter(&driver->rows[0]);
    TM_EXPECT(apart.samples == 5 && apart.zero_samples == 1 && tm_equals(apart.pipeline, "p4"));
    TM_EXPECT(fabs(*apart.jitter - *whole.jitter) < 1e-12);
}
