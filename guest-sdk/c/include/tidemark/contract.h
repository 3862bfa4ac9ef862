/* The contract's types, wit/metric.wit, laid out as the canonical ABI lays them out in the memory of a component.
 * Nothing here is for authors.
 */
#ifndef TIDEMARK_CONTRACT_H
#define TIDEMARK_CONTRACT_H

#include "text.h"

#define TM_LIST_OF(type) \
    struct { \
        type *items; \
        size_t length; \
    }

/* String `i` is bytes[ends[i - 1] .. ends[i]]. */
typedef struct {
    TM_LIST_OF(uint32_t) ends;
    TM_LIST_OF(char) bytes;
} tm_byte_strings;

/* Types of columns. The first four are the cases of `values`; JSON is a text there. */
typedef enum { TM_BOOLEAN, TM_INTEGER, TM_FLOAT, TM_TEXT, TM_JSON } tm_type;

typedef struct {
    TM_LIST_OF(uint8_t) validity;
    uint8_t type;
    union {
        TM_LIST_OF(uint8_t) booleans;
        TM_LIST_OF(int64_t) integers;
        TM_LIST_OF(double) floats;
        tm_byte_strings texts;
    };
} tm_column;

typedef TM_LIST_OF(tm_column) tm_columns;

typedef struct {
    tm_columns columns;
    TM_LIST_OF(int64_t) event_times;
    tm_byte_strings keys;
    TM_LIST_OF(int64_t) window_starts;
    TM_LIST_OF(int64_t) window_ends;
    TM_LIST_OF(int64_t) times;
    TM_LIST_OF(uint32_t) row_ends;
    tm_byte_strings states;
} tm_batch;

/* Why `close` is called. */
typedef enum {
    TM_WINDOW_END,
    TM_TIMER,
    TM_EXPIRED,
    TM_UNMATCHED_LEFT,
    TM_UNMATCHED_RIGHT,
} tm_close_reason;

typedef struct {
    uint32_t group;
    int64_t time;
} tm_timer;

typedef struct {
    uint32_t group;
    tm_text message;
} tm_failure;

typedef struct {
    tm_byte_strings states;
    TM_LIST_OF(uint32_t) emitted;
    tm_columns columns;
    TM_LIST_OF(tm_timer) timers;
    TM_LIST_OF(tm_failure) failures;
} tm_folded;

#ifdef __wasm__
_Static_assert(sizeof(tm_column) == 28 && sizeof(tm_batch) == 80, "the canonical layout of what comes in");
_Static_assert(sizeof(tm_timer) == 16 && sizeof(tm_failure) == 12 && sizeof(tm_folded) == 48, "and of what goes out");
#endif

/* Where item `index` begins and ends, from the ends of all items. */
TM_FUNCTION size_t tm_begin_of(const uint32_t *ends, size_t index) {
    return index == 0 ? 0 : ends[index - 1];
}

TM_FUNCTION tm_text tm_string_at(const tm_byte_strings *strings, size_t index) {
    size_t begin = tm_begin_of(strings->ends.items, index);
    return (tm_text){strings->bytes.items + begin, strings->ends.items[index] - begin};
}

#endif
