/* The contract's functions, over groups. What one group means is left to the functions that TM_FOLD or TM_JOIN makes.
 */
#ifndef TIDEMARK_MODULE_H
#define TIDEMARK_MODULE_H

#include "describe.h"
#include "output.h"
#include "pick.h"

/* What TM_FOLD or TM_JOIN makes. Where it returns a message, the group has failed. */
static tm_description tm_description_of_metric(void);
static const char *tm_handle_group(const tm_batch *batch, size_t group, int reason, tm_context *context);
static const char *tm_merge_pair(tm_text earlier, tm_text later, tm_context *context);
static const char *tm_migrate_state(tm_text before, uint32_t version, tm_context *context);

/* The reason of a call of `update`. */
#define TM_UPDATE (-1)
#define TM_WRONG_STATE "the state was not written by this state version"

#define TM_NO_MERGE "states of this metric cannot be merged"

/* Why states of version `version` cannot be migrated. */
TM_COLD_FUNCTION const char *tm_no_migration(uint32_t version) {
    tm_buffer message = {0};
    tm_put(&message, "states of version ");
    tm_put_integer(&message, version);
    tm_put(&message, " cannot be read");
    tm_append(&message, "", 1);
    return message.bytes;
}

/* What the host configured; lives as long as the instance. */
static struct {
    void *settings;
    bool is_configured;
} tm_configured;

/* Sets the configuration. What is wrong with it, or NULL. */
TM_COLD_FUNCTION const char *tm_configure(tm_text json) {
    tm_description metric = tm_description_of_metric();
    tm_settings settings = metric.facts->settings;
    if (tm_configured.is_configured) return "configured already";
    /* Texts among the settings lead into memory of this call: it is kept, which happens once in an instance's life. */
    void *read = tm_allocate(settings.size, 16);
    const char *mistake = tm_read_settings(settings, json, read);
    if (mistake == NULL && metric.facts->validate != NULL) mistake = metric.facts->validate(read);
    if (mistake != NULL) return mistake;
    tm_configured.settings = settings.visit == NULL ? NULL : read;
    tm_configured.is_configured = true;
    memset(&tm_memory, 0, sizeof tm_memory);
    return NULL;
}

TM_COLD_FUNCTION tm_folding tm_begin_folding(const tm_field *outputs) {
    size_t count = tm_count_fields(outputs);
    tm_folding folding = {.columns = tm_allocate(count * sizeof(tm_column_buffer), 8)};
    for (size_t place = 0; place < count; place++) folding.columns[place] = (tm_column_buffer){.type = outputs[place].type};
    /* The host configures before it calls; without that, settings have their defaults. */
    if (!tm_configured.is_configured && tm_configure((tm_text){"{}", 2}) != NULL) __builtin_trap();
    return folding;
}

TM_COLD_FUNCTION tm_folded tm_finish_folding(const tm_folding *folding, const tm_field *outputs) {
    tm_folded folded = {0};
    folded.states.ends.items = (uint32_t *)(void *)folding->state_ends.bytes;
    folded.states.ends.length = folding->groups;
    folded.states.bytes.items = folding->states.bytes;
    folded.states.bytes.length = folding->states.length;
    folded.timers.items = (tm_timer *)(void *)folding->timers.bytes;
    folded.timers.length = folding->timers.length / sizeof(tm_timer);
    folded.failures.items = (tm_failure *)(void *)folding->failures.bytes;
    folded.failures.length = folding->failures.length / sizeof(tm_failure);
    folded.emitted.items = (uint32_t *)(void *)folding->emitted.bytes;
    folded.emitted.length = folding->emitted.length / sizeof(uint32_t);
    if (folded.emitted.length == 0) return folded;
    folded.columns.length = tm_count_fields(outputs);
    folded.columns.items = tm_allocate(folded.columns.length * sizeof(tm_column), 8);
    for (size_t place = 0; place < folded.columns.length; place++) {
        folded.columns.items[place] = tm_finish_column(&folding->columns[place]);
    }
    return folded;
}

/* Why the input columns are not those that `describe` asks for, or NULL. */
TM_COLD_FUNCTION const char *tm_check_columns(const tm_description *metric, const tm_columns *columns) {
    size_t left = tm_count_fields(metric->inputs);
    size_t count = columns->length;
    const tm_field *wrong = tm_wrong_column(metric->inputs, columns->items, count);
    if (wrong == NULL && metric->right_inputs != NULL) {
        wrong = tm_wrong_column(metric->right_inputs, columns->items + left, count - left);
    }
    if (wrong == NULL) return NULL;
    tm_buffer message = {0};
    tm_put(&message, "the column of `");
    tm_put(&message, wrong->path);
    tm_put(&message, "` is missing or has another type than described");
    tm_append(&message, "", 1);
    return message.bytes;
}

/* `update` and `close`. */
TM_FUNCTION tm_folded tm_handle(const tm_batch *batch, int reason) {
    tm_description metric = tm_description_of_metric();
    tm_folding folding = tm_begin_folding(metric.outputs);
    /* Only the rows of joins come to `close`. */
    bool has_rows = reason == TM_UPDATE || metric.right_inputs != NULL;
    const char *wrong = has_rows ? tm_check_columns(&metric, &batch->columns) : NULL;
    for (size_t group = 0; group < batch->times.length; group++) {
        tm_context context = tm_begin_group(&folding, batch, tm_configured.settings);
        const char *message = wrong != NULL ? wrong : tm_handle_group(batch, group, reason, &context);
        tm_end_group(&folding, message);
    }
    return tm_finish_folding(&folding, metric.outputs);
}

TM_FUNCTION tm_folded tm_merge(const tm_byte_strings *left, const tm_byte_strings *right) {
    tm_description metric = tm_description_of_metric();
    tm_folding folding = tm_begin_folding(metric.outputs);
    for (size_t pair = 0; pair < left->ends.length; pair++) {
        tm_context context = {.settings = tm_configured.settings, .folding = &folding};
        tm_end_group(&folding, tm_merge_pair(tm_string_at(left, pair), tm_string_at(right, pair), &context));
    }
    return tm_finish_folding(&folding, metric.outputs);
}

TM_FUNCTION tm_folded tm_migrate(const tm_byte_strings *states, uint32_t version) {
    tm_description metric = tm_description_of_metric();
    tm_folding folding = tm_begin_folding(metric.outputs);
    for (size_t group = 0; group < states->ends.length; group++) {
        tm_context context = {.settings = tm_configured.settings, .folding = &folding};
        tm_end_group(&folding, tm_migrate_state(tm_string_at(states, group), version, &context));
    }
    return tm_finish_folding(&folding, metric.outputs);
}

#endif
