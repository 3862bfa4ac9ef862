"""Interval joins, as the runtime has them: every pair and every row without a partner is a group of its own."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left, insort

from tidemark_metric.contract import CloseReason
from tidemark_metric.facts import IntervalJoin
from tidemark_metric.testing.calls import GREATEST_TIME, LEAST_TIME, Caller, GroupCall, Record


@dataclasses.dataclass
class Waiting:
    """A row that waits for a partner."""

    record: Record
    matched: bool = False


class Paired:
    """The waiting rows of all keys, each side in canonical order."""

    has_timers = False

    def __init__(self, terms: IntervalJoin) -> None:
        self.terms, self.late = terms, 0
        self.lower_ms = terms.lower_ms + terms.lower_exclusive
        self.upper_ms = terms.upper_ms - terms.upper_exclusive
        self.waiting: dict[str, dict[str, list[Waiting]]] = {}

    def is_pair(self, left: Record, right: Record) -> bool:
        return self.lower_ms <= right.event_time_ms - left.event_time_ms <= self.upper_ms

    def fold(self, caller: Caller, records: list[Record], watermark: int) -> None:
        pairs: list[tuple[Record, Record]] = []
        for record in records:
            if watermark != LEAST_TIME and record.event_time_ms < watermark:
                self.late += 1
                continue
            sides = self.waiting.setdefault(record.key, {"left": [], "right": []})
            row = Waiting(record)
            if not self.terms.take_first:
                for other in sides["right" if record.side == "left" else "left"]:
                    left, right = (row, other) if record.side == "left" else (other, row)
                    if self.is_pair(left.record, right.record):
                        left.matched = right.matched = True
                        pairs.append((left.record, right.record))
            insort(sides[record.side], row, key=lambda waiting: waiting.record.order)
        self.emit(caller, pairs, [], [])

    def advance(self, caller: Caller, watermark: int) -> None:
        pairs: list[tuple[Record, Record]] = []
        left_alone: list[Record] = []
        right_alone: list[Record] = []
        for key in sorted(self.waiting):
            sides = self.waiting[key]
            if self.terms.take_first:
                self.take_first(sides, watermark, pairs)
            gone = self.expired(sides, "left", max(self.upper_ms, 0), watermark)
            left_alone += gone if self.terms.unmatched_left else []
            gone = self.expired(sides, "right", max(-self.lower_ms, 0), watermark)
            right_alone += gone if self.terms.unmatched_right else []
        self.emit(caller, pairs, left_alone, right_alone)

    def take_first(self, sides: dict[str, list[Waiting]], watermark: int, pairs: list[tuple[Record, Record]]) -> None:
        """The first partners that are certain: none before them can still come."""
        rights, stay = sides["right"], []
        times = [right.record.event_time_ms for right in rights]
        for left in sides["left"]:
            place = bisect_left(times, left.record.event_time_ms + self.lower_ms)
            first = rights[place] if place < len(rights) else None
            if first is None or not self.is_pair(left.record, first.record) or times[place] > watermark:
                stay.append(left)
                continue
            first.matched = True
            pairs.append((left.record, first.record))
        sides["left"] = stay

    def expired(self, sides: dict[str, list[Waiting]], side: str, wait_ms: int, watermark: int) -> list[Record]:
        """Takes out the rows that can find no new partner, and returns those that never had one."""
        rows = sides[side]
        gone = bisect_left(
            rows, True, key=lambda row: min(row.record.event_time_ms + wait_ms, GREATEST_TIME) > watermark
        )
        sides[side] = rows[gone:]
        return [row.record for row in rows[:gone] if not row.matched]

    def emit(
        self, caller: Caller, pairs: list[tuple[Record, Record]], left_alone: list[Record], right_alone: list[Record]
    ) -> None:
        caller.call([pair_call(left, right) for left, right in pairs])
        caller.call([alone_call(record) for record in left_alone], CloseReason.UNMATCHED_LEFT)
        caller.call([alone_call(record) for record in right_alone], CloseReason.UNMATCHED_RIGHT)


def pair_call(left: Record, right: Record) -> GroupCall:
    """A pair is one row: each side fills its own columns."""
    start, time_ms = left.event_time_ms, max(left.event_time_ms, right.event_time_ms)
    cells = [other if own is None else own for own, other in zip(left.cells, right.cells)]
    record = Record(left.key, time_ms, right.sequence, None, cells)
    return GroupCall(left.key, (start, min(start + 1, GREATEST_TIME)), time_ms, b"", [record])


def alone_call(record: Record) -> GroupCall:
    start = record.event_time_ms
    return GroupCall(record.key, (start, min(start + 1, GREATEST_TIME)), start, b"", [record])
