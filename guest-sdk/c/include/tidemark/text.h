/* Texts: UTF-8 with a length, without a zero at the end, in memory that lives until the end of the call.
 *
 * A `const tm_text *` may be NULL, which is null. The functions that take one take NULL as well.
 */
#ifndef TIDEMARK_TEXT_H
#define TIDEMARK_TEXT_H

#include "memory.h"

typedef struct tm_text {
    const char *bytes;
    size_t length;
} tm_text;

/* A JSON value, as its text. */
typedef struct tm_json {
    tm_text text;
} tm_json;

/* The text of a C string. */
TM_FUNCTION tm_text tm_text_of(const char *string) {
    return (tm_text){string, strlen(string)};
}

/* `text`, or NULL where it is empty: for sources that write "" for nothing. */
TM_FUNCTION const tm_text *tm_not_empty(const tm_text *text) {
    return text != NULL && text->length != 0 ? text : NULL;
}

/* Less than, equal to or greater than 0 as `a` stands before, at or behind `b` in the order of bytes, which in UTF-8 is
 * that of code points. */
TM_FUNCTION int tm_compare(tm_text a, tm_text b) {
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter == 0 ? 0 : memcmp(a.bytes, b.bytes, shorter);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

/* Whether `text` is `string`. Null is nothing but null. */
TM_FUNCTION bool tm_equals(const tm_text *text, const char *string) {
    return text == NULL || string == NULL ? text == NULL && string == NULL : tm_compare(*text, tm_text_of(string)) == 0;
}

/* For printf: snprintf(…, "%.*s", TM_PRINTED(text)). */
#define TM_PRINTED(text) (int)(text).length, (text).bytes

/* The length of the character at `bytes` if it is whole and well-formed UTF-8, else 0. */
TM_FUNCTION size_t tm_character(const unsigned char *bytes, size_t length) {
    unsigned char first = bytes[0];
    if (first < 0x80) return 1;
    if (first < 0xC2 || first >= 0xF5) return 0;
    size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (size > length) return 0;
    for (size_t place = 1; place < size; place++) {
        if ((bytes[place] & 0xC0) != 0x80) return 0;
    }
    /* Written too long, a surrogate, or beyond the last character. */
    bool is_wrong = (first == 0xE0 && bytes[1] < 0xA0) || (first == 0xED && bytes[1] >= 0xA0)
        || (first == 0xF0 && bytes[1] < 0x90) || (first == 0xF4 && bytes[1] >= 0x90);
    return is_wrong ? 0 : size;
}

TM_FUNCTION bool tm_is_utf8(tm_text text) {
    size_t place = 0;
    while (place < text.length) {
        size_t size = tm_character((const unsigned char *)text.bytes + place, text.length - place);
        if (size == 0) return false;
        place += size;
    }
    return true;
}

TM_COLD_FUNCTION void tm_put(tm_buffer *buffer, const char *string) {
    tm_append(buffer, string, strlen(string));
}

TM_COLD_FUNCTION void tm_put_integer(tm_buffer *buffer, int64_t value) {
    char digits[20];
    size_t count = 0;
    /* Towards the negative side, which has one number more. */
    int64_t rest = value < 0 ? value : -value;
    do {
        digits[count++] = (char)('0' - rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (value < 0) tm_append(buffer, "-", 1);
    while (count > 0) tm_append(buffer, &digits[--count], 1);
}

/* The text as JSON, with its quotes. */
TM_COLD_FUNCTION void tm_put_quoted(tm_buffer *buffer, tm_text text) {
    static const char hexadecimal[] = "0123456789abcdef";
    tm_append(buffer, "\"", 1);
    for (size_t place = 0; place < text.length; place++) {
        char byte = text.bytes[place];
        if (byte == '"' || byte == '\\') {
            tm_append(buffer, "\\", 1);
            tm_append(buffer, &byte, 1);
        } else if ((unsigned char)byte < 0x20) {
            tm_put(buffer, "\\u00");
            tm_append(buffer, &hexadecimal[byte >> 4], 1);
            tm_append(buffer, &hexadecimal[byte & 15], 1);
        } else {
            tm_append(buffer, &byte, 1);
        }
    }
    tm_append(buffer, "\"", 1);
}

#endif
