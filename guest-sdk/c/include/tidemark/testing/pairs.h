/* Interval joins, as runtime/dataflow/src/join.rs has them: every pair and every row alone is a group of its own.
 */
#ifndef TIDEMARK_TESTING_PAIRS_H
#define TIDEMARK_TESTING_PAIRS_H

#include "windows.h"

TM_FUNCTION bool tm_are_partners(const tm_window *terms, const tm_record *left, const tm_record *right) {
    int64_t distance_ms = right->time_ms - left->time_ms;
    return tm_compare(left->key, right->key) == 0 && terms->lower_ms + terms->lower_exclusive <= distance_ms
        && distance_ms <= terms->upper_ms - terms->upper_exclusive;
}

TM_FUNCTION tm_group tm_group_of(int64_t start_ms, const tm_record *record) {
    tm_group group = {record->key, start_ms, start_ms + 1, record->time_ms, {"", 0}, {0}, false};
    TM_ADD(group.records, *record);
    return group;
}

/* A pair is one row: each side fills its own columns. */
TM_FUNCTION tm_group tm_pair_of(const tm_record *left, const tm_record *right) {
    tm_description metric = tm_description_of_metric();
    size_t own = tm_count_fields(metric.inputs), columns = own + tm_count_fields(metric.right_inputs);
    tm_record pair = *right;
    pair.cells = malloc(columns * sizeof *pair.cells + 1);
    for (size_t place = 0; place < columns; place++) pair.cells[place] = (place < own ? left : right)->cells[place];
    if (left->time_ms > right->time_ms) pair.time_ms = left->time_ms;
    return tm_group_of(left->time_ms, &pair);
}

TM_FUNCTION void tm_fold_pairs(tm_caller *caller, tm_windows *windows, tm_records records, int64_t watermark) {
    tm_groups pairs = {0};
    for (size_t index = 0; index < records.length; index++) {
        const tm_record *record = &records.items[index];
        if (watermark != INT64_MIN && record->time_ms < watermark) {
            windows->late++;
            continue;
        }
        tm_side side = record->side, other = side == TM_LEFT_SIDE ? TM_RIGHT_SIDE : TM_LEFT_SIDE;
        bool is_matched = false;
        for (size_t place = 0; !windows->terms.take_first && place < windows->waiting[other].length; place++) {
            const tm_record *waiting = &windows->waiting[other].items[place];
            const tm_record *left = side == TM_LEFT_SIDE ? record : waiting;
            const tm_record *right = side == TM_LEFT_SIDE ? waiting : record;
            if (!tm_are_partners(&windows->terms, left, right)) continue;
            is_matched = windows->matched[other].items[place] = true;
            TM_ADD(pairs, tm_pair_of(left, right));
        }
        size_t place = windows->waiting[side].length;
        TM_ADD(windows->waiting[side], *record);
        TM_ADD(windows->matched[side], is_matched);
        for (; place > 0 && tm_compare_records(&windows->waiting[side].items[place - 1], record) > 0; place--) {
            windows->waiting[side].items[place] = windows->waiting[side].items[place - 1];
            windows->matched[side].items[place] = windows->matched[side].items[place - 1];
        }
        windows->waiting[side].items[place] = *record;
        windows->matched[side].items[place] = is_matched;
    }
    tm_call(caller, pairs.items, pairs.length, TM_UPDATE);
}

/* For each left row its first partner, once the watermark has reached it, so that none before it can still come. */
TM_FUNCTION void tm_take_first(tm_caller *caller, tm_windows *windows, int64_t watermark) {
    tm_groups pairs = {0};
    tm_records *lefts = &windows->waiting[TM_LEFT_SIDE], *rights = &windows->waiting[TM_RIGHT_SIDE];
    for (size_t left = 0; left < lefts->length;) {
        size_t first = 0;
        const tm_record *row = &lefts->items[left];
        while (first < rights->length && !tm_are_partners(&windows->terms, row, &rights->items[first])) first++;
        if (first == rights->length || rights->items[first].time_ms > watermark) {
            left++;
            continue;
        }
        windows->matched[TM_RIGHT_SIDE].items[first] = true;
        TM_ADD(pairs, tm_pair_of(&lefts->items[left], &rights->items[first]));
        TM_REMOVE(*lefts, left);
        TM_REMOVE(windows->matched[TM_LEFT_SIDE], left);
    }
    tm_call(caller, pairs.items, pairs.length, TM_UPDATE);
}

/* Rows that can find no partner any more. */
TM_FUNCTION void tm_expire(tm_caller *caller, tm_windows *windows, tm_side side, int64_t after_ms, int64_t watermark) {
    tm_groups alone = {0};
    bool is_wanted = windows->terms.unmatched == TM_BOTH
        || windows->terms.unmatched == (side == TM_LEFT_SIDE ? TM_LEFT : TM_RIGHT);
    for (size_t place = 0; place < windows->waiting[side].length;) {
        const tm_record *row = &windows->waiting[side].items[place];
        if (!tm_is_over(row->time_ms, after_ms, watermark)) {
            place++;
            continue;
        }
        if (is_wanted && !windows->matched[side].items[place]) TM_ADD(alone, tm_group_of(row->time_ms, row));
        TM_REMOVE(windows->waiting[side], place);
        TM_REMOVE(windows->matched[side], place);
    }
    tm_call(caller, alone.items, alone.length, side == TM_LEFT_SIDE ? TM_UNMATCHED_LEFT : TM_UNMATCHED_RIGHT);
}

TM_FUNCTION void tm_advance_pairs(tm_caller *caller, tm_windows *windows, int64_t watermark) {
    if (windows->terms.take_first) tm_take_first(caller, windows, watermark);
    int64_t upper_ms = windows->terms.upper_ms - windows->terms.upper_exclusive;
    int64_t lower_ms = windows->terms.lower_ms + windows->terms.lower_exclusive;
    tm_expire(caller, windows, TM_LEFT_SIDE, upper_ms > 0 ? upper_ms : 0, watermark);
    tm_expire(caller, windows, TM_RIGHT_SIDE, lower_ms < 0 ? -lower_ms : 0, watermark);
}

#endif
