/* The text of `describe`; wit/describe.md has its format.
 */
#ifndef TIDEMARK_DESCRIBE_H
#define TIDEMARK_DESCRIBE_H

#include "facts.h"

/* A whole metric, as `describe` tells of it. */
typedef struct {
    const tm_facts *facts;
    /* Columns of a metric that folds, or of the left side. */
    const tm_field *inputs;
    /* Columns of the right side; NULL where there are no sides. */
    const tm_field *right_inputs;
    const tm_field *outputs;
    bool is_mergeable;
} tm_description;

TM_COLD_FUNCTION void tm_put_name(tm_buffer *json, const char *separator, const char *name) {
    tm_put(json, separator);
    tm_put_quoted(json, tm_text_of(name));
    tm_put(json, ":");
}

TM_COLD_FUNCTION void tm_put_member(tm_buffer *json, const char *separator, const char *name, const char *text) {
    tm_put_name(json, separator, name);
    tm_put_quoted(json, tm_text_of(text == NULL ? "" : text));
}

TM_COLD_FUNCTION void tm_put_number(tm_buffer *json, const char *name, int64_t number) {
    tm_put_name(json, ",", name);
    tm_put_integer(json, number);
}

TM_COLD_FUNCTION void tm_put_columns(tm_buffer *json, const tm_field *fields, const char *side, bool is_first) {
    static const char *const types[] = {"boolean", "integer", "float", "text", "json"};
    for (const tm_field *field = fields; field->name != NULL; field++) {
        tm_put(json, is_first && field == fields ? "{" : ",{");
        tm_put_member(json, "", "name", field->name);
        if (field->path != NULL) tm_put_member(json, ",", "path", field->path);
        tm_put_member(json, ",", "type", types[field->type]);
        if (side != NULL) tm_put_member(json, ",", "side", side);
        if (field->path == NULL) tm_put(json, field->is_nullable ? ",\"nullable\":true" : ",\"nullable\":false");
        tm_put(json, "}");
    }
}

TM_COLD_FUNCTION void tm_put_filter(tm_buffer *json, const tm_condition *filter) {
    tm_put(json, "{");
    for (size_t place = 0; place < TM_MOST_CONDITIONS && filter[place].path != NULL; place++) {
        const tm_condition *condition = &filter[place];
        tm_put_name(json, place == 0 ? "" : ",", condition->path);
        if (condition->kind != TM_CHOICES) {
            tm_put(json, condition->kind == TM_IS_PRESENT ? "true" : "false");
            continue;
        }
        tm_put(json, "[");
        for (size_t choice = 0; choice < TM_MOST_CHOICES && condition->choices[choice] != NULL; choice++) {
            if (choice != 0) tm_put(json, ",");
            tm_put_quoted(json, tm_text_of(condition->choices[choice]));
        }
        tm_put(json, "]");
    }
    tm_put(json, "}");
}

TM_COLD_FUNCTION void tm_put_join(tm_buffer *json, const tm_window *window) {
    static const char *const sides[] = {"none", "left", "right", "both"};
    tm_put_name(json, ",", "left");
    tm_put_filter(json, window->left);
    tm_put_name(json, ",", "right");
    tm_put_filter(json, window->right);
    tm_put_number(json, "lower_ms", window->lower_ms);
    tm_put_number(json, "upper_ms", window->upper_ms);
    tm_put_member(json, ",", "lower", window->lower_exclusive ? "exclusive" : "inclusive");
    tm_put_member(json, ",", "upper", window->upper_exclusive ? "exclusive" : "inclusive");
    tm_put_member(json, ",", "take", window->take_first ? "first" : "all");
    tm_put_member(json, ",", "unmatched", sides[window->unmatched]);
}

TM_COLD_FUNCTION void tm_put_window(tm_buffer *json, const tm_window *window) {
    static const char *const kinds[] = {"", "tumbling", "sliding", "session", "key", "interval-join"};
    tm_put_member(json, "{", "kind", kinds[window->kind]);
    bool is_aligned = window->kind == TM_TUMBLING_WINDOW || window->kind == TM_SLIDING_WINDOW;
    if (is_aligned) tm_put_number(json, "size_ms", window->size_ms);
    if (window->kind == TM_SLIDING_WINDOW) tm_put_number(json, "slide_ms", window->slide_ms);
    if (is_aligned) tm_put_number(json, "offset_ms", window->offset_ms);
    if (window->kind == TM_SESSION_WINDOW) tm_put_number(json, "gap_ms", window->gap_ms);
    if (window->kind == TM_KEY_WINDOW && window->ttl_ms != 0) tm_put_number(json, "ttl_ms", window->ttl_ms);
    if (window->kind == TM_INTERVAL_JOIN) tm_put_join(json, window);
    tm_put(json, "}");
}

/* The description as JSON. */
TM_COLD_FUNCTION tm_text tm_describe(const tm_description *metric) {
    const tm_facts *facts = metric->facts;
    bool is_join = metric->right_inputs != NULL;
    tm_buffer json = {0};
    tm_put(&json, "{\"describe\":1");
    tm_put_member(&json, ",", "name", facts->name);
    tm_put_member(&json, ",", "version", facts->version);
    tm_put_member(&json, ",", "doc", facts->doc);
    tm_put_name(&json, ",", "inputs");
    tm_put(&json, "[");
    tm_put_columns(&json, metric->inputs, is_join ? "left" : NULL, true);
    if (is_join) tm_put_columns(&json, metric->right_inputs, "right", metric->inputs[0].name == NULL);
    tm_put(&json, "]");
    tm_put_name(&json, ",", "filter");
    tm_put_filter(&json, facts->filter);
    tm_put_member(&json, ",", "key", facts->key);
    tm_put_name(&json, ",", "window");
    tm_put_window(&json, &facts->window);
    tm_put_name(&json, ",", "output");
    tm_put(&json, "[");
    tm_put_columns(&json, metric->outputs, NULL, true);
    tm_put(&json, "]");
    tm_put_number(&json, "state_version", is_join ? 0 : facts->state_version == 0 ? 1 : facts->state_version);
    tm_put_name(&json, ",", "config_schema");
    tm_put_schema(&json, facts->settings);
    tm_put(&json, metric->is_mergeable ? ",\"mergeable\":true}" : ",\"mergeable\":false}");
    return (tm_text){json.bytes, json.length};
}

#endif
