"""What a metric declares of itself besides its types: filter, key and window, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

from tidemark_metric.types import Mistakes

PRESENT = True
"""A condition: the path holds something other than null and the empty text."""
ABSENT = False
"""A condition: the path holds nothing, null or the empty text."""

Condition = Union[str, Sequence[str], bool]
Filter = Mapping[str, Condition]
"""Conditions by path: a text, a list of texts, `PRESENT` or `ABSENT`."""
Duration = Union[str, int]
"""`"250ms"`, `"60s"`, `"-10s"`, `"5m"`, `"1h"`, `"7d"`, or milliseconds."""

ROOTS = ("id", "type", "timestamp", "gateway", "data", "enrich")
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
TAKEN_COLUMNS = frozenset(
    "key window_start window_end event_time module version digest config_digest epoch row_id".split()
)


def milliseconds(duration: Duration) -> int:
    """The milliseconds of a duration."""
    if isinstance(duration, int) and not isinstance(duration, bool):
        return duration
    found = re.fullmatch(r"(-?[0-9]+)(ms|s|m|h|d)", duration) if isinstance(duration, str) else None
    if found is None:
        raise ValueError(f"{duration!r} is no duration: a number and ms, s, m, h or d, such as '60s'")
    return int(found[1]) * UNITS_MS[found[2]]


def positive(duration: Duration) -> int:
    """The milliseconds of a duration that must be positive."""
    size_ms = milliseconds(duration)
    if size_ms <= 0:
        raise ValueError(f"{duration!r} must be positive")
    return size_ms


@dataclass(frozen=True)
class Tumbling:
    """Windows that follow each other."""

    size_ms: int
    offset_ms: int


@dataclass(frozen=True)
class Sliding:
    """Windows of one size that overlap."""

    size_ms: int
    slide_ms: int
    offset_ms: int


@dataclass(frozen=True)
class Session:
    """Rows within a gap of each other."""

    gap_ms: int


@dataclass(frozen=True)
class PerKey:
    """All rows of a key."""

    ttl_ms: int | None


@dataclass(frozen=True)
class IntervalJoin:
    """Pairs of a left and a right row of one key."""

    left: dict[str, list[str] | bool]
    right: dict[str, list[str] | bool]
    lower_ms: int
    upper_ms: int
    lower_exclusive: bool
    upper_exclusive: bool
    take_first: bool
    unmatched_left: bool = False
    unmatched_right: bool = False


Window = Union[Tumbling, Sliding, Session, PerKey, IntervalJoin]


def tumbling(size: Duration, *, offset: Duration = 0) -> Tumbling:
    """Windows that follow each other: `[n * size + offset, (n + 1) * size + offset)`."""
    window = Tumbling(positive(size), milliseconds(offset))
    if abs(window.offset_ms) >= window.size_ms:
        raise ValueError("the offset must be shorter than the window")
    return window


def sliding(size: Duration, *, every: Duration, offset: Duration = 0) -> Sliding:
    """Windows of `size`, one starting at every so much."""
    window = Sliding(positive(size), positive(every), milliseconds(offset))
    if abs(window.offset_ms) >= window.slide_ms:
        raise ValueError("the offset must be shorter than `every`")
    return window


def session(gap: Duration) -> Session:
    """Rows within `gap` of each other. The metric needs `merge`."""
    return Session(positive(gap))


def per_key(*, ttl: Duration | None = None) -> PerKey:
    """One window for all rows of a key, with timers. Its state is dropped when no row came for `ttl` of event time."""
    return PerKey(None if ttl is None else positive(ttl))


def interval_join(
    *,
    left: Filter,
    right: Filter,
    lower: Duration,
    upper: Duration,
    lower_exclusive: bool = False,
    upper_exclusive: bool = False,
    take_first: bool = False,
) -> IntervalJoin:
    """Pairs rows of one key with `lower <= right - left <= upper` in event time. `left` and `right` say which events
    are on which side, on top of the metric's filter. `take_first` pairs each left row with the first right row in event
    time alone. Rows without a partner count where the metric has `unmatched_left` or `unmatched_right`."""
    lower_ms, upper_ms = milliseconds(lower), milliseconds(upper)
    if lower_ms + lower_exclusive > upper_ms - upper_exclusive:
        raise ValueError("no time lies between `lower` and `upper`")
    return IntervalJoin(
        conditions(left), conditions(right), lower_ms, upper_ms, lower_exclusive, upper_exclusive, take_first
    )


def conditions(filter: Filter) -> dict[str, list[str] | bool]:
    """A filter as `describe` has it."""
    return {path: condition_of(path, condition) for path, condition in filter.items()}


def condition_of(path: str, condition: Any) -> list[str] | bool:
    if isinstance(condition, bool):
        return condition
    texts = [condition] if isinstance(condition, str) else list(condition)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"the condition of {path!r} is a text, a list of texts, PRESENT or ABSENT")
    return texts


def path_fault(path: Any) -> str | None:
    """Why `path` is not one into an event, if it is not."""
    if not isinstance(path, str) or not all(path.split(".")):
        return "a path is made of names with a dot between them, such as 'data.stream_id'"
    if path.split(".")[0] not in ROOTS:
        return f"a path begins with {', '.join(ROOTS)}"
    return None


def check_path(what: str, path: Any, mistakes: Mistakes) -> None:
    fault = path_fault(path)
    if fault:
        mistakes.add(f"{what} {path!r}: {fault}")


def window_json(window: Window) -> dict[str, Any]:
    """A window as `describe` has it."""
    if isinstance(window, Tumbling):
        return {"kind": "tumbling", "size_ms": window.size_ms, "offset_ms": window.offset_ms}
    if isinstance(window, Sliding):
        sizes = {"size_ms": window.size_ms, "slide_ms": window.slide_ms, "offset_ms": window.offset_ms}
        return {"kind": "sliding", **sizes}
    if isinstance(window, Session):
        return {"kind": "session", "gap_ms": window.gap_ms}
    if isinstance(window, PerKey):
        return {"kind": "key"} if window.ttl_ms is None else {"kind": "key", "ttl_ms": window.ttl_ms}
    return {
        "kind": "interval-join",
        "left": window.left,
        "right": window.right,
        "lower_ms": window.lower_ms,
        "upper_ms": window.upper_ms,
        "lower": "exclusive" if window.lower_exclusive else "inclusive",
        "upper": "exclusive" if window.upper_exclusive else "inclusive",
        "take": "first" if window.take_first else "all",
        "unmatched": ("none", "left", "right", "both")[window.unmatched_left + 2 * window.unmatched_right],
    }
