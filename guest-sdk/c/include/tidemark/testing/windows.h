/* Which rows belong together: the declared window, played by one of three small machines. Semantics are those of
 * runtime/dataflow: `tm_fold_…` adds records in canonical order, `tm_advance_…` closes what is due at a watermark.
 */
#ifndef TIDEMARK_TESTING_WINDOWS_H
#define TIDEMARK_TESTING_WINDOWS_H

#include "call.h"

typedef struct {
    int64_t time_ms;
    tm_close_reason reason;
    tm_text key;
} tm_due;

/* The windows of a driver. */
typedef struct {
    tm_window terms;
    int64_t allowed_lateness_ms;
    size_t late;
    /* Open panes, sessions, or keys. Of a key, `end_ms` is its newest time. */
    tm_groups open;
    /* Timers of keys, what is due first, first. */
    TM_MANY(tm_due) due;
    /* Waiting rows of a join, in canonical order; `matched` has a flag for each. */
    tm_records waiting[3];
    TM_MANY(bool) matched[3];
} tm_windows;

/* Whether nothing at `time_ms` counts any more: the watermark is `after_ms` behind it. */
TM_FUNCTION bool tm_is_over(int64_t time_ms, int64_t after_ms, int64_t watermark) {
    int64_t end_ms;
    return __builtin_add_overflow(time_ms, after_ms, &end_ms) ? watermark == INT64_MAX : end_ms <= watermark;
}

TM_FUNCTION int64_t tm_floor_modulo(int64_t value, int64_t by) {
    return (value % by + by) % by;
}

TM_FUNCTION tm_group *tm_find_group(tm_groups *groups, tm_text key, int64_t start_ms) {
    for (size_t place = 0; place < groups->length; place++) {
        tm_group *group = &groups->items[place];
        if (group->start_ms == start_ms && tm_compare(group->key, key) == 0) return group;
    }
    return NULL;
}

/* ----- tumbling and sliding windows ----- */

TM_FUNCTION void tm_fire(tm_caller *caller, tm_windows *windows, int64_t watermark, bool again) {
    tm_groups due = {0};
    for (size_t place = 0; place < windows->open.length; place++) {
        tm_group *pane = &windows->open.items[place];
        if (!pane->is_fired && pane->time_ms <= watermark) TM_ADD(due, *pane);
    }
    TM_SORT(due, tm_compare_groups);
    tm_answer *answers = tm_call(caller, due.items, due.length, TM_WINDOW_END);
    for (size_t place = 0; place < due.length; place++) {
        tm_group *pane = tm_find_group(&windows->open, due.items[place].key, due.items[place].start_ms);
        pane->state = answers[place].state;
        pane->is_fired = true;
    }
    if (again) return;
    for (size_t place = windows->open.length; place-- > 0;) {
        bool is_over = tm_is_over(windows->open.items[place].time_ms, windows->allowed_lateness_ms, watermark);
        if (is_over) TM_REMOVE(windows->open, place);
    }
}

TM_FUNCTION void tm_fold_aligned(tm_caller *caller, tm_windows *windows, tm_records records, int64_t watermark) {
    const tm_window *terms = &windows->terms;
    int64_t slide_ms = terms->kind == TM_TUMBLING_WINDOW ? terms->size_ms : terms->slide_ms;
    tm_groups touched = {0};
    for (size_t place = 0; place < records.length; place++) {
        const tm_record *record = &records.items[place];
        bool is_late = true;
        int64_t start_ms = record->time_ms - tm_floor_modulo(record->time_ms - terms->offset_ms, slide_ms);
        for (; record->time_ms - start_ms < terms->size_ms; start_ms -= slide_ms) {
            int64_t last_ms = start_ms + terms->size_ms - 1;
            if (tm_is_over(last_ms, windows->allowed_lateness_ms, watermark)) continue;
            is_late = false;
            tm_group *pane = tm_find_group(&touched, record->key, start_ms);
            if (pane == NULL) {
                const tm_group *known = tm_find_group(&windows->open, record->key, start_ms);
                tm_group added = {record->key, start_ms, last_ms + 1, last_ms, {"", 0}, {0}, false};
                if (known != NULL) added.state = known->state;
                TM_ADD(touched, added);
                pane = &touched.items[touched.length - 1];
            }
            TM_ADD(pane->records, *record);
        }
        windows->late += is_late;
    }
    TM_SORT(touched, tm_compare_groups);
    tm_answer *answers = tm_call(caller, touched.items, touched.length, TM_UPDATE);
    for (size_t place = 0; place < touched.length; place++) {
        tm_group pane = touched.items[place];
        pane.state = answers[place].state;
        pane.records = (tm_records){0};
        tm_group *known = tm_find_group(&windows->open, pane.key, pane.start_ms);
        if (known == NULL) TM_ADD(windows->open, pane);
        else *known = pane;
    }
    tm_fire(caller, windows, watermark, true);
}

/* ----- sessions ----- */

TM_FUNCTION void tm_fold_sessions(tm_caller *caller, tm_windows *windows, tm_records records, int64_t watermark) {
    for (size_t index = 0; index < records.length; index++) {
        const tm_record *record = &records.items[index];
        tm_group session = {record->key, record->time_ms, record->time_ms + windows->terms.gap_ms, 0, {"", 0}, {0}, false};
        tm_groups absorbed = {0};
        for (size_t place = 0; place < windows->open.length; place++) {
            const tm_group *open = &windows->open.items[place];
            /* Sessions that only touch are one. */
            bool is_one = open->start_ms <= session.end_ms && session.start_ms <= open->end_ms;
            if (is_one && tm_compare(open->key, record->key) == 0) TM_ADD(absorbed, *open);
        }
        TM_SORT(absorbed, tm_compare_groups);
        for (size_t place = 0; place < absorbed.length; place++) {
            if (absorbed.items[place].start_ms < session.start_ms) session.start_ms = absorbed.items[place].start_ms;
            if (absorbed.items[place].end_ms > session.end_ms) session.end_ms = absorbed.items[place].end_ms;
        }
        session.time_ms = session.end_ms - 1;
        if (session.time_ms <= watermark) {
            windows->late++;
            continue;
        }
        for (size_t place = 0; place < absorbed.length; place++) {
            const tm_group *open = &absorbed.items[place];
            session.state = place == 0 ? open->state : tm_call_merge(caller, session.key, session.state, open->state);
            TM_REMOVE(windows->open, tm_find_group(&windows->open, open->key, open->start_ms) - windows->open.items);
        }
        TM_ADD(session.records, *record);
        session.state = tm_call(caller, &session, 1, TM_UPDATE)[0].state;
        session.records = (tm_records){0};
        TM_ADD(windows->open, session);
    }
}

/* ----- keys ----- */

TM_FUNCTION int tm_compare_due(const void *left, const void *right) {
    const tm_due *a = left, *b = right;
    if (a->time_ms != b->time_ms) return a->time_ms < b->time_ms ? -1 : 1;
    /* The metric's own timers come before the expiry of the same moment. */
    if (a->reason != b->reason) return a->reason == TM_TIMER ? -1 : 1;
    return tm_compare(a->key, b->key);
}

TM_FUNCTION void tm_set_due(tm_windows *windows, tm_due due) {
    for (size_t place = 0; place < windows->due.length; place++) {
        if (tm_compare_due(&windows->due.items[place], &due) == 0) return;
    }
    TM_ADD(windows->due, due);
    TM_SORT(windows->due, tm_compare_due);
}

TM_FUNCTION void tm_keep_key(tm_windows *windows, tm_text key, int64_t newest_ms, const tm_answer *answer) {
    for (size_t place = 0; place < answer->timers.length; place++) {
        tm_set_due(windows, (tm_due){answer->timers.items[place], TM_TIMER, key});
    }
    tm_group *known = tm_find_group(&windows->open, key, INT64_MIN);
    if (known != NULL) TM_REMOVE(windows->open, known - windows->open.items);
    if (answer->state.length == 0 && answer->timers.length == 0) return;
    tm_group kept = {.key = key, .start_ms = INT64_MIN, .end_ms = newest_ms, .state = answer->state};
    TM_ADD(windows->open, kept);
}

TM_FUNCTION void tm_advance_keys(tm_caller *caller, tm_windows *windows, int64_t watermark) {
    /* A call may set a timer that is due at once, so this goes on until there is none. */
    while (windows->due.length > 0 && windows->due.items[0].time_ms <= watermark) {
        tm_due due = windows->due.items[0];
        TM_REMOVE(windows->due, 0);
        const tm_group *known = tm_find_group(&windows->open, due.key, INT64_MIN);
        if (known == NULL) continue;
        int64_t newest_ms = known->end_ms;
        if (due.reason == TM_EXPIRED && newest_ms + windows->terms.ttl_ms > due.time_ms) continue;
        tm_group call = {due.key, INT64_MIN, INT64_MAX, due.time_ms, known->state, {0}, false};
        const tm_answer *answer = tm_call(caller, &call, 1, (int)due.reason);
        tm_answer forgotten = {.state = {"", 0}};
        tm_keep_key(windows, due.key, newest_ms, due.reason == TM_TIMER ? answer : &forgotten);
    }
}

TM_FUNCTION void tm_fold_keys(tm_caller *caller, tm_windows *windows, tm_records records, int64_t watermark) {
    tm_groups groups = {0};
    for (size_t place = 0; place < records.length; place++) {
        const tm_record *record = &records.items[place];
        tm_group *group = tm_find_group(&groups, record->key, INT64_MIN);
        if (group == NULL) {
            const tm_group *known = tm_find_group(&windows->open, record->key, INT64_MIN);
            tm_group added = {record->key, INT64_MIN, INT64_MAX, 0, {"", 0}, {0}, false};
            if (known != NULL) added.state = known->state;
            TM_ADD(groups, added);
            group = &groups.items[groups.length - 1];
        }
        group->time_ms = record->time_ms;
        TM_ADD(group->records, *record);
    }
    TM_SORT(groups, tm_compare_groups);
    tm_answer *answers = tm_call(caller, groups.items, groups.length, TM_UPDATE);
    for (size_t place = 0; place < groups.length; place++) {
        const tm_group *group = &groups.items[place];
        const tm_group *known = tm_find_group(&windows->open, group->key, INT64_MIN);
        int64_t newest_ms = known != NULL && known->end_ms > group->time_ms ? known->end_ms : group->time_ms;
        if (windows->terms.ttl_ms != 0) {
            tm_set_due(windows, (tm_due){newest_ms + windows->terms.ttl_ms, TM_EXPIRED, group->key});
        }
        tm_keep_key(windows, group->key, newest_ms, &answers[place]);
    }
    tm_advance_keys(caller, windows, watermark);
}

#endif
