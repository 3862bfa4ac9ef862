/* The test driver, settings, and everything of a metric that folds. The cases of `guest-sdk/rust/tests/driver.rs`.
 */
#include <tidemark.h>

TM_INPUT(number, (int64_t, n, "data.n"))

TM_LIST(numbers, int64_t)

TM_STATE(seen, (numbers, numbers))

TM_OUTPUT(joined, (tm_text, numbers), (tm_text, reason))

TM_SETTINGS(limits, (int64_t, timer, 100), (tm_text, separator, " "), (bool, is_strict, true), (double, share, 0.5))

static void update(seen *seen, const number *row, tm_context *context) {
    const limits *limits = context->settings;
    /* In key windows, numbers over 100 are timers, and 0 forgets. */
    if (row->n == NULL) {
        if (limits->is_strict) tm_fail(context, "no number");
    } else if (*row->n >= limits->timer) {
        tm_timer_at(context, *row->n);
    } else if (*row->n == 0) {
        tm_forget(context);
    } else {
        add_to_numbers(&seen->numbers, *row->n);
    }
}

static void close_window(seen *seen, tm_close_reason reason, tm_context *context) {
    static const char *const reasons[] = {"end", "timer", "expired"};
    const limits *limits = context->settings;
    tm_buffer text = {0};
    for (size_t place = 0; place < seen->numbers.length; place++) {
        if (place > 0) tm_append(&text, limits->separator.bytes, limits->separator.length);
        tm_put_integer(&text, seen->numbers.items[place]);
    }
    emit_joined(context, (joined){.numbers = {text.bytes, text.length}, .reason = tm_text_of(reasons[reason])});
}

static void merge(seen *seen, const struct seen *later, tm_context *context) {
    (void)context;
    for (size_t place = 0; place < later->numbers.length; place++) {
        add_to_numbers(&seen->numbers, later->numbers.items[place]);
    }
}

/* Version 1 kept a sum. */
TM_STATE(sum, (int64_t, sum))

static void migrate(seen *seen, tm_text bytes, uint32_t version, tm_context *context) {
    sum before;
    if (version != 1 || !decode_sum(bytes, &before)) tm_fail(context, "no state of version 1");
    else add_to_numbers(&seen->numbers, before.sum);
}

static const char *validate(const void *settings) {
    return ((const limits *)settings)->timer < 10 ? "timer must be 10 at least" : NULL;
}

TM_FOLD(number, seen, joined,
    .name = "numbers",
    .version = "1.0.0",
    .key = "data.k",
    .window = TM_TUMBLING(10),
    .state_version = 2,
    .settings = TM_SETTINGS_OF(limits),
    .validate = validate,
    .update = update,
    .close = close_window,
    .merge = merge,
    .migrate = migrate)

#include <tidemark_test.h>

/* `number` as JSON: a number or null. */
#define EVENT(key, time, number) \
    "{\"type\": \"n\", \"timestamp\": " #time ", \"data\": {\"k\": \"" key "\", \"n\": " #number "}}\n"

/* Whether the rows are these: "key start time numbers reason", a line each. */
static bool rows_are(const tm_driver *driver, const char *expected) {
    tm_buffer found = {0};
    for (size_t place = 0; place < driver->row_count; place++) {
        const tm_row *row = &driver->rows[place];
        joined values = read_joined(row);
        char line[256];
        snprintf(line, sizeof line, "%.*s %lld %lld [%.*s] %.*s\n", TM_PRINTED(row->key), (long long)row->window_start_ms,
            (long long)row->event_time_ms, TM_PRINTED(values.numbers), TM_PRINTED(values.reason));
        tm_put(&found, line);
    }
    bool is_same = tm_compare((tm_text){found.bytes, found.length}, tm_text_of(expected)) == 0;
    if (!is_same) printf("found:\n%.*s", (int)found.length, found.bytes);
    return is_same;
}

TM_TEST(a_batch_is_in_event_time_order_and_windows_close_by_end_and_key) {
    tm_driver *driver = tm_driver_new();
    tm_driver_events(driver, EVENT("b", 15, 5) EVENT("b", 9, 3) EVENT("a", 9, 4) EVENT("b", 1, 2) EVENT("a", 1, 1));
    tm_driver_finish(driver);
    TM_EXPECT(rows_are(driver, "a 0 9 [1 4] end\nb 0 9 [2 3] end\nb 10 19 [5] end\n"));
}

TM_TEST(a_window_within_the_allowed_lateness_fires_again) {
    tm_driver *driver = tm_driver_with((tm_window)TM_TUMBLING(10), 5, "{}");
    tm_driver_event(driver, EVENT("a", 1, 1));
    tm_driver_advance(driver, 13);
    tm_driver_event(driver, EVENT("a", 2, 2));
    TM_EXPECT(rows_are(driver, "a 0 9 [1] end\na 0 9 [1 2] end\n"));
    tm_driver_advance(driver, 14);
    tm_driver_event(driver, EVENT("a", 3, 3));
    tm_driver_finish(driver);
    TM_EXPECT(driver->row_count == 2 && driver->late == 1);
}

TM_TEST(a_row_is_in_each_sliding_window_that_covers_it) {
    tm_driver *driver = tm_driver_with((tm_window)TM_SLIDING(10, 5), 0, "{}");
    tm_driver_event(driver, EVENT("a", 7, 1));
    tm_driver_finish(driver);
    TM_EXPECT(rows_are(driver, "a 0 9 [1] end\na 5 14 [1] end\n"));
}

TM_TEST(windows_before_1970_are_aligned_too) {
    tm_driver *driver = tm_driver_with((tm_window)TM_TUMBLING(10, .offset_ms = 3), 0, "{}");
    tm_driver_event(driver, EVENT("a", -1, 1));
    tm_driver_finish(driver);
    TM_EXPECT(rows_are(driver, "a -7 2 [1] end\n"));
}

TM_TEST(sessions_merge_with_the_earlier_one_first) {
    tm_driver *driver = tm_driver_with((tm_window)TM_SESSION(10), 0, "{}");
    const char *events[] = {EVENT("a", 20, 3), EVENT("a", 0, 1), EVENT("a", 50, 9), EVENT("a", 10, 2)};
    for (size_t place = 0; place < 4; place++) tm_driver_event(driver, events[place]);
    tm_driver_advance(driver, 29);
    TM_EXPECT(rows_are(driver, "a 0 29 [1 3 2] end\n"));
    tm_driver_event(driver, EVENT("a", 12, 7));
    tm_driver_finish(driver);
    TM_EXPECT(driver->row_count == 2 && driver->late == 1);
}

TM_TEST(a_key_has_timers_and_a_time_to_live) {
    tm_driver *driver = tm_driver_with((tm_window)TM_KEY(.ttl_ms = 1000), 0, "{}");
    tm_driver_event(driver, EVENT("a", 1, 7));
    tm_driver_event(driver, EVENT("a", 2, 200));
    tm_driver_event(driver, EVENT("a", 3, 150));
    tm_driver_event(driver, EVENT("b", 4, 100));
    tm_driver_advance(driver, 150);
    TM_EXPECT(driver->row_count == 2);
    tm_driver_event(driver, EVENT("a", 400, 8));
    tm_driver_finish(driver);
    TM_EXPECT(rows_are(driver,
        "b -9223372036854775808 100 [] timer\n"
        "a -9223372036854775808 150 [7] timer\n"
        "a -9223372036854775808 200 [7 8] timer\n"
        "b -9223372036854775808 1004 [] expired\n"
        "a -9223372036854775808 1400 [7 8] expired\n"));
}

TM_TEST(a_group_fails_alone_and_keeps_its_state) {
    tm_driver *driver = tm_driver_new();
    tm_driver_event(driver, EVENT("a", 1, 1));
    tm_driver_events(driver, EVENT("a", 2, null) EVENT("a", 3, 3) EVENT("b", 2, 5));
    tm_driver_finish(driver);
    TM_EXPECT(driver->failure_count == 1 && strcmp(driver->failures[0], "a: no number") == 0);
    TM_EXPECT(rows_are(driver, "a 0 9 [1] end\nb 0 9 [5] end\n"));
}

TM_TEST(settings_have_defaults_and_are_read) {
    tm_driver *driver = tm_driver_configured("{\"separator\": \"\\u00e4\\t\", \"is_strict\": false}");
    tm_driver_events(driver, EVENT("a", 1, 1) EVENT("a", 2, null) EVENT("a", 3, "9") EVENT("a", 4, 12.0));
    tm_driver_finish(driver);
    TM_EXPECT(rows_are(driver, "a 0 9 [1\xc3\xa4\t9\xc3\xa4\t12] end\n"));
}

/* What `configure` answers. */
static const char *mistake_in(const char *json) {
    tm_configured.is_configured = false;
    const char *mistake = tm_configure(tm_text_of(json));
    return mistake == NULL ? "" : mistake;
}

TM_TEST(wrong_settings_are_refused_with_the_reason) {
    TM_EXPECT(strcmp(mistake_in(" "), "") == 0 && strcmp(mistake_in("null"), "") == 0);
    const char *unknown = "there is no setting timr; there are timer, separator, is_strict, share";
    TM_EXPECT(strcmp(mistake_in("{\"timr\": 5}"), unknown) == 0);
    TM_EXPECT(strcmp(mistake_in("{\"timer\": 0.5}"), "timer: 0.5 is not a whole number") == 0);
    TM_EXPECT(strcmp(mistake_in("{\"is_strict\": 2}"), "is_strict: 2 is not true or false") == 0);
    TM_EXPECT(strcmp(mistake_in("{\"share\": \"x\"}"), "share: \"x\" is not a number") == 0);
    TM_EXPECT(strcmp(mistake_in("{\"timer\": 5}"), "timer must be 10 at least") == 0);
    TM_EXPECT(strcmp(mistake_in("[]"), "the configuration is not an object") == 0);
    TM_EXPECT(strcmp(mistake_in("{"), "the configuration is no JSON") == 0);
}

TM_TEST(the_description_is_that_of_the_facts) {
    tm_description metric = tm_description_of_metric();
    const char *expected =
        "{\"describe\":1,\"name\":\"numbers\",\"version\":\"1.0.0\",\"doc\":\"\","
        "\"inputs\":[{\"name\":\"n\",\"path\":\"data.n\",\"type\":\"integer\"}],\"filter\":{},\"key\":\"data.k\","
        "\"window\":{\"kind\":\"tumbling\",\"size_ms\":10,\"offset_ms\":0},"
        "\"output\":[{\"name\":\"numbers\",\"type\":\"text\",\"nullable\":false},"
        "{\"name\":\"reason\",\"type\":\"text\",\"nullable\":false}],\"state_version\":2,"
        "\"config_schema\":{\"type\":\"object\",\"properties\":{\"timer\":{\"type\":\"integer\",\"default\":100},"
        "\"separator\":{\"type\":\"string\",\"default\":\" \"},\"is_strict\":{\"type\":\"boolean\",\"default\":true},"
        "\"share\":{\"type\":\"number\",\"default\":0.5}},\"required\":[],\"additionalProperties\":false},"
        "\"mergeable\":true}";
    tm_text description = tm_describe(&metric);
    TM_EXPECT(tm_equals(&description, expected));
}

/* The first state of an answer. */
static tm_text migrated(const char *bytes, size_t length, uint32_t version) {
    uint32_t end = (uint32_t)length;
    tm_byte_strings states = {{&end, 1}, {(char *)bytes, length}};
    tm_folded folded = tm_migrate(&states, version);
    return folded.failures.length > 0 ? folded.failures.items[0].message : tm_string_at(&folded.states, 0);
}

TM_TEST(a_state_of_an_older_version_is_migrated) {
    TM_EXPECT(tm_compare(migrated("\7\0\0\0\0\0\0\0", 8, 1), (tm_text){"\1\0\0\0\7\0\0\0\0\0\0\0", 12}) == 0);
    tm_text failure = migrated("\7", 1, 1);
    TM_EXPECT(tm_equals(&failure, "no state of version 1"));
}
