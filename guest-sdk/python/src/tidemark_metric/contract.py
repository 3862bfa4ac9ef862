"""The types of `wit/metric.wit`: what crosses the boundary. Within a component they are those that componentize-py
generates, outside of one these, which look the same."""

from __future__ import annotations

try:
    from wit_world.imports.types import (
        Batch,
        ByteStrings,
        CloseReason,
        Column,
        Emitted,
        Failure,
        Folded,
        Groups,
        Timer,
        Values_Booleans,
        Values_Floats,
        Values_Integers,
        Values_Texts,
    )
except ImportError:
    from dataclasses import dataclass
    from enum import Enum

    @dataclass
    class ByteStrings:
        """Many byte strings in two buffers: string `i` is `bytes[ends[i - 1]:ends[i]]`."""

        ends: list[int]
        bytes: bytes

    @dataclass
    class Values_Booleans:
        value: bytes

    @dataclass
    class Values_Integers:
        value: list[int]

    @dataclass
    class Values_Floats:
        value: list[float]

    @dataclass
    class Values_Texts:
        value: ByteStrings

    @dataclass
    class Column:
        """One column; `validity` is a bitmap, or empty where no value is null."""

        validity: bytes
        values: Values_Booleans | Values_Integers | Values_Floats | Values_Texts

    @dataclass
    class Groups:
        """The groups of a call, in parallel lists."""

        keys: ByteStrings
        window_starts: list[int]
        window_ends: list[int]
        times: list[int]
        row_ends: list[int]
        states: ByteStrings

    @dataclass
    class Batch:
        """Rows and their groups."""

        columns: list[Column]
        event_times: list[int]
        groups: Groups

    class CloseReason(Enum):
        """Why `close` is called."""

        WINDOW_END = 0
        TIMER = 1
        EXPIRED = 2
        UNMATCHED_LEFT = 3
        UNMATCHED_RIGHT = 4

    @dataclass
    class Emitted:
        """Rows that a call emits."""

        groups: list[int]
        columns: list[Column]

    @dataclass
    class Timer:
        """A request to call `close` when the watermark reaches a moment."""

        group: int
        time: int

    @dataclass
    class Failure:
        """A group that could not be handled."""

        group: int
        message: str

    @dataclass
    class Folded:
        """What a call returns."""

        states: ByteStrings
        emitted: Emitted
        timers: list[Timer]
        failures: list[Failure]


__all__ = [
    "Batch",
    "ByteStrings",
    "CloseReason",
    "Column",
    "Emitted",
    "Failure",
    "Folded",
    "Groups",
    "Timer",
    "Values_Booleans",
    "Values_Floats",
    "Values_Integers",
    "Values_Texts",
]


def strings_of(items: list[bytes]) -> ByteStrings:
    """Many byte strings in two buffers."""
    ends, end = [], 0
    for item in items:
        end += len(item)
        ends.append(end)
    return ByteStrings(ends=ends, bytes=b"".join(items))


def items_of(strings: ByteStrings) -> list[bytes]:
    """The byte strings of two buffers."""
    data, ends = strings.bytes, strings.ends
    return [data[start:end] for start, end in zip([0, *ends], ends)]
