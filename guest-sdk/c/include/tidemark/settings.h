/* Settings: what a deployment may configure of a metric.
 *
 *     TM_SETTINGS(limits,
 *         (int64_t, slow_ms, 500),
 *         (double, share))
 *
 * declares `limits`, a struct. A setting with a default, written as a literal, may be left out of the configuration;
 * one without must be there. Types are bool, int64_t, double and tm_text. A metric with `.settings =
 * TM_SETTINGS_OF(limits)` finds them in every context: `const limits *limits = context->settings;`.
 */
#ifndef TIDEMARK_SETTINGS_H
#define TIDEMARK_SETTINGS_H

#include "input.h"
#include "json.h"

/* What visits every setting: it writes the schema, or reads the configuration. */
typedef struct {
    /* The configuration, or NULL for the schema. */
    const tm_text *json;
    /* The schema's properties and required names; names of all settings. */
    tm_buffer properties, required, names;
    /* What is wrong with the configuration. */
    tm_buffer mistake;
} tm_visitor;

typedef struct {
    void (*visit)(tm_visitor *, void *settings);
    size_t size;
} tm_settings;

#define TM_SETTINGS(name, ...) \
    typedef struct name { \
        TM_FOR_EACH(TM_SETTINGS_MEMBER, __VA_ARGS__) \
    } name; \
    TM_COLD_FUNCTION void tm_visit_##name(tm_visitor *tm_visitor, void *tm_settings) { \
        name *tm_into = tm_settings; \
        TM_FOR_EACH(TM_SETTINGS_VISIT, __VA_ARGS__) \
    }

#define TM_SETTINGS_OF(name) {tm_visit_##name, sizeof(name)}
#define TM_SETTINGS_MEMBER(type, name, ...) type name;
#define TM_SETTINGS_VISIT(type, name, ...) \
    tm_visit_setting(tm_visitor, (tm_type)tm_column_type_of_##type, #name, "" #__VA_ARGS__, &tm_into->name);

/* Where the member `name` of the object stands; false if it is not there. */
TM_COLD_FUNCTION bool tm_find_member(tm_text object, const char *name, tm_text *value) {
    tm_scanner members;
    tm_text found;
    if (!tm_scan_object(object, &members)) return false;
    while (tm_scan_member(&members, &found, value)) {
        if (tm_equals(&found, name)) return true;
    }
    return false;
}

/* Reads one value; what it is not, if it is not of the type, else NULL. */
TM_COLD_FUNCTION const char *tm_read_setting(tm_type type, tm_text json, void *into) {
    switch (type) {
    case TM_BOOLEAN:
        /* `true` and `false` in C's defaults are 1 and 0. */
        *(bool *)into = tm_equals(&json, "true") || tm_equals(&json, "1");
        return *(bool *)into || tm_equals(&json, "false") || tm_equals(&json, "0") ? NULL : "true or false";
    case TM_INTEGER: return tm_read_integer(json, into) ? NULL : "a whole number";
    case TM_FLOAT: return tm_read_double(json, into) ? NULL : "a number";
    default: return tm_unquote(json, into) ? NULL : "a text";
    }
}

TM_COLD_FUNCTION void tm_describe_setting(tm_visitor *visitor, tm_type type, const char *name, const char *fallback) {
    static const char *const types[] = {"boolean", "integer", "number", "string"};
    if (visitor->properties.length != 0) tm_put(&visitor->properties, ",");
    tm_put_quoted(&visitor->properties, tm_text_of(name));
    tm_put(&visitor->properties, ":{\"type\":\"");
    tm_put(&visitor->properties, types[type]);
    tm_put(&visitor->properties, "\"");
    if (*fallback != 0) {
        bool is_true = strcmp(fallback, "1") == 0 || strcmp(fallback, "true") == 0;
        tm_put(&visitor->properties, ",\"default\":");
        tm_put(&visitor->properties, type == TM_BOOLEAN ? (is_true ? "true" : "false") : fallback);
    } else {
        if (visitor->required.length != 0) tm_put(&visitor->required, ",");
        tm_put_quoted(&visitor->required, tm_text_of(name));
    }
    tm_put(&visitor->properties, "}");
}

TM_COLD_FUNCTION void tm_visit_setting(
    tm_visitor *visitor, tm_type type, const char *name, const char *fallback, void *into) {
    if (visitor->json == NULL) {
        tm_describe_setting(visitor, type, name, fallback);
        return;
    }
    if (visitor->names.length != 0) tm_put(&visitor->names, ", ");
    tm_put(&visitor->names, name);
    if (visitor->mistake.length != 0) return;
    tm_text value;
    bool is_there = tm_find_member(*visitor->json, name, &value);
    if (!is_there) value = tm_text_of(fallback);
    if (value.length == 0) {
        tm_put(&visitor->mistake, name);
        tm_put(&visitor->mistake, " is missing");
        return;
    }
    const char *expected = tm_read_setting(type, value, into);
    if (expected != NULL) {
        tm_put(&visitor->mistake, name);
        tm_put(&visitor->mistake, ": ");
        tm_append(&visitor->mistake, value.bytes, value.length);
        tm_put(&visitor->mistake, " is not ");
        tm_put(&visitor->mistake, expected);
    }
}

/* Whether `name` is in the list of `names`. */
TM_COLD_FUNCTION bool tm_is_listed(tm_buffer names, tm_text name) {
    size_t begin = 0;
    for (size_t place = 0; place <= names.length; place++) {
        if (place < names.length && names.bytes[place] != ',') continue;
        if (tm_compare((tm_text){names.bytes + begin, place - begin}, name) == 0) return true;
        begin = place + 2;
    }
    return false;
}

/* Reads the configuration into `into`, whose memory lives on; texts lead into memory of this call. What is wrong, for
 * the person who wrote it, or NULL. */
TM_COLD_FUNCTION const char *tm_read_settings(tm_settings settings, tm_text json, void *into) {
    tm_visitor visitor = {.json = &json};
    tm_text whole, name, value;
    tm_scanner members;
    tm_scanner blank = {json.bytes, json.bytes + json.length};
    tm_skip_space(&blank);
    if (blank.next == blank.end) json = tm_text_of("{}");
    if (!tm_scan_whole(json, &whole)) return "the configuration is no JSON";
    if (tm_equals(&whole, "null")) whole = tm_text_of("{}");
    if (!tm_scan_object(whole, &members)) return "the configuration is not an object";
    visitor.json = &whole;
    if (settings.visit != NULL) settings.visit(&visitor, into);
    while (visitor.mistake.length == 0 && tm_scan_member(&members, &name, &value)) {
        if (tm_is_listed(visitor.names, name)) continue;
        tm_put(&visitor.mistake, "there is no setting ");
        tm_append(&visitor.mistake, name.bytes, name.length);
        tm_put(&visitor.mistake, visitor.names.length == 0 ? "; there are none" : "; there are ");
        tm_append(&visitor.mistake, visitor.names.bytes, visitor.names.length);
    }
    if (visitor.mistake.length == 0) return NULL;
    tm_append(&visitor.mistake, "", 1);
    return visitor.mistake.bytes;
}

/* The JSON schema of the settings. */
TM_COLD_FUNCTION void tm_put_schema(tm_buffer *json, tm_settings settings) {
    if (settings.visit == NULL) {
        tm_put(json, "null");
        return;
    }
    tm_visitor visitor = {0};
    settings.visit(&visitor, tm_allocate(settings.size, 16));
    tm_put(json, "{\"type\":\"object\",\"properties\":{");
    tm_append(json, visitor.properties.bytes, visitor.properties.length);
    tm_put(json, "},\"required\":[");
    tm_append(json, visitor.required.bytes, visitor.required.length);
    tm_put(json, "],\"additionalProperties\":false}");
}

#endif
