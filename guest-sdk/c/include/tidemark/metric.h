/* A metric: TM_FOLD for windows, TM_JOIN for pairs. Once per component, at the end of its file.
 *
 *     TM_FOLD(status, frame_rates, jitter,        // input, state, output
 *         .name = "jitter-coefficient", …         // the facts, see facts.h
 *         .update = update,                       // a row of one key and window
 *         .close = close_window,                  // its end, a timer, its expiry; may be called again, so keep the state
 *         .merge = merge,                         // adds what was folded from later rows; session windows need it
 *         .migrate = migrate)                     // reads the bytes of an older version
 *
 *     TM_JOIN(request, first_segment, latency,    // left, right, output
 *         .name = "prompt-to-first-frame", …
 *         .matched = matched,
 *         .unmatched_left = unmatched_left,       // where the window says .unmatched = TM_LEFT or TM_BOTH
 *         .unmatched_right = unmatched_right)
 *
 * All functions must depend on their arguments alone. A function that is not needed is left out.
 */
#ifndef TIDEMARK_METRIC_H
#define TIDEMARK_METRIC_H

#include "module.h"

#define TM_FOLD(input, state, output, ...) \
    static const struct { \
        union { \
            struct { \
                TM_FACTS \
            }; \
            tm_facts tm_all_facts; \
        }; \
        void (*update)(state *, const input *, tm_context *); \
        void (*close)(state *, tm_close_reason, tm_context *); \
        void (*merge)(state *, const state *, tm_context *); \
        void (*migrate)(state *, tm_text, uint32_t, tm_context *); \
    } tm_metric = {__VA_ARGS__}; \
    \
    static tm_description tm_description_of_metric(void) { \
        return (tm_description){ \
            .facts = &tm_metric.tm_all_facts, \
            .inputs = tm_inputs_of_##input, \
            .outputs = tm_outputs_of_##output, \
            .is_mergeable = tm_metric.merge != NULL, \
        }; \
    } \
    \
    static const char *tm_keep_state(const state *kept, tm_context *context) { \
        if (context->failure != NULL) return context->failure; \
        if (!context->is_forgotten) tm_encode_##state(&context->folding->states, kept); \
        return NULL; \
    } \
    \
    static const char *tm_handle_group(const tm_batch *batch, size_t group, int reason, tm_context *context) { \
        state kept; \
        input row; \
        if (!decode_##state(tm_string_at(&batch->states, group), &kept)) return TM_WRONG_STATE; \
        if (reason == TM_UPDATE) { \
            size_t index = tm_begin_of(batch->row_ends.items, group); \
            for (; index < batch->row_ends.items[group] && context->failure == NULL; index++) { \
                row.event_time_ms = batch->event_times.items[index]; \
                tm_read_row_of_##input(&row, batch->columns.items, index); \
                tm_metric.update(&kept, &row, context); \
            } \
        } else if (tm_metric.close != NULL) { \
            tm_metric.close(&kept, (tm_close_reason)reason, context); \
        } \
        return tm_keep_state(&kept, context); \
    } \
    \
    static const char *tm_merge_pair(tm_text earlier, tm_text later, tm_context *context) { \
        state kept, added; \
        if (tm_metric.merge == NULL) return TM_NO_MERGE; \
        if (!decode_##state(earlier, &kept) || !decode_##state(later, &added)) return TM_WRONG_STATE; \
        tm_metric.merge(&kept, &added, context); \
        return tm_keep_state(&kept, context); \
    } \
    \
    static const char *tm_migrate_state(tm_text before, uint32_t version, tm_context *context) { \
        state kept = {0}; \
        if (tm_metric.migrate == NULL) return tm_no_migration(version); \
        tm_metric.migrate(&kept, before, version, context); \
        return tm_keep_state(&kept, context); \
    }

#define TM_JOIN(left_input, right_input, output, ...) \
    static const struct { \
        union { \
            struct { \
                TM_FACTS \
            }; \
            tm_facts tm_all_facts; \
        }; \
        void (*matched)(const left_input *, const right_input *, tm_context *); \
        void (*unmatched_left)(const left_input *, tm_context *); \
        void (*unmatched_right)(const right_input *, tm_context *); \
    } tm_metric = {__VA_ARGS__}; \
    \
    static tm_description tm_description_of_metric(void) { \
        return (tm_description){ \
            .facts = &tm_metric.tm_all_facts, \
            .inputs = tm_inputs_of_##left_input, \
            .right_inputs = tm_inputs_of_##right_input, \
            .outputs = tm_outputs_of_##output, \
        }; \
    } \
    \
    static const char *tm_handle_group(const tm_batch *batch, size_t group, int reason, tm_context *context) { \
        left_input left; \
        right_input right; \
        const tm_column *columns = batch->columns.items; \
        const tm_column *right_columns = columns + tm_count_fields(tm_inputs_of_##left_input); \
        size_t index = tm_begin_of(batch->row_ends.items, group); \
        if (reason >= 0 && reason < TM_UNMATCHED_LEFT) return "a join has neither windows nor timers"; \
        for (; index < batch->row_ends.items[group] && context->failure == NULL; index++) { \
            left.event_time_ms = right.event_time_ms = batch->event_times.items[index]; \
            tm_read_row_of_##left_input(&left, columns, index); \
            tm_read_row_of_##right_input(&right, right_columns, index); \
            if (reason == TM_UPDATE && tm_metric.matched != NULL) { \
                tm_metric.matched(&left, &right, context); \
            } else if (reason == TM_UNMATCHED_LEFT && tm_metric.unmatched_left != NULL) { \
                tm_metric.unmatched_left(&left, context); \
            } else if (reason == TM_UNMATCHED_RIGHT && tm_metric.unmatched_right != NULL) { \
                tm_metric.unmatched_right(&right, context); \
            } \
        } \
        return context->failure; \
    } \
    \
    static const char *tm_merge_pair(tm_text earlier, tm_text later, tm_context *context) { \
        (void)earlier, (void)later, (void)context; \
        return TM_NO_MERGE; \
    } \
    \
    static const char *tm_migrate_state(tm_text before, uint32_t version, tm_context *context) { \
        (void)before, (void)context; \
        return tm_no_migration(version); \
    }

#endif
