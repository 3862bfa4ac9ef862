/* Output: what a metric emits.
 *
 *     TM_OUTPUT(jitter,
 *         (int64_t, samples),
 *         (double, jitter, nullable))
 *
 * declares `jitter`, a struct with `int64_t samples` and `const double *jitter`, which is null where it is NULL, and
 * `emit_jitter(context, row)`. Types are bool, int64_t, double, tm_text and tm_json. A group may emit any number of
 * rows.
 */
#ifndef TIDEMARK_OUTPUT_H
#define TIDEMARK_OUTPUT_H

#include "context.h"

/* An output column as it grows row by row. */
typedef struct tm_column_buffer {
    tm_type type;
    size_t rows;
    tm_buffer validity, values, ends;
} tm_column_buffer;

#define TM_OUTPUT(name, ...) \
    typedef struct name { \
        TM_FOR_EACH(TM_OUTPUT_MEMBER, __VA_ARGS__) \
    } name; \
    static const tm_field tm_outputs_of_##name[] = {TM_FOR_EACH(TM_OUTPUT_FIELD, __VA_ARGS__){NULL, NULL, 0, false}}; \
    TM_FUNCTION void emit_##name(tm_context *context, name tm_row) { \
        tm_column_buffer *tm_next = tm_begin_row(context); \
        TM_FOR_EACH(TM_OUTPUT_PUSH, __VA_ARGS__) \
        (void)tm_next; \
    } \
    TM_OUTPUT_FOR_TESTS(name, __VA_ARGS__)

/* The third word of a column is nothing or `nullable`. */
#define TM_OUTPUT_MEMBER(type, name, ...) TM_OUTPUT_MEMBER_##__VA_ARGS__(type, name)
#define TM_OUTPUT_MEMBER_(type, name) type name;
#define TM_OUTPUT_MEMBER_nullable(type, name) const type *name;
#define TM_OUTPUT_FIELD(type, name, ...) \
    {#name, NULL, (tm_type)tm_column_type_of_##type, TM_OUTPUT_IS_##__VA_ARGS__},
#define TM_OUTPUT_IS_ false
#define TM_OUTPUT_IS_nullable true
#define TM_OUTPUT_PUSH(type, name, ...) TM_OUTPUT_PUSH_##__VA_ARGS__(type, name)
#define TM_OUTPUT_PUSH_(type, name) tm_push_##type(tm_next++, &tm_row.name);
#define TM_OUTPUT_PUSH_nullable(type, name) tm_push_##type(tm_next++, tm_row.name);
/* Tests read rows back: `read_jitter(row)`. */
#ifdef __wasm__
#define TM_OUTPUT_FOR_TESTS(name, ...)
#else
/* An emitted row, as the test driver keeps it; its columns have one row. */
typedef struct tm_row {
    tm_text key;
    int64_t window_start_ms, window_end_ms, event_time_ms;
    const tm_column *columns;
} tm_row;

#define TM_OUTPUT_FOR_TESTS(name, ...) \
    TM_FUNCTION name read_##name(const tm_row *tm_emitted) { \
        name tm_read; \
        const tm_column *tm_next = tm_emitted->columns; \
        TM_FOR_EACH(TM_OUTPUT_READ, __VA_ARGS__) \
        (void)tm_next; \
        return tm_read; \
    }

#define TM_OUTPUT_READ(type, name, ...) TM_OUTPUT_READ_##__VA_ARGS__(type, name)
#define TM_OUTPUT_READ_(type, name) tm_get_##type(tm_next++, 0, &tm_read.name);
#define TM_OUTPUT_READ_nullable(type, name) \
    type *tm_kept_##name = NULL; \
    if (!tm_is_null(tm_next, 0)) { \
        /* Never freed: a test ends soon. */ \
        tm_kept_##name = malloc(sizeof(type)); \
        tm_get_##type(tm_next, 0, tm_kept_##name); \
    } \
    tm_read.name = tm_kept_##name; \
    tm_next++;
#endif

TM_FUNCTION tm_column_buffer *tm_begin_row(tm_context *context) {
    uint32_t group = (uint32_t)context->folding->groups;
    tm_append(&context->folding->emitted, &group, sizeof group);
    return context->folding->columns;
}

/* Counts a row; whether it is null. */
TM_FUNCTION bool tm_push_validity(tm_column_buffer *column, bool is_null) {
    size_t row = column->rows++;
    if (is_null && column->validity.length == 0) {
        /* The bitmap begins with the first null: all rows before it are not. */
        memset(tm_extend(&column->validity, row / 8 + 1), 0xFF, row / 8 + 1);
        column->validity.bytes[row / 8] = (char)((1u << row % 8) - 1);
    } else if (column->validity.length != 0) {
        if (row / 8 == column->validity.length) *(char *)tm_extend(&column->validity, 1) = 0;
        if (!is_null) column->validity.bytes[row / 8] |= (char)(1u << row % 8);
    }
    return is_null;
}

TM_FUNCTION void tm_push__Bool(tm_column_buffer *column, const bool *value) {
    uint8_t stored = !tm_push_validity(column, value == NULL) && *value;
    tm_append(&column->values, &stored, sizeof stored);
}

#define tm_push_bool tm_push__Bool

TM_FUNCTION void tm_push_int64_t(tm_column_buffer *column, const int64_t *value) {
    int64_t stored = tm_push_validity(column, value == NULL) ? 0 : *value;
    tm_append(&column->values, &stored, sizeof stored);
}

TM_FUNCTION void tm_push_double(tm_column_buffer *column, const double *value) {
    double stored = tm_push_validity(column, value == NULL) ? 0 : *value;
    tm_append(&column->values, &stored, sizeof stored);
}

TM_FUNCTION void tm_push_tm_text(tm_column_buffer *column, const tm_text *value) {
    if (!tm_push_validity(column, value == NULL)) tm_append(&column->values, value->bytes, value->length);
    uint32_t end = (uint32_t)column->values.length;
    tm_append(&column->ends, &end, sizeof end);
}

TM_FUNCTION void tm_push_tm_json(tm_column_buffer *column, const tm_json *value) {
    tm_push_tm_text(column, value == NULL ? NULL : &value->text);
}

/* The column as the contract has it. */
TM_FUNCTION tm_column tm_finish_column(const tm_column_buffer *column) {
    tm_column finished = {.type = (uint8_t)(column->type == TM_JSON ? TM_TEXT : column->type)};
    finished.validity.items = (uint8_t *)column->validity.bytes;
    finished.validity.length = column->validity.length;
    if (finished.type == TM_TEXT) {
        finished.texts.ends.items = (uint32_t *)(void *)column->ends.bytes;
        finished.texts.ends.length = column->rows;
        finished.texts.bytes.items = column->values.bytes;
        finished.texts.bytes.length = column->values.length;
    } else {
        /* The three kinds of numbers are pointer and length alike. */
        finished.booleans.items = (uint8_t *)column->values.bytes;
        finished.booleans.length = column->rows;
    }
    return finished;
}

#endif
