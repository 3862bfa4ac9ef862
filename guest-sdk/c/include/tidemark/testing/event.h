/* An event as a test writes it: an envelope in JSON; and its values by path and type, by the rules of wit/describe.md.
 */
#ifndef TIDEMARK_TESTING_EVENT_H
#define TIDEMARK_TESTING_EVENT_H

#include "records.h"

/* The value at `path` of `json`, as it is written; false if there is none. */
TM_FUNCTION bool tm_value_at(tm_text json, const char *path, tm_text *value) {
    *value = json;
    while (*path != 0) {
        size_t length = strcspn(path, ".");
        tm_scanner members;
        tm_text name, unwrapped, object = *value;
        /* `data` that is JSON in a string, as some streams carry it. */
        if (tm_unquote(object, &unwrapped)) object = unwrapped;
        if (tm_scan_object(object, &members)) {
            bool is_there = false;
            while (!is_there && tm_scan_member(&members, &name, value)) {
                is_there = tm_compare(name, (tm_text){path, length}) == 0;
            }
            if (!is_there) return false;
        } else {
            members = (tm_scanner){object.bytes, object.bytes + object.length};
            if (!tm_take_byte(&members, '[')) return false;
            for (long place = strtol(path, NULL, 10); place >= 0; place--) {
                if (!tm_scan_value(&members, value)) return false;
                tm_take_byte(&members, ',');
            }
        }
        path += length + (path[length] == '.');
    }
    return true;
}

/* The value at `path` as a type of columns; null where there is none, or one of another type. */
TM_FUNCTION tm_cell tm_cell_at(tm_text event, const char *path, tm_type type) {
    tm_cell cell = {.is_null = true};
    tm_text value, text;
    if (!tm_value_at(event, path, &value) || tm_equals(&value, "null")) return cell;
    bool is_quoted = tm_unquote(value, &text);
    bool is_boolean = tm_equals(&value, "true") || tm_equals(&value, "false");
    bool is_nested = value.bytes[0] == '{' || value.bytes[0] == '[';
    if (!is_quoted) text = value;
    double number;
    switch (type) {
    case TM_BOOLEAN:
        cell.is_null = !is_boolean;
        cell.boolean = tm_equals(&value, "true");
        break;
    case TM_INTEGER:
        cell.is_null = !tm_read_integer(text, &cell.integer);
        /* Written as a float; up to 2^53 it is exact. */
        if (cell.is_null && tm_read_double(text, &number) && number >= -0x1p53 && number <= 0x1p53) {
            cell.integer = (int64_t)number;
            cell.is_null = (double)cell.integer != number;
        }
        break;
    case TM_FLOAT: cell.is_null = !tm_read_double(text, &cell.number); break;
    case TM_TEXT:
        cell.is_null = is_nested;
        cell.text = tm_kept(text);
        break;
    case TM_JSON:
        cell.is_null = false;
        cell.text = tm_kept(value);
        break;
    }
    return cell;
}

/* Whether all conditions of `filter` hold. */
TM_FUNCTION bool tm_passes(tm_text event, const tm_condition *filter) {
    for (size_t place = 0; place < TM_MOST_CONDITIONS && filter[place].path != NULL; place++) {
        tm_cell cell = tm_cell_at(event, filter[place].path, TM_TEXT);
        bool is_present = !cell.is_null && cell.text.length != 0;
        bool holds = filter[place].kind == TM_IS_PRESENT ? is_present : filter[place].kind == TM_IS_ABSENT && !is_present;
        if (filter[place].kind == TM_CHOICES) {
            const char *const *choice = filter[place].choices;
            for (size_t index = 0; index < TM_MOST_CHOICES && choice[index] != NULL; index++) {
                holds = holds || (!cell.is_null && tm_equals(&cell.text, choice[index]));
            }
        }
        if (!holds) return false;
    }
    return true;
}

/* The event's time: `data.timestamp`, else the envelope's. */
TM_FUNCTION int64_t tm_time_of(tm_text event, size_t sequence) {
    tm_cell time = tm_cell_at(event, "data.timestamp", TM_INTEGER);
    if (time.is_null) time = tm_cell_at(event, "timestamp", TM_INTEGER);
    if (time.is_null) TM_STOP("event %zu has no timestamp: %.*s", sequence, TM_PRINTED(event));
    return time.integer;
}

#endif
