/* State: what a metric remembers of a group between calls, and how it becomes bytes (wit/state.md).
 *
 *     TM_STATE(frame_rates,
 *         (uint64_t, samples),
 *         (double, mean),
 *         (tm_latest_text, orchestrator))
 *
 * declares `frame_rates`, a plain struct. Every group begins with zeros. Members are bool, intN_t, uintN_t, double,
 * tm_text, tm_latest_text, tm_earliest_text, other structs of TM_STATE, and what TM_OPTIONAL and TM_LIST make of any of
 * these. Pointers in a state may lead into the call's input or to memory of tm_allocate: it is encoded before the call
 * ends.
 */
#ifndef TIDEMARK_STATE_H
#define TIDEMARK_STATE_H

#include "text.h"

/* Bytes that are read from the front. */
typedef struct {
    const char *next;
    size_t left;
} tm_reader;

#define TM_STATE(name, ...) \
    typedef struct name { \
        TM_FOR_EACH(TM_STATE_MEMBER, __VA_ARGS__) \
    } name; \
    TM_FUNCTION void tm_encode_##name(tm_buffer *tm_bytes, const name *tm_state) { \
        TM_FOR_EACH(TM_STATE_ENCODE, __VA_ARGS__) \
        (void)tm_bytes, (void)tm_state; \
    } \
    TM_FUNCTION bool tm_decode_##name(tm_reader *tm_bytes, name *tm_state) { \
        (void)tm_bytes, (void)tm_state; \
        return true TM_FOR_EACH(TM_STATE_DECODE, __VA_ARGS__); \
    } \
    /* Reads a whole state, no bytes as zeros; false if they are not one. */ \
    TM_FUNCTION bool decode_##name(tm_text tm_bytes, name *tm_state) { \
        tm_reader tm_rest = {tm_bytes.bytes, tm_bytes.length}; \
        *tm_state = (name){0}; \
        return tm_bytes.length == 0 || (tm_decode_##name(&tm_rest, tm_state) && tm_rest.left == 0); \
    }

#define TM_STATE_MEMBER(type, name) type name;
#define TM_STATE_ENCODE(type, name) tm_encode_##type(tm_bytes, &tm_state->name);
#define TM_STATE_DECODE(type, name) &&tm_decode_##type(tm_bytes, &tm_state->name)

/* A type for something that may be absent: TM_OPTIONAL(optional_size, int64_t) has `is_some` and `value`. */
#define TM_OPTIONAL(name, type) \
    typedef struct name { \
        bool is_some; \
        type value; \
    } name; \
    TM_FUNCTION void tm_encode_##name(tm_buffer *bytes, const name *optional) { \
        tm_encode_bool(bytes, &optional->is_some); \
        if (optional->is_some) tm_encode_##type(bytes, &optional->value); \
    } \
    TM_FUNCTION bool tm_decode_##name(tm_reader *bytes, name *optional) { \
        return tm_decode_bool(bytes, &optional->is_some) \
            && (!optional->is_some || tm_decode_##type(bytes, &optional->value)); \
    }

/* A list type: TM_LIST(sizes, int64_t) has `items` and `length`, and `add_to_sizes(&list, value)`. */
#define TM_LIST(name, type) \
    typedef struct name { \
        type *items; \
        size_t length, capacity; \
    } name; \
    TM_FUNCTION void add_to_##name(name *list, type value) { \
        if (list->length == list->capacity) { \
            size_t capacity = list->capacity * 2 + 4; \
            list->items = tm_grow(list->items, list->capacity * sizeof(type), capacity * sizeof(type), 8); \
            list->capacity = capacity; \
        } \
        list->items[list->length++] = value; \
    } \
    TM_FUNCTION void tm_encode_##name(tm_buffer *bytes, const name *list) { \
        tm_encode_length(bytes, list->length); \
        for (size_t place = 0; place < list->length; place++) tm_encode_##type(bytes, &list->items[place]); \
    } \
    TM_FUNCTION bool tm_decode_##name(tm_reader *bytes, name *list) { \
        size_t length; \
        if (!tm_decode_length(bytes, &length)) return false; \
        *list = (name){.items = tm_allocate(length * sizeof(type), 8), .length = length, .capacity = length}; \
        memset(list->items, 0, length * sizeof(type)); \
        for (size_t place = 0; place < length; place++) { \
            if (!tm_decode_##type(bytes, &list->items[place])) return false; \
        } \
        return true; \
    }

/* The next `size` bytes; false where there are fewer. */
TM_FUNCTION bool tm_take(tm_reader *bytes, void *value, size_t size) {
    if (size > bytes->left) return false;
    memcpy(value, bytes->next, size);
    bytes->next += size;
    bytes->left -= size;
    return true;
}

/* Numbers: WebAssembly is little-endian, and so is every machine that tests are run on. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "states are little-endian");
#define TM_STATE_NUMBER(type) \
    TM_FUNCTION void tm_encode_##type(tm_buffer *bytes, const type *value) { \
        tm_append(bytes, value, sizeof *value); \
    } \
    TM_FUNCTION bool tm_decode_##type(tm_reader *bytes, type *value) { \
        return tm_take(bytes, value, sizeof *value); \
    }

TM_STATE_NUMBER(uint8_t)
TM_STATE_NUMBER(uint16_t)
TM_STATE_NUMBER(uint32_t)
TM_STATE_NUMBER(uint64_t)
TM_STATE_NUMBER(int8_t)
TM_STATE_NUMBER(int16_t)
TM_STATE_NUMBER(int32_t)
TM_STATE_NUMBER(int64_t)
TM_STATE_NUMBER(double)

TM_FUNCTION void tm_encode__Bool(tm_buffer *bytes, const bool *value) {
    uint8_t byte = *value;
    tm_encode_uint8_t(bytes, &byte);
}

TM_FUNCTION bool tm_decode__Bool(tm_reader *bytes, bool *value) {
    uint8_t byte;
    if (!tm_decode_uint8_t(bytes, &byte) || byte > 1) return false;
    *value = byte;
    return true;
}

#define tm_encode_bool tm_encode__Bool
#define tm_decode_bool tm_decode__Bool

TM_FUNCTION void tm_encode_length(tm_buffer *bytes, size_t length) {
    uint32_t stored = (uint32_t)length;
    tm_encode_uint32_t(bytes, &stored);
}

/* A length. Every item takes a byte at least, so no more can follow than bytes are left. */
TM_FUNCTION bool tm_decode_length(tm_reader *bytes, size_t *length) {
    uint32_t stored;
    if (!tm_decode_uint32_t(bytes, &stored) || stored > bytes->left) return false;
    *length = stored;
    return true;
}

TM_FUNCTION void tm_encode_tm_text(tm_buffer *bytes, const tm_text *text) {
    tm_encode_length(bytes, text->length);
    tm_append(bytes, text->bytes, text->length);
}

TM_FUNCTION bool tm_decode_tm_text(tm_reader *bytes, tm_text *text) {
    size_t length;
    if (!tm_decode_length(bytes, &length)) return false;
    *text = (tm_text){bytes->next, length};
    bytes->next += length;
    bytes->left -= length;
    return tm_is_utf8(*text);
}

#endif
