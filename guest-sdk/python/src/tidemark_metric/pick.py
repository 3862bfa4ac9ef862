"""Picks by event time: which text a group had first or last, whatever the order in which its rows arrive."""

from __future__ import annotations


class LatestText:
    """The text with the latest time, of those that are not empty; of one moment the greatest text."""

    __slots__ = ("kept",)

    def __init__(self, kept: tuple[int, str] | None = None) -> None:
        self.kept = kept

    def offer(self, event_time_ms: int, text: str | None) -> None:
        """Takes the text if it is later. Nothing and the empty text are never taken."""
        if text and (self.kept is None or (event_time_ms, text) > self.kept):
            self.kept = (event_time_ms, text)

    def merge(self, other: LatestText) -> None:
        """Takes the text of the other one if it is later."""
        if other.kept is not None and (self.kept is None or other.kept > self.kept):
            self.kept = other.kept

    def get(self) -> str | None:
        """The text."""
        return None if self.kept is None else self.kept[1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LatestText) and self.kept == other.kept

    def __repr__(self) -> str:
        return f"LatestText({self.kept!r})"


class EarliestText:
    """The text with the earliest time, of those that are not empty; of one moment the least text."""

    __slots__ = ("kept",)

    def __init__(self, kept: tuple[int, str] | None = None) -> None:
        self.kept = kept

    def offer(self, event_time_ms: int, text: str | None) -> None:
        """Takes the text if it is earlier. Nothing and the empty text are never taken."""
        if text and (self.kept is None or (event_time_ms, text) < self.kept):
            self.kept = (event_time_ms, text)

    def merge(self, other: EarliestText) -> None:
        """Takes the text of the other one if it is earlier."""
        if other.kept is not None and (self.kept is None or other.kept < self.kept):
            self.kept = other.kept

    def get(self) -> str | None:
        """The text."""
        return None if self.kept is None else self.kept[1]

    def until(self, event_time_ms: int) -> str | None:
        """The text, if it is not later than a moment."""
        return None if self.kept is None or self.kept[0] > event_time_ms else self.kept[1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EarliestText) and self.kept == other.kept

    def __repr__(self) -> str:
        return f"EarliestText({self.kept!r})"


def earliest(kept_ms: int | None, event_time_ms: int) -> int:
    """The earlier one of a moment that may be none and another."""
    return event_time_ms if kept_ms is None else min(kept_ms, event_time_ms)
