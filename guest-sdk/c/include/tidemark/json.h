/* Reads JSON: settings, and events in tests. It scans the text in place and keeps nothing; values are slices of it.
 */
#ifndef TIDEMARK_JSON_H
#define TIDEMARK_JSON_H

#include "text.h"

/* Nesting beyond this is refused. */
#define TM_MOST_NESTING 128

/* What is left of a text. */
typedef struct {
    const char *next, *end;
} tm_scanner;

TM_COLD_FUNCTION void tm_skip_space(tm_scanner *scanner) {
    while (scanner->next < scanner->end && strchr(" \t\r\n", *scanner->next) != NULL && *scanner->next != 0) scanner->next++;
}

/* Whether `byte` comes next, behind white space; takes it. */
TM_COLD_FUNCTION bool tm_take_byte(tm_scanner *scanner, char byte) {
    tm_skip_space(scanner);
    if (scanner->next == scanner->end || *scanner->next != byte) return false;
    scanner->next++;
    return true;
}

TM_COLD_FUNCTION bool tm_take_word(tm_scanner *scanner, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(scanner->end - scanner->next) < length || memcmp(scanner->next, word, length) != 0) return false;
    scanner->next += length;
    return true;
}

TM_COLD_FUNCTION bool tm_take_digits(tm_scanner *scanner) {
    const char *begin = scanner->next;
    while (scanner->next < scanner->end && *scanner->next >= '0' && *scanner->next <= '9') scanner->next++;
    return scanner->next > begin;
}

TM_COLD_FUNCTION bool tm_skip_number(tm_scanner *scanner) {
    tm_take_word(scanner, "-");
    if (!tm_take_word(scanner, "0") && !tm_take_digits(scanner)) return false;
    if (tm_take_word(scanner, ".") && !tm_take_digits(scanner)) return false;
    if (tm_take_word(scanner, "e") || tm_take_word(scanner, "E")) {
        if (!tm_take_word(scanner, "+")) tm_take_word(scanner, "-");
        return tm_take_digits(scanner);
    }
    return true;
}

/* The closing quote is found here; what stands between is checked by tm_unquote. */
TM_COLD_FUNCTION bool tm_skip_quoted(tm_scanner *scanner) {
    scanner->next++;
    while (scanner->next < scanner->end && *scanner->next != '"') scanner->next += *scanner->next == '\\' ? 2 : 1;
    if (scanner->next >= scanner->end) return false;
    scanner->next++;
    return true;
}

TM_COLD_FUNCTION bool tm_skip_value(tm_scanner *scanner, int nesting);

TM_COLD_FUNCTION bool tm_skip_items(tm_scanner *scanner, int nesting, char close) {
    scanner->next++;
    if (tm_take_byte(scanner, close)) return true;
    do {
        tm_skip_space(scanner);
        bool is_named = close == '}';
        bool has_name = scanner->next < scanner->end && *scanner->next == '"';
        if (is_named && !(has_name && tm_skip_quoted(scanner) && tm_take_byte(scanner, ':'))) return false;
        if (!tm_skip_value(scanner, nesting + 1)) return false;
    } while (tm_take_byte(scanner, ','));
    return tm_take_byte(scanner, close);
}

TM_COLD_FUNCTION bool tm_skip_value(tm_scanner *scanner, int nesting) {
    tm_skip_space(scanner);
    if (scanner->next == scanner->end || nesting > TM_MOST_NESTING) return false;
    switch (*scanner->next) {
    case '{': return tm_skip_items(scanner, nesting, '}');
    case '[': return tm_skip_items(scanner, nesting, ']');
    case '"': return tm_skip_quoted(scanner);
    case 't': return tm_take_word(scanner, "true");
    case 'f': return tm_take_word(scanner, "false");
    case 'n': return tm_take_word(scanner, "null");
    default: return tm_skip_number(scanner);
    }
}

/* The next value, as it is written. */
TM_COLD_FUNCTION bool tm_scan_value(tm_scanner *scanner, tm_text *value) {
    tm_skip_space(scanner);
    const char *begin = scanner->next;
    if (!tm_skip_value(scanner, 0)) return false;
    *value = (tm_text){begin, (size_t)(scanner->next - begin)};
    return true;
}

/* The one value that `json` consists of. */
TM_COLD_FUNCTION bool tm_scan_whole(tm_text json, tm_text *value) {
    tm_scanner scanner = {json.bytes, json.bytes + json.length};
    if (!tm_scan_value(&scanner, value)) return false;
    tm_skip_space(&scanner);
    return scanner.next == scanner.end;
}

TM_COLD_FUNCTION bool tm_hexadecimal(const char *digits, const char *end, uint32_t *unit) {
    if (end - digits < 4) return false;
    *unit = 0;
    for (int place = 0; place < 4; place++) {
        char digit = digits[place] | 32;
        bool is_letter = digit >= 'a' && digit <= 'f';
        if (!is_letter && (digits[place] < '0' || digits[place] > '9')) return false;
        *unit = *unit << 4 | (uint32_t)(is_letter ? digit - 'a' + 10 : digit - '0');
    }
    return true;
}

TM_COLD_FUNCTION void tm_put_character(tm_buffer *buffer, uint32_t character) {
    unsigned char bytes[4] = {(unsigned char)character};
    size_t size = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t place = size; size > 1 && place-- > 0; character >>= 6) bytes[place] = 0x80 | (character & 0x3F);
    if (size > 1) bytes[0] |= (unsigned char)(0xF0 << (4 - size));
    tm_append(buffer, bytes, size);
}

/* The text that `quoted` stands for; false if it is no JSON text. */
TM_COLD_FUNCTION bool tm_unquote(tm_text quoted, tm_text *text) {
    if (quoted.length < 2 || quoted.bytes[0] != '"') return false;
    const char *next = quoted.bytes + 1, *end = quoted.bytes + quoted.length - 1;
    tm_buffer unquoted = {0};
    while (next < end) {
        if (*next != '\\') {
            tm_append(&unquoted, next++, 1);
            continue;
        }
        char escape = next[1];
        next += 2;
        const char *simple = escape == 0 ? NULL : strchr("\"\"\\\\//b\bf\fn\nr\rt\t", escape);
        uint32_t unit, second;
        if (escape != 'u') {
            if (simple == NULL) return false;
            tm_append(&unquoted, simple + 1, 1);
        } else if (!tm_hexadecimal(next, end, &unit)) {
            return false;
        } else {
            next += 4;
            bool is_pair = unit >= 0xD800 && unit < 0xDC00 && end - next >= 6 && next[0] == '\\' && next[1] == 'u'
                && tm_hexadecimal(next + 2, end, &second) && second >= 0xDC00 && second < 0xE000;
            if (is_pair) {
                next += 6;
                unit = 0x10000 + ((unit - 0xD800) << 10) + (second - 0xDC00);
            } else if (unit >= 0xD800 && unit < 0xE000) {
                unit = 0xFFFD;
            }
            tm_put_character(&unquoted, unit);
        }
    }
    *text = (tm_text){unquoted.bytes, unquoted.length};
    return tm_is_utf8(*text);
}

/* Opens the object `json`; then tm_scan_member gives one member after the other. */
TM_COLD_FUNCTION bool tm_scan_object(tm_text json, tm_scanner *members) {
    *members = (tm_scanner){json.bytes, json.bytes + json.length};
    return tm_take_byte(members, '{');
}

TM_COLD_FUNCTION bool tm_scan_member(tm_scanner *members, tm_text *name, tm_text *value) {
    tm_take_byte(members, ',');
    tm_text quoted;
    return tm_scan_value(members, &quoted) && tm_unquote(quoted, name) && tm_take_byte(members, ':')
        && tm_scan_value(members, value);
}

/* The whole number that `digits` are; false if they are none that fits. */
TM_COLD_FUNCTION bool tm_read_integer(tm_text digits, int64_t *integer) {
    bool is_negative = digits.length > 0 && digits.bytes[0] == '-';
    size_t place = is_negative;
    if (place == digits.length) return false;
    int64_t value = 0;
    for (; place < digits.length; place++) {
        char digit = digits.bytes[place];
        if (digit < '0' || digit > '9') return false;
        int64_t added = is_negative ? -(digit - '0') : digit - '0';
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, added, &value)) return false;
    }
    *integer = value;
    return true;
}

/* The number that `digits` are, JSON's grammar; false if they are none or too large. */
TM_COLD_FUNCTION bool tm_read_double(tm_text digits, double *number) {
    tm_scanner scanner = {digits.bytes, digits.bytes + digits.length};
    if (digits.length == 0 || !tm_skip_number(&scanner) || scanner.next != scanner.end) return false;
    char *copy = tm_allocate(digits.length + 1, 1);
    memcpy(copy, digits.bytes, digits.length);
    copy[digits.length] = 0;
    *number = strtod(copy, NULL);
    return *number - *number == 0;
}

#endif
