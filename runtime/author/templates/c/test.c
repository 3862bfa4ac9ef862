/* A minute with one slow request. */
#include "metric.c"
#include <tidemark_test.h>

TM_TEST(requests_over_the_limit_are_slow) {
    tm_driver *driver = tm_driver_configured("{\"limit_ms\": 500}");
    tm_driver_event(driver, "{\"type\": \"request\", \"timestamp\": 1000, \"data\": {\"service\": \"api\","
        " \"user\": \"u\", \"duration_ms\": 700, \"path\": \"/report\"}}");
    tm_driver_event(driver, "{\"type\": \"request\", \"timestamp\": 2000, \"data\": {\"service\": \"api\","
        " \"user\": \"u\", \"duration_ms\": 20, \"path\": \"/\"}}");
    tm_driver_advance(driver, 59999);
    TM_EXPECT(driver->row_count == 1 && tm_equals(&driver->rows[0].key, "api"));
    slow_requests row = read_slow_requests(&driver->rows[0]);
    TM_EXPECT(row.requests == 2 && row.slow == 1 && tm_equals(row.slowest_path, "/report"));
}
