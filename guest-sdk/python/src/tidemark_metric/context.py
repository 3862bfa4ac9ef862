"""What a metric can ask and do while it handles one group."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from tidemark_metric.columns import OutputColumn, columns_of, row_checker
from tidemark_metric.contract import Emitted, Folded, Groups, Timer, items_of, strings_of
from tidemark_metric.contract import Failure as FailedGroup
from tidemark_metric.failure import message_of

Output = TypeVar("Output")


class Context(Generic[Output]):
    """The group in hand: its key and window, and what is emitted for it."""

    __slots__ = ("_answer", "_groups", "_group", "_keys", "_forget")

    def __init__(self, answer: Answer, groups: Groups) -> None:
        self._answer, self._groups, self._group, self._forget = answer, groups, 0, False
        self._keys: list[bytes] | None = None

    @property
    def key(self) -> str:
        """The group's key."""
        if self._keys is None:
            self._keys = items_of(self._groups.keys)
        return self._keys[self._group].decode()

    @property
    def window_start_ms(self) -> int:
        """First millisecond of the window. The least 64-bit number for `per_key`; of a join, the time of the left row,
        or of the only one."""
        return self._groups.window_starts[self._group]

    @property
    def window_end_ms(self) -> int:
        """First millisecond after the window. The greatest 64-bit number for `per_key`."""
        return self._groups.window_ends[self._group]

    @property
    def event_time_ms(self) -> int:
        """Event time that emitted rows will have: the window's last millisecond, the newest row of a key, the time of a
        timer, or the greater time of both sides of a join."""
        return self._groups.times[self._group]

    def emit(self, row: Output) -> None:
        """Emits a row. A group may emit any number of them, in `update` as well as in `close`."""
        answer = self._answer
        answer.rows.append(answer.checked_row(row))
        answer.emitted.append(self._group)

    def timer_at(self, event_time_ms: int) -> None:
        """Asks for a call of `close` with `CloseReason.TIMER` when the watermark reaches a moment. `per_key` only.
        Setting a timer twice is setting it once."""
        if not -(2**63) <= event_time_ms < 2**63:
            raise ValueError(f"a timer at {event_time_ms}, which is no time")
        self._answer.timers.append(Timer(self._group, event_time_ms))

    def forget(self) -> None:
        """Forgets the group: its state after this call is none, whatever the metric made of it. Where the window lives
        on, the next call begins with the default."""
        self._forget = True


class Answer:
    """The answer to one call, as it grows group by group."""

    def __init__(self, row: type, columns: list[OutputColumn]) -> None:
        self.columns, self.checked_row = columns, row_checker(row, columns)
        self.begin()

    def begin(self) -> None:
        """Starts the next one."""
        self.states: list[bytes] = []
        self.rows: list[tuple[Any, ...]] = []
        self.emitted: list[int] = []
        self.timers: list[Timer] = []
        self.failures: list[FailedGroup] = []

    def fail(self, error: Exception | str) -> None:
        """Ends the group in hand, which failed. The host ignores whatever else it did."""
        message = error if isinstance(error, str) else message_of(error)
        self.failures.append(FailedGroup(len(self.states), message))
        self.states.append(b"")

    def folded(self) -> Folded:
        """The whole answer."""
        columns = columns_of(self.rows, self.columns) if self.rows else []
        return Folded(strings_of(self.states), Emitted(self.emitted, columns), self.timers, self.failures)

    def all_failed(self, groups: int, reason: str) -> Folded:
        """The answer of a call in which every group failed for one reason."""
        self.begin()
        for _ in range(groups):
            self.fail(reason)
        return self.folded()
