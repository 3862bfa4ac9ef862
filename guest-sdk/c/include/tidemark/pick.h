/* Picks by event time: which text a group had first or last, whatever the order in which its rows arrive. Members of a
 * state.
 */
#ifndef TIDEMARK_PICK_H
#define TIDEMARK_PICK_H

#include "state.h"

/* A text and its time. */
typedef struct tm_timed_text {
    int64_t time_ms;
    tm_text text;
} tm_timed_text;

TM_FUNCTION void tm_encode_tm_timed_text(tm_buffer *bytes, const tm_timed_text *timed) {
    tm_encode_int64_t(bytes, &timed->time_ms);
    tm_encode_tm_text(bytes, &timed->text);
}

TM_FUNCTION bool tm_decode_tm_timed_text(tm_reader *bytes, tm_timed_text *timed) {
    return tm_decode_int64_t(bytes, &timed->time_ms) && tm_decode_tm_text(bytes, &timed->text);
}

/* The text with the latest time, of those that are not empty; of one moment the greatest text. */
TM_OPTIONAL(tm_latest_text, tm_timed_text)

/* The text with the earliest time, of those that are not empty; of one moment the least text. */
TM_OPTIONAL(tm_earliest_text, tm_timed_text)

/* Whether `a` stands before, at or behind `b`. */
TM_FUNCTION int tm_compare_timed(tm_timed_text a, tm_timed_text b) {
    return a.time_ms != b.time_ms ? (a.time_ms > b.time_ms ? 1 : -1) : tm_compare(a.text, b.text);
}

/* Takes `text` if it is later. */
TM_FUNCTION void tm_offer_latest(tm_latest_text *kept, int64_t event_time_ms, const tm_text *text) {
    if (tm_not_empty(text) == NULL) return;
    tm_timed_text offered = {event_time_ms, *text};
    if (!kept->is_some || tm_compare_timed(offered, kept->value) > 0) *kept = (tm_latest_text){true, offered};
}

/* Takes the text of `other` if it is later. */
TM_FUNCTION void tm_merge_latest(tm_latest_text *kept, const tm_latest_text *other) {
    if (other->is_some) tm_offer_latest(kept, other->value.time_ms, &other->value.text);
}

/* The text, or NULL. */
TM_FUNCTION const tm_text *tm_latest(const tm_latest_text *kept) {
    return kept->is_some ? &kept->value.text : NULL;
}

/* Takes `text` if it is earlier. */
TM_FUNCTION void tm_offer_earliest(tm_earliest_text *kept, int64_t event_time_ms, const tm_text *text) {
    if (tm_not_empty(text) == NULL) return;
    tm_timed_text offered = {event_time_ms, *text};
    if (!kept->is_some || tm_compare_timed(offered, kept->value) < 0) *kept = (tm_earliest_text){true, offered};
}

/* Takes the text of `other` if it is earlier. */
TM_FUNCTION void tm_merge_earliest(tm_earliest_text *kept, const tm_earliest_text *other) {
    if (other->is_some) tm_offer_earliest(kept, other->value.time_ms, &other->value.text);
}

/* The text if it is not later than `event_time_ms`, or NULL. */
TM_FUNCTION const tm_text *tm_earliest_until(const tm_earliest_text *kept, int64_t event_time_ms) {
    return kept->is_some && kept->value.time_ms <= event_time_ms ? &kept->value.text : NULL;
}

#endif
