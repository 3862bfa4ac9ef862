/* Input: what `update` sees of an event.
 *
 *     TM_INPUT(status,
 *         (double, fps, "data.inference_status.fps"),
 *         (tm_text, orchestrator, "data.orchestrator_info.address"))
 *
 * declares `status`, a struct with `int64_t event_time_ms` and one pointer per column, here `const double *fps` and
 * `const tm_text *orchestrator`: NULL where the event has nothing there, null, or another type. Types are bool,
 * int64_t, double, tm_text and tm_json. A row lives until the function that got it returns.
 */
#ifndef TIDEMARK_INPUT_H
#define TIDEMARK_INPUT_H

#include "contract.h"

/* A column, as `describe` tells of it. */
typedef struct {
    const char *name;
    const char *path;
    tm_type type;
    bool is_nullable;
} tm_field;

/* The type of the column of a C type. One that is not here is not a type of columns. */
enum {
    tm_column_type_of__Bool = TM_BOOLEAN,
    tm_column_type_of_bool = TM_BOOLEAN,
    tm_column_type_of_int64_t = TM_INTEGER,
    tm_column_type_of_double = TM_FLOAT,
    tm_column_type_of_tm_text = TM_TEXT,
    tm_column_type_of_tm_json = TM_JSON,
};

#define TM_INPUT(name, ...) \
    typedef struct name { \
        int64_t event_time_ms; \
        TM_FOR_EACH(TM_INPUT_MEMBER, __VA_ARGS__) \
        struct { \
            char tm_none; \
            TM_FOR_EACH(TM_INPUT_VALUE, __VA_ARGS__) \
        } tm_values; \
    } name; \
    static const tm_field tm_inputs_of_##name[] = {TM_FOR_EACH(TM_INPUT_FIELD, __VA_ARGS__){NULL, NULL, 0, false}}; \
    TM_FUNCTION void tm_read_row_of_##name(name *tm_into, const tm_column *tm_next, size_t tm_index) { \
        (void)tm_into, (void)tm_next, (void)tm_index; \
        TM_FOR_EACH(TM_INPUT_READ, __VA_ARGS__) \
    }

#define TM_INPUT_MEMBER(type, name, path) const type *name;
#define TM_INPUT_VALUE(type, name, path) type name;
#define TM_INPUT_FIELD(type, name, path) {#name, path, (tm_type)tm_column_type_of_##type, true},
#define TM_INPUT_READ(type, name, path) \
    tm_into->name = tm_is_null(tm_next, tm_index) ? NULL : &tm_into->tm_values.name; \
    tm_get_##type(tm_next++, tm_index, &tm_into->tm_values.name);

TM_FUNCTION bool tm_is_null(const tm_column *column, size_t row) {
    /* An empty bitmap says that there are no nulls. */
    return column->validity.length != 0 && (column->validity.items[row / 8] >> row % 8 & 1) == 0;
}

TM_FUNCTION void tm_get__Bool(const tm_column *column, size_t row, bool *value) {
    *value = column->booleans.items[row] != 0;
}

#define tm_get_bool tm_get__Bool

TM_FUNCTION void tm_get_int64_t(const tm_column *column, size_t row, int64_t *value) {
    *value = column->integers.items[row];
}

TM_FUNCTION void tm_get_double(const tm_column *column, size_t row, double *value) {
    *value = column->floats.items[row];
}

TM_FUNCTION void tm_get_tm_text(const tm_column *column, size_t row, tm_text *value) {
    *value = tm_string_at(&column->texts, row);
}

TM_FUNCTION void tm_get_tm_json(const tm_column *column, size_t row, tm_json *value) {
    value->text = tm_string_at(&column->texts, row);
}

TM_FUNCTION size_t tm_count_fields(const tm_field *fields) {
    size_t count = 0;
    while (fields[count].name != NULL) count++;
    return count;
}

/* The first of `fields` whose column is missing or has another type; NULL if all are as described. */
TM_FUNCTION const tm_field *tm_wrong_column(const tm_field *fields, const tm_column *columns, size_t count) {
    for (size_t place = 0; fields[place].name != NULL; place++) {
        tm_type type = fields[place].type == TM_JSON ? TM_TEXT : fields[place].type;
        if (place >= count || columns[place].type != type) return &fields[place];
    }
    return NULL;
}

#endif
