/* Calls to the metric, through the very functions that a component exports, and what they answer.
 */
#ifndef TIDEMARK_TESTING_CALL_H
#define TIDEMARK_TESTING_CALL_H

#include "event.h"

/* What one group was answered. */
typedef struct {
    /* The new state; the old one if the group failed. */
    tm_text state;
    TM_MANY(int64_t) timers;
    TM_MANY(tm_row) rows;
    /* NULL unless the group failed. */
    const char *failure;
} tm_answer;

/* What has come of all calls. */
typedef struct {
    bool has_timers;
    TM_MANY(tm_row) rows;
    /* Each as `key: message`. */
    TM_MANY(const char *) failures;
} tm_caller;

static void tm_add_string(tm_buffer *ends, tm_buffer *bytes, tm_text string) {
    tm_append(bytes, string.bytes, string.length);
    uint32_t end = (uint32_t)bytes->length;
    tm_append(ends, &end, sizeof end);
}

#define TM_STRINGS(ends_of, bytes_of) \
    { \
        {(uint32_t *)(void *)(ends_of).bytes, (ends_of).length / sizeof(uint32_t)}, {(bytes_of).bytes, (bytes_of).length} \
    }
#define TM_NUMBERS(type, buffer) \
    { (type *)(void *)(buffer).bytes, (buffer).length / sizeof(type) }

TM_FUNCTION void tm_push_cell(tm_column_buffer *column, const tm_cell *cell) {
    switch (column->type) {
    case TM_BOOLEAN: tm_push_bool(column, cell->is_null ? NULL : &cell->boolean); break;
    case TM_INTEGER: tm_push_int64_t(column, cell->is_null ? NULL : &cell->integer); break;
    case TM_FLOAT: tm_push_double(column, cell->is_null ? NULL : &cell->number); break;
    default: tm_push_tm_text(column, cell->is_null ? NULL : &cell->text); break;
    }
}

/* Groups as the contract has them. */
TM_FUNCTION tm_batch tm_batch_of(const tm_group *groups, size_t count) {
    tm_description metric = tm_description_of_metric();
    size_t left = tm_count_fields(metric.inputs);
    size_t columns = left + (metric.right_inputs == NULL ? 0 : tm_count_fields(metric.right_inputs));
    tm_column_buffer *growing = tm_allocate(columns * sizeof *growing, 8);
    for (size_t place = 0; place < columns; place++) {
        const tm_field *field = place < left ? &metric.inputs[place] : &metric.right_inputs[place - left];
        growing[place] = (tm_column_buffer){.type = field->type};
    }
    tm_buffer event_times = {0}, key_ends = {0}, keys = {0}, starts = {0}, ends = {0}, times = {0}, row_ends = {0};
    tm_buffer state_ends = {0}, states = {0};
    for (const tm_group *group = groups; group < groups + count; group++) {
        for (size_t row = 0; row < group->records.length; row++) {
            const tm_record *record = &group->records.items[row];
            tm_append(&event_times, &record->time_ms, sizeof record->time_ms);
            for (size_t place = 0; place < columns; place++) tm_push_cell(&growing[place], &record->cells[place]);
        }
        tm_add_string(&key_ends, &keys, group->key);
        tm_append(&starts, &group->start_ms, sizeof group->start_ms);
        tm_append(&ends, &group->end_ms, sizeof group->end_ms);
        tm_append(&times, &group->time_ms, sizeof group->time_ms);
        uint32_t row_end = (uint32_t)(event_times.length / sizeof(int64_t));
        tm_append(&row_ends, &row_end, sizeof row_end);
        tm_add_string(&state_ends, &states, group->state);
    }
    tm_batch batch = {
        .columns = {tm_allocate(columns * sizeof(tm_column), 8), columns},
        .event_times = TM_NUMBERS(int64_t, event_times),
        .keys = TM_STRINGS(key_ends, keys),
        .window_starts = TM_NUMBERS(int64_t, starts),
        .window_ends = TM_NUMBERS(int64_t, ends),
        .times = TM_NUMBERS(int64_t, times),
        .row_ends = TM_NUMBERS(uint32_t, row_ends),
        .states = TM_STRINGS(state_ends, states),
    };
    for (size_t place = 0; place < columns; place++) batch.columns.items[place] = tm_finish_column(&growing[place]);
    return batch;
}

/* One row of `columns`, as columns of their own. */
TM_FUNCTION const tm_column *tm_row_of(const tm_columns *columns, size_t row) {
    static uint8_t null = 0;
    tm_column *kept = malloc(columns->length * sizeof *kept + 1);
    for (size_t place = 0; place < columns->length; place++) {
        const tm_column *column = &columns->items[place];
        kept[place] = (tm_column){.type = column->type};
        if (tm_is_null(column, row)) {
            kept[place].validity.items = &null;
            kept[place].validity.length = 1;
        } else if (column->type == TM_TEXT) {
            tm_text text = tm_kept(tm_string_at(&column->texts, row));
            uint32_t *end = malloc(sizeof *end);
            *end = (uint32_t)text.length;
            kept[place].texts.ends.items = end;
            kept[place].texts.ends.length = 1;
            kept[place].texts.bytes.items = (char *)text.bytes;
            kept[place].texts.bytes.length = text.length;
        } else {
            size_t width = column->type == TM_BOOLEAN ? 1 : 8;
            tm_text value = tm_kept((tm_text){(const char *)column->booleans.items + row * width, width});
            kept[place].booleans.items = (uint8_t *)value.bytes;
            kept[place].booleans.length = 1;
        }
    }
    return kept;
}

TM_FUNCTION tm_answer tm_answer_of(const tm_folded *folded, const tm_group *group, uint32_t index) {
    tm_answer answer = {.state = group->state};
    for (size_t place = 0; place < folded->failures.length; place++) {
        if (folded->failures.items[place].group != index) continue;
        tm_text message = folded->failures.items[place].message;
        char *failure = malloc(group->key.length + message.length + 3);
        sprintf(failure, "%.*s: %.*s", TM_PRINTED(group->key), TM_PRINTED(message));
        answer.failure = failure;
        return answer;
    }
    answer.state = tm_kept(tm_string_at(&folded->states, index));
    for (size_t row = 0; row < folded->emitted.length; row++) {
        if (folded->emitted.items[row] != index) continue;
        tm_row emitted = {group->key, group->start_ms, group->end_ms, group->time_ms, tm_row_of(&folded->columns, row)};
        TM_ADD(answer.rows, emitted);
    }
    for (size_t place = 0; place < folded->timers.length; place++) {
        if (folded->timers.items[place].group == index) TM_ADD(answer.timers, folded->timers.items[place].time);
    }
    return answer;
}

/* Ends a call as the host does; what a metric keeps of its memory is overwritten. */
TM_FUNCTION void tm_end_call(void) {
    for (tm_chunk *chunk = tm_memory.chunk; chunk != NULL; chunk = chunk->before) {
        memset(chunk + 1, 0xDD, chunk->size - sizeof *chunk);
    }
    tm_free_all();
}

TM_FUNCTION tm_answer *tm_answers(const tm_group *groups, size_t count, int reason) {
    tm_batch batch = tm_batch_of(groups, count);
    tm_folded folded = tm_handle(&batch, reason);
    tm_answer *answers = calloc(count, sizeof *answers);
    for (size_t index = 0; index < count; index++) answers[index] = tm_answer_of(&folded, &groups[index], (uint32_t)index);
    tm_end_call();
    return answers;
}

/* Equal to the bit: a metric must not even change the sign of a zero. */
TM_FUNCTION bool tm_same_columns(const tm_column *a, const tm_column *b, size_t count) {
    for (size_t place = 0; place < count; place++) {
        bool is_null = tm_is_null(&a[place], 0);
        if (is_null != tm_is_null(&b[place], 0)) return false;
        if (is_null) continue;
        size_t width = a[place].type == TM_BOOLEAN ? 1 : 8;
        bool is_text = a[place].type == TM_TEXT;
        if (is_text && tm_compare(tm_string_at(&a[place].texts, 0), tm_string_at(&b[place].texts, 0)) != 0) return false;
        if (!is_text && memcmp(a[place].booleans.items, b[place].booleans.items, width) != 0) return false;
    }
    return true;
}

TM_FUNCTION bool tm_same_answers(const tm_answer *a, const tm_answer *b, size_t columns) {
    bool is_same = tm_compare(a->state, b->state) == 0 && a->rows.length == b->rows.length
        && a->timers.length == b->timers.length && (a->failure == NULL) == (b->failure == NULL)
        && (a->failure == NULL || strcmp(a->failure, b->failure) == 0);
    for (size_t row = 0; is_same && row < a->rows.length; row++) {
        is_same = tm_same_columns(a->rows.items[row].columns, b->rows.items[row].columns, columns);
    }
    for (size_t place = 0; is_same && place < a->timers.length; place++) {
        is_same = a->timers.items[place] == b->timers.items[place];
    }
    return is_same;
}

/* `update`, or `close` with a reason. One answer per group. Every group is called alone as well: a metric whose answer
 * differs then is not pure. */
TM_FUNCTION tm_answer *tm_call(tm_caller *caller, const tm_group *groups, size_t count, int reason) {
    if (count == 0) return NULL;
    size_t columns = tm_count_fields(tm_description_of_metric().outputs);
    tm_answer *answers = tm_answers(groups, count, reason);
    for (size_t index = 0; index < count; index++) {
        const tm_answer *answer = &answers[index];
        if (!tm_same_answers(tm_answers(&groups[index], 1, reason), answer, columns)) {
            TM_STOP("key %.*s: the answer depends on the other groups of the call, or on earlier calls",
                TM_PRINTED(groups[index].key));
        }
        if (answer->timers.length > 0 && !caller->has_timers) TM_STOP("only key windows have timers");
        if (answer->failure != NULL) TM_ADD(caller->failures, answer->failure);
        for (size_t row = 0; row < answer->rows.length; row++) TM_ADD(caller->rows, answer->rows.items[row]);
    }
    return answers;
}

/* `merge` of two states of `key`. */
TM_FUNCTION tm_text tm_call_merge(tm_caller *caller, tm_text key, tm_text left, tm_text right) {
    tm_buffer left_ends = {0}, left_bytes = {0}, right_ends = {0}, right_bytes = {0};
    tm_add_string(&left_ends, &left_bytes, left);
    tm_add_string(&right_ends, &right_bytes, right);
    tm_byte_strings lefts = TM_STRINGS(left_ends, left_bytes), rights = TM_STRINGS(right_ends, right_bytes);
    tm_folded folded = tm_merge(&lefts, &rights);
    tm_group group = {.key = key, .state = left};
    tm_answer answer = tm_answer_of(&folded, &group, 0);
    tm_end_call();
    if (answer.failure != NULL) TM_ADD(caller->failures, answer.failure);
    return answer.state;
}

#endif
