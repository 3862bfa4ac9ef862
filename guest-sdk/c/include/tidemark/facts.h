/* The facts of a metric, as its author writes them with designated initializers: name, key, filter, window and so on.
 * They are checked by the runtime, and by the test driver.
 */
#ifndef TIDEMARK_FACTS_H
#define TIDEMARK_FACTS_H

#include "settings.h"

#define TM_MOST_CONDITIONS 8
#define TM_MOST_CHOICES 16

/* What one path must hold. */
typedef struct {
    const char *path;
    enum { TM_CHOICES, TM_IS_PRESENT, TM_IS_ABSENT } kind;
    const char *choices[TM_MOST_CHOICES];
} tm_condition;

/* Conditions of a filter; all of them must hold. */
#define TM_IS(at, ...) {.path = (at), .kind = TM_CHOICES, .choices = {__VA_ARGS__}}
#define TM_PRESENT(at) {.path = (at), .kind = TM_IS_PRESENT}
#define TM_ABSENT(at) {.path = (at), .kind = TM_IS_ABSENT}

/* Durations in milliseconds: `5 * TM_MINUTE`. */
#define TM_SECOND INT64_C(1000)
#define TM_MINUTE (60 * TM_SECOND)
#define TM_HOUR (60 * TM_MINUTE)
#define TM_DAY (24 * TM_HOUR)

typedef enum {
    TM_NO_WINDOW,
    TM_TUMBLING_WINDOW,
    TM_SLIDING_WINDOW,
    TM_SESSION_WINDOW,
    TM_KEY_WINDOW,
    TM_INTERVAL_JOIN,
} tm_window_kind;

typedef enum { TM_NONE, TM_LEFT, TM_RIGHT, TM_BOTH } tm_unmatched;

/* How rows are grouped. */
typedef struct {
    tm_window_kind kind;
    int64_t size_ms, slide_ms, offset_ms;
    int64_t gap_ms;
    /* 0: for ever. */
    int64_t ttl_ms;
    int64_t lower_ms, upper_ms;
    bool lower_exclusive, upper_exclusive;
    tm_condition left[TM_MOST_CONDITIONS], right[TM_MOST_CONDITIONS];
    bool take_first;
    tm_unmatched unmatched;
} tm_window;

/* Windows; further terms are designated initializers: TM_TUMBLING(TM_MINUTE, .offset_ms = 5 * TM_SECOND). */
#define TM_TUMBLING(size, ...) {.kind = TM_TUMBLING_WINDOW, .size_ms = (size), __VA_ARGS__}
#define TM_SLIDING(size, every, ...) {.kind = TM_SLIDING_WINDOW, .size_ms = (size), .slide_ms = (every), __VA_ARGS__}
#define TM_SESSION(gap) {.kind = TM_SESSION_WINDOW, .gap_ms = (gap)}
#define TM_KEY(...) {.kind = TM_KEY_WINDOW, __VA_ARGS__}
#define TM_INTERVAL(lower, upper, ...) {.kind = TM_INTERVAL_JOIN, .lower_ms = (lower), .upper_ms = (upper), __VA_ARGS__}

/* The members of every metric. */
#define TM_FACTS \
    /* Lower-case letters, digits and hyphens. */ \
    const char *name; \
    /* Semantic version. */ \
    const char *version; \
    /* One sentence for people. */ \
    const char *doc; \
    /* Path of the key. */ \
    const char *key; \
    /* Which events it wants: {TM_IS("type", "a", "b"), TM_PRESENT("data.c")}. */ \
    tm_condition filter[TM_MOST_CONDITIONS]; \
    tm_window window; \
    /* Raise it when the members of the state change; 1 unless set. */ \
    uint32_t state_version; \
    /* TM_SETTINGS_OF(name). */ \
    tm_settings settings; \
    /* Checks settings beyond their types: what is wrong, or NULL. */ \
    const char *(*validate)(const void *settings);

typedef struct {
    TM_FACTS
} tm_facts;

#endif
