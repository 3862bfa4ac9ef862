"""The contract's functions for one metric: the loops over the groups of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from tidemark_metric.columns import values_of
from tidemark_metric.context import Answer, Context
from tidemark_metric.contract import Batch, ByteStrings, CloseReason, Folded, Groups, items_of
from tidemark_metric.metric import Declaration
from tidemark_metric.settings import configured


def module_of(declaration: Declaration, metric: Any = None) -> FoldModule | JoinModule:
    """The module of a metric: with the settings in `metric`, or those that `configure` sets."""
    return (FoldModule if declaration.codec else JoinModule)(declaration, metric)


class Module:
    """What a component exports."""

    def __init__(self, declaration: Declaration, metric: Any = None) -> None:
        self.declaration = declaration
        self.answer = Answer(declaration.output, declaration.outputs)
        if metric is not None:
            self.use(metric)

    def use(self, metric: Any) -> None:
        """Takes a metric with its settings."""
        self.metric = metric

    def describe(self) -> str:
        return self.declaration.describe()

    def configure(self, json: str) -> None:
        """Raises `Failure`, or what `validate` does, where the configuration is wrong."""
        self.use(configured(self.declaration.cls, json))

    def columns(self, batch: Batch) -> list[list[Any]]:
        """The values of each column, of the rows of all groups."""
        declared = self.declaration.inputs
        if len(batch.columns) != len(declared):
            raise TypeError(f"the batch has {len(batch.columns)} columns, not {len(declared)}")
        return [values_of(column, each) for column, each in zip(batch.columns, declared)]


class FoldModule(Module):
    """A `Fold` as a module."""

    def use(self, metric: Any) -> None:
        super().use(metric)
        self.update_one, self.close_one = metric.update, metric.close
        self.merge_one, self.migrate_one = getattr(metric, "merge", None), getattr(metric, "migrate", None)

    def update(self, batch: Batch) -> Folded:
        """Folds rows into the states of their groups."""
        try:
            rows = made(self.declaration.rows, self.columns(batch), len(batch.event_times))
        except TypeError as error:
            return self.answer.all_failed(len(batch.groups.times), str(error))
        return self.each_group(batch.groups, zip(batch.event_times, rows), self.update_one)

    def close(self, batch: Batch, reason: CloseReason) -> Folded:
        """Ends groups."""
        close = self.close_one
        return self.each_group(batch.groups, iter(()), lambda state, _, context: close(state, reason, context))

    def each_group(
        self, groups: Groups, rows: Iterator[Any], handle: Callable[[Any, Iterable[Any], Context[Any]], None]
    ) -> Folded:
        answer = self.answer
        encode, decode = self.declaration.codec.encode, self.declaration.codec.decode
        answer.begin()
        context = Context(answer, groups)
        starts = [0, *groups.row_ends]
        for group, before in enumerate(items_of(groups.states)):
            context._group, context._forget = group, False
            own = islice(rows, groups.row_ends[group] - starts[group])
            try:
                state = decode(before)
                handle(state, own, context)
                answer.states.append(b"" if context._forget else encode(state))
            except Exception as error:
                answer.fail(error)
            for _ in own:
                # The metric left it; the next group begins with its own rows.
                pass
        return answer.folded()

    def merge(self, left: ByteStrings, right: ByteStrings) -> Folded:
        """Merges pairs of states."""
        if self.merge_one is None:
            return self.answer.all_failed(len(left.ends), "states of this metric cannot be merged")
        return self.each_state(zip(items_of(left), items_of(right)), self.merged)

    def merged(self, pair: tuple[bytes, bytes]) -> Any:
        decode = self.declaration.codec.decode
        state = decode(pair[0])
        self.merge_one(state, decode(pair[1]))
        return state

    def migrate(self, states: ByteStrings, from_: int) -> Folded:
        """Turns states of an older version into states of this one."""
        if self.migrate_one is None:
            return self.answer.all_failed(len(states.ends), f"states of version {from_} cannot be read")
        return self.each_state(items_of(states), lambda state: self.migrate_one(state, from_))

    def each_state(self, given: Iterable[Any], make: Callable[[Any], Any]) -> Folded:
        answer, codec = self.answer, self.declaration.codec
        answer.begin()
        for each in given:
            try:
                answer.states.append(codec.encode(make(each)))
            except Exception as error:
                answer.fail(error)
        return answer.folded()


class JoinModule(Module):
    """A `Join` as a module. Every group is one pair or one lonely row."""

    def update(self, batch: Batch) -> Folded:
        """Handles pairs."""
        matched = self.metric.matched
        return self.each_pair(batch, lambda left, right, context: matched(left, right, context))

    def close(self, batch: Batch, reason: CloseReason) -> Folded:
        """Handles rows without a partner."""
        if reason == CloseReason.UNMATCHED_LEFT and hasattr(self.metric, "unmatched_left"):
            left_alone = self.metric.unmatched_left
            return self.each_pair(batch, lambda left, right, context: left_alone(left, context))
        if reason == CloseReason.UNMATCHED_RIGHT and hasattr(self.metric, "unmatched_right"):
            right_alone = self.metric.unmatched_right
            return self.each_pair(batch, lambda left, right, context: right_alone(right, context))
        return self.answer.all_failed(len(batch.groups.times), "a join has neither windows nor timers")

    def each_pair(self, batch: Batch, handle: Callable[[Any, Any, Context[Any]], None]) -> Folded:
        answer, declaration = self.answer, self.declaration
        split = sum(column.side == "left" for column in declaration.inputs)
        count = len(batch.event_times)
        try:
            columns = self.columns(batch)
        except TypeError as error:
            return answer.all_failed(len(batch.groups.times), str(error))
        rows = zip(made(declaration.left, columns[:split], count), made(declaration.right, columns[split:], count))
        answer.begin()
        context = Context(answer, batch.groups)
        ends = batch.groups.row_ends
        for group, (start, end) in enumerate(zip([0, *ends], ends)):
            context._group = group
            own = islice(rows, end - start)
            try:
                for left, right in own:
                    handle(left, right, context)
                answer.states.append(b"")
            except Exception as error:
                answer.fail(error)
                for _ in own:
                    # The next group begins with its own rows.
                    pass
        return answer.folded()

    def merge(self, left: ByteStrings, right: ByteStrings) -> Folded:
        """A join has no states."""
        return self.answer.all_failed(len(left.ends), "a join has no states to merge")

    def migrate(self, states: ByteStrings, from_: int) -> Folded:
        """A join has no states."""
        return self.answer.all_failed(len(states.ends), "a join has no states to migrate")


def made(row: Any, columns: list[list[Any]], count: int) -> Iterable[Any]:
    """Rows of a dataclass from its columns."""
    return map(row, *columns) if columns else (row() for _ in range(count))
