"""Tumbling, sliding, session and key windows, as the runtime has them: which rows belong together and when they are
due."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from tidemark_metric.contract import CloseReason
from tidemark_metric.facts import PerKey, Session, Sliding, Tumbling
from tidemark_metric.testing.calls import GREATEST_TIME, LEAST_TIME, Answer, Caller, GroupCall, Record

Span = tuple[int, int]
"""A window: its first millisecond and the first after it."""


def clamp(time_ms: int) -> int:
    """A moment, at most the end of time."""
    return max(LEAST_TIME, min(time_ms, GREATEST_TIME))


class Aligned:
    """Tumbling and sliding windows."""

    has_timers = False

    def __init__(self, window: Tumbling | Sliding, allowed_lateness_ms: int) -> None:
        self.size_ms, self.lateness_ms, self.late = window.size_ms, allowed_lateness_ms, 0
        self.slide_ms = window.slide_ms if isinstance(window, Sliding) else window.size_ms
        self.offset_ms = window.offset_ms
        # State of each open pane, and whether it has fired; by end, window and key.
        self.panes: dict[tuple[int, Span, str], tuple[bytes, bool]] = {}

    def windows(self, time_ms: int) -> Iterator[Span]:
        """The windows that a moment belongs to."""
        start = time_ms - (time_ms - self.offset_ms) % self.slide_ms
        while time_ms - start < self.size_ms:
            yield clamp(start), clamp(start + self.size_ms)
            start -= self.slide_ms

    def fold(self, caller: Caller, records: list[Record], watermark: int) -> None:
        touched: dict[tuple[int, Span, str], list[Record]] = {}
        for record in records:
            windows = self.windows(record.event_time_ms)
            open_ones = [window for window in windows if window[1] - 1 + self.lateness_ms > watermark]
            self.late += not open_ones
            for window in open_ones:
                touched.setdefault((window[1], window, record.key), []).append(record)
        places = sorted(touched)
        for place, answer in zip(places, caller.call([self.call(place, touched[place]) for place in places])):
            self.panes[place] = (answer.state, False)
        self.fire(caller, [place for place in places if place[0] - 1 <= watermark])

    def advance(self, caller: Caller, watermark: int) -> None:
        due = [place for place, (_, fired) in self.panes.items() if not fired and place[0] - 1 <= watermark]
        self.fire(caller, sorted(due))
        gone = [place for place in self.panes if place[0] - 1 + self.lateness_ms <= watermark]
        for place in gone:
            del self.panes[place]

    def fire(self, caller: Caller, places: list[tuple[int, Span, str]]) -> None:
        calls = [self.call(place, []) for place in places]
        for place, answer in zip(places, caller.call(calls, CloseReason.WINDOW_END)):
            self.panes[place] = (answer.state, True)

    def call(self, place: tuple[int, Span, str], records: list[Record]) -> GroupCall:
        end, window, key = place
        return GroupCall(key, window, end - 1, self.panes.get(place, (b"", False))[0], records)


class Sessions:
    """Session windows: states are merged as rows close the gaps between sessions."""

    has_timers = False

    def __init__(self, window: Session) -> None:
        self.gap_ms, self.late = window.gap_ms, 0
        # The open sessions of each key, by start, and their states.
        self.open: dict[str, list[Span]] = {}
        self.states: dict[tuple[str, Span], bytes] = {}

    def fold(self, caller: Caller, records: list[Record], watermark: int) -> None:
        for record in records:
            key, spans = record.key, self.open.setdefault(record.key, [])
            start, end = record.event_time_ms, clamp(record.event_time_ms + self.gap_ms)
            # Sessions that only touch are one.
            first = bisect_left([span[1] for span in spans], start)
            last = bisect_right([span[0] for span in spans], end)
            absorbed = spans[first:last]
            if absorbed:
                start, end = min(start, absorbed[0][0]), max(end, absorbed[-1][1])
            if end - 1 <= watermark:
                self.late += 1
                continue
            spans[first:last] = [(start, end)]
            states = [self.states.pop((key, span)) for span in absorbed if (key, span) in self.states]
            state = states[0] if states else b""
            for later in states[1:]:
                state = caller.merge(key, state, later)
            [answer] = caller.call([GroupCall(key, (start, end), end - 1, state, [record])])
            self.states[key, (start, end)] = answer.state

    def advance(self, caller: Caller, watermark: int) -> None:
        due = [(span[1], span, key) for key, span in self.states if span[1] - 1 <= watermark]
        calls = []
        for end, span, key in sorted(due):
            self.open[key].remove(span)
            calls.append(GroupCall(key, span, end - 1, self.states.pop((key, span)), []))
        caller.call(calls, CloseReason.WINDOW_END)


class Keyed:
    """Key windows: one state per key, timers, and a time to live."""

    has_timers = True
    late = 0
    # What is due; a metric's own timers come before the expiry of the same moment.
    TIMER, EXPIRY = 0, 1

    def __init__(self, window: PerKey) -> None:
        self.ttl_ms = window.ttl_ms
        self.states: dict[str, tuple[bytes, int]] = {}
        self.timers: set[tuple[int, int, str]] = set()

    def fold(self, caller: Caller, records: list[Record], watermark: int) -> None:
        by_key: dict[str, list[Record]] = {}
        for record in records:
            by_key.setdefault(record.key, []).append(record)
        calls = [self.call(key, by_key[key][-1].event_time_ms, by_key[key]) for key in sorted(by_key)]
        for call, answer in zip(calls, caller.call(calls)):
            newest_ms = max(call.time_ms, self.states.get(call.key, (b"", call.time_ms))[1])
            if self.ttl_ms is not None:
                self.timers.add((clamp(newest_ms + self.ttl_ms), self.EXPIRY, call.key))
            self.keep(call.key, newest_ms, answer)
        self.advance(caller, watermark)

    def advance(self, caller: Caller, watermark: int) -> None:
        # A call may set a timer that is due at once, so this goes on until there is none.
        while self.timers and (next_one := min(self.timers))[0] <= watermark:
            self.timers.remove(next_one)
            time_ms, kind, key = next_one
            if key not in self.states:
                continue
            newest_ms, call = self.states[key][1], self.call(key, time_ms, [])
            if kind == self.TIMER:
                [answer] = caller.call([call], CloseReason.TIMER)
                self.keep(key, newest_ms, answer)
            elif self.ttl_ms is not None and clamp(newest_ms + self.ttl_ms) <= time_ms:
                caller.call([call], CloseReason.EXPIRED)
                del self.states[key]

    def keep(self, key: str, newest_ms: int, answer: Answer) -> None:
        self.timers.update((time_ms, self.TIMER, key) for time_ms in answer.timers)
        if answer.state or answer.timers:
            self.states[key] = (answer.state, newest_ms)
        else:
            self.states.pop(key, None)

    def call(self, key: str, time_ms: int, records: list[Record]) -> GroupCall:
        return GroupCall(key, (LEAST_TIME, GREATEST_TIME), time_ms, self.states.get(key, (b"", 0))[0], records)
