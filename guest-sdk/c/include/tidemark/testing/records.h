/* What the test driver keeps: values, records, groups, and lists of them. Its memory is never freed: a test ends soon,
 * and nothing of it may be in the memory of a call, which is.
 */
#ifndef TIDEMARK_TESTING_RECORDS_H
#define TIDEMARK_TESTING_RECORDS_H

#include "../module.h"
#include <stdio.h>

/* Ends the test program: something cannot be meant. */
#define TM_STOP(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))

/* A list that grows; `TM_ADD(list, item)` adds to it. */
#define TM_MANY(type) \
    struct { \
        type *items; \
        size_t length; \
    }
#define TM_ADD(list, item) \
    ((list).items = realloc((list).items, ((list).length + 1) * sizeof *(list).items), \
        (list).items[(list).length++] = (item))

/* Takes an item out of a list. */
#define TM_REMOVE(list, place) tm_remove((list).items, &(list).length, sizeof *(list).items, (place))

TM_FUNCTION void tm_remove(void *items, size_t *length, size_t size, size_t place) {
    char *item = (char *)items + place * size;
    *length -= 1;
    memmove(item, item + size, (*length - place) * size);
}

TM_FUNCTION tm_text tm_kept(tm_text text) {
    if (text.length == 0) return (tm_text){"", 0};
    return (tm_text){memcpy(malloc(text.length), text.bytes, text.length), text.length};
}

/* A value of a column. */
typedef struct {
    bool is_null;
    union {
        bool boolean;
        int64_t integer;
        double number;
        tm_text text;
    };
} tm_cell;

typedef enum { TM_NO_SIDE, TM_LEFT_SIDE, TM_RIGHT_SIDE } tm_side;

/* A row of input. */
typedef struct {
    tm_text key;
    int64_t time_ms;
    size_t sequence;
    tm_side side;
    /* One per input column, those of both sides. */
    tm_cell *cells;
} tm_record;

typedef TM_MANY(tm_record) tm_records;

/* One group of a call. */
typedef struct {
    tm_text key;
    int64_t start_ms, end_ms, time_ms;
    tm_text state;
    tm_records records;
    /* For windows that fire again. */
    bool is_fired;
} tm_group;

typedef TM_MANY(tm_group) tm_groups;

/* The order in which groups are called: the window's end, its start, the key. */
TM_FUNCTION int tm_compare_groups(const void *left, const void *right) {
    const tm_group *a = left, *b = right;
    if (a->end_ms != b->end_ms) return a->end_ms < b->end_ms ? -1 : 1;
    if (a->start_ms != b->start_ms) return a->start_ms < b->start_ms ? -1 : 1;
    return tm_compare(a->key, b->key);
}

/* The canonical order of records: event time, place in the input. */
TM_FUNCTION int tm_compare_records(const void *left, const void *right) {
    const tm_record *a = left, *b = right;
    if (a->time_ms != b->time_ms) return a->time_ms < b->time_ms ? -1 : 1;
    return a->sequence < b->sequence ? -1 : 1;
}

/* `qsort` of nothing is no order of NULL. */
#define TM_SORT(list, compare) \
    ((list).length > 1 ? qsort((list).items, (list).length, sizeof *(list).items, (compare)) : (void)0)

#endif
