"""Tests of metrics without a runtime: `MetricTestDriver` plays the host, one line per record, after the model of Kafka
Streams' `TopologyTestDriver`. Time moves only where a test says so."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from tidemark_metric.facts import IntervalJoin, PerKey, Session, Window
from tidemark_metric.metric import Declaration
from tidemark_metric.settings import configured
from tidemark_metric.testing.calls import GREATEST_TIME, LEAST_TIME, Caller, Record, TestRow
from tidemark_metric.testing.event import Event
from tidemark_metric.testing.join import Paired
from tidemark_metric.testing.windows import Aligned, Keyed, Sessions

__all__ = ["MetricTestDriver", "TestRow"]


class MetricTestDriver:
    """Runs one metric on events and watermarks, with the window that it declares.

    Every batch is given to the metric twice, as a whole and group by group: a metric whose answers differ is not pure,
    and the driver raises `AssertionError`.

        driver = MetricTestDriver(ClientBytes())
        driver.event({"type": "upload", "timestamp": 1000, "data": {"client": "a", "bytes": 40}})
        driver.advance_watermark(59_999)
        assert driver.rows[0].bytes == 40
    """

    def __init__(self, metric: Any, *, window: Window | None = None, allowed_lateness_ms: int = 0) -> None:
        """A driver of a metric with its settings as they are: `ClientBytes()`, or its class for the defaults. `window`
        is another window than the declared one, as a deployment may choose it; with `allowed_lateness_ms` windows count
        late rows for so much longer, and fire again for each batch of them."""
        if isinstance(metric, type):
            metric = configured(metric, "{}")
        self.declaration: Declaration = type(metric).__tidemark__
        window = window or self.declaration.window
        if isinstance(window, IntervalJoin) != isinstance(self.declaration.window, IntervalJoin):
            raise ValueError("a join stays a join")
        if isinstance(window, IntervalJoin):
            # Which rows without a partner count is a question of the metric's methods.
            declared = self.declaration.window
            window = dataclasses.replace(
                window, unmatched_left=declared.unmatched_left, unmatched_right=declared.unmatched_right
            )
        self._grouping = grouping_of(window, allowed_lateness_ms)
        self._caller = Caller(self.declaration, metric)
        self._caller.has_timers = self._grouping.has_timers
        self._watermark, self._events = LEAST_TIME, 0

    @classmethod
    def configured(cls, metric: type, settings: str | dict[str, Any], **options: Any) -> MetricTestDriver:
        """A driver of the metric with these settings. Raises `Failure` if the metric refuses them."""
        document = settings if isinstance(settings, str) else json.dumps(settings)
        return cls(configured(metric, document), **options)

    def event(self, event: str | dict[str, Any]) -> None:
        """Feeds one event, an envelope as JSON or as a dict. Its time is `data.timestamp`, else the envelope's
        `timestamp`. Events that the filter does not want and events without a key change nothing."""
        self.events([event])

    def events(self, events: Iterable[str | dict[str, Any]]) -> None:
        """Feeds several events in one batch; empty lines are skipped."""
        records: list[Record] = []
        for each in events:
            if isinstance(each, str) and not each.strip():
                continue
            self._events += 1
            event = Event(each, self._events)
            if event.passes(self.declaration.filter):
                records += self._records(event)
        records.sort(key=lambda record: record.order)
        self._grouping.fold(self._caller, records, self._watermark)

    def advance_watermark(self, event_time_ms: int) -> None:
        """Moves event time: everything up to `event_time_ms` has come, what is due is closed. Never moves back."""
        if event_time_ms > self._watermark:
            self._watermark = event_time_ms
            self._grouping.advance(self._caller, event_time_ms)

    def finish(self) -> None:
        """Ends the input: the watermark goes to the end of time."""
        self.advance_watermark(GREATEST_TIME)

    @property
    def rows(self) -> list[TestRow]:
        """The rows that the metric emitted, in order."""
        return self._caller.rows

    @property
    def failures(self) -> list[str]:
        """Groups that failed, each as `key: message`."""
        return self._caller.failures

    @property
    def late(self) -> int:
        """How many rows came too late for every window or partner."""
        return self._grouping.late

    def rows_as_events(self) -> list[str]:
        """The rows as events of type `metric.<name>`: input for a metric that reads this one."""
        kind = f"metric.{self.declaration.name}"
        return [
            json.dumps({"type": kind, "timestamp": row.event_time_ms, "data": {**row.columns, "key": row.key}})
            for row in self.rows
        ]

    def _records(self, event: Event) -> list[Record]:
        """An event as a row of input: one, or for a join one per side that wants it."""
        key = event.text(self.declaration.key)
        if not key:
            return []
        window = self.declaration.window
        sides: list[str | None] = [None]
        if isinstance(self._grouping, Paired):
            window = self._grouping.terms
            wanted = {"left": window.left, "right": window.right}
            sides = [side for side, filter in wanted.items() if event.passes(filter)]
        return [Record(key, event.time_ms, event.sequence, side, self._cells(event, side)) for side in sides]

    def _cells(self, event: Event, side: str | None) -> list[Any]:
        inputs = self.declaration.inputs
        return [event.value(column.path, column.type) if column.side == side else None for column in inputs]


def grouping_of(window: Window, allowed_lateness_ms: int) -> Aligned | Sessions | Keyed | Paired:
    """The machine that plays a window."""
    if isinstance(window, (Session, PerKey, IntervalJoin)) and allowed_lateness_ms:
        raise ValueError("only tumbling and sliding windows of the driver have an allowed lateness")
    if isinstance(window, Session):
        return Sessions(window)
    if isinstance(window, PerKey):
        return Keyed(window)
    if isinstance(window, IntervalJoin):
        return Paired(window)
    return Aligned(window, allowed_lateness_ms)
