"""Calls to the metric, through the very functions that a component exports, and what they answer."""

from __future__ import annotations

import dataclasses
from typing import Any

from tidemark_metric.columns import InputColumn, OutputColumn, column_of, values_of
from tidemark_metric.contract import Batch, CloseReason, Folded, Groups, items_of, strings_of
from tidemark_metric.metric import Declaration
from tidemark_metric.module import module_of

LEAST_TIME, GREATEST_TIME = -(2**63), 2**63 - 1


@dataclasses.dataclass
class Record:
    """A row of input."""

    key: str
    event_time_ms: int
    sequence: int
    side: str | None
    cells: list[Any]

    @property
    def order(self) -> tuple[int, int]:
        """Its place in the canonical order."""
        return self.event_time_ms, self.sequence


@dataclasses.dataclass
class GroupCall:
    """One group of a call."""

    key: str
    window: tuple[int, int]
    time_ms: int
    state: bytes
    records: list[Record]


@dataclasses.dataclass
class Answer:
    """What one group was answered. The state is the old one if the group failed."""

    state: bytes
    timers: list[int]
    rows: list[tuple[Any, ...]]
    failure: str | None


class TestRow:
    """An emitted row. Its columns are read as attributes: `row.latency_ms`."""

    __test__ = False  # pytest takes everything that begins with Test for a test.

    def __init__(self, call: GroupCall, columns: dict[str, Any]) -> None:
        self.key, self.event_time_ms, self.columns = call.key, call.time_ms, columns
        self.window_start_ms, self.window_end_ms = call.window

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["columns"][name]
        except KeyError:
            raise AttributeError(f"the row has no column {name!r}; it has {', '.join(self.columns)}") from None

    def __repr__(self) -> str:
        return f"TestRow(key={self.key!r}, window_start_ms={self.window_start_ms}, {self.columns})"


class Caller:
    """Calls a metric and keeps what it emits."""

    def __init__(self, declaration: Declaration, metric: Any) -> None:
        self.declaration, self.module = declaration, module_of(declaration, metric)
        self.has_timers = False
        self.rows: list[TestRow] = []
        self.failures: list[str] = []

    def call(self, calls: list[GroupCall], reason: CloseReason | None = None) -> list[Answer]:
        """`update`, or `close` where there is a reason. One answer per group."""
        answers = self.answers(calls, reason)
        for call, answer in zip(calls, answers):
            # Equal to the bit: a metric must not even change the sign of a zero, which == would not see.
            if repr(self.answers([call], reason)) != repr([answer]):
                raise AssertionError(f"key {call.key}: the answer depends on the other groups of the call")
            if answer.failure is not None:
                self.failures.append(f"{call.key}: {answer.failure}")
            names = [column.name for column in self.declaration.outputs]
            self.rows += [TestRow(call, dict(zip(names, cells))) for cells in answer.rows]
        return answers

    def merge(self, key: str, left: bytes, right: bytes) -> bytes:
        """`merge` of two states of a key."""
        folded = self.module.merge(strings_of([left]), strings_of([right]))
        if folded.failures:
            self.failures.append(f"{key}: {folded.failures[0].message}")
            return left
        return items_of(folded.states)[0]

    def answers(self, calls: list[GroupCall], reason: CloseReason | None) -> list[Answer]:
        if not calls:
            return []
        batch = self.batch(calls)
        folded = self.module.update(batch) if reason is None else self.module.close(batch, reason)
        self.check_shape(folded, len(calls))
        found = [Answer(state, [], [], None) for state in items_of(folded.states)]
        for timer in folded.timers:
            found[timer.group].timers.append(timer.time)
        for group, cells in zip(folded.emitted.groups, self.emitted_cells(folded)):
            found[group].rows.append(cells)
        for failure in folded.failures:
            found[failure.group] = Answer(calls[failure.group].state, [], [], failure.message)
        return found

    def check_shape(self, folded: Folded, groups: int) -> None:
        """What the host checks of every answer."""
        assert len(folded.states.ends) == groups, "one state per group"
        assert folded.emitted.groups == sorted(folded.emitted.groups), "rows stand by group"
        if folded.timers and not self.has_timers:
            raise AssertionError("only per_key windows have timers")

    def emitted_cells(self, folded: Folded) -> list[tuple[Any, ...]]:
        if not folded.emitted.columns:
            return [() for _ in folded.emitted.groups]
        columns = zip(folded.emitted.columns, self.declaration.outputs)
        return list(zip(*(values_of(column, read_as(declared)) for column, declared in columns)))

    def batch(self, calls: list[GroupCall]) -> Batch:
        records = [record for call in calls for record in call.records]
        ends, end = [], 0
        for call in calls:
            end += len(call.records)
            ends.append(end)
        columns = []
        for i, declared in enumerate(self.declaration.inputs):
            cells = tuple(record.cells[i] for record in records)
            texts = declared.type in ("text", "json")
            columns.append(column_of(tuple(c and c.encode() for c in cells) if texts else cells, declared.type))
        groups = Groups(
            keys=strings_of([call.key.encode() for call in calls]),
            window_starts=[call.window[0] for call in calls],
            window_ends=[call.window[1] for call in calls],
            times=[call.time_ms for call in calls],
            row_ends=ends,
            states=strings_of([call.state for call in calls]),
        )
        return Batch(columns, [record.event_time_ms for record in records], groups)


def read_as(declared: OutputColumn) -> InputColumn:
    """An output column as one that can be read back."""
    return InputColumn(declared.name, "", declared.type, None)
