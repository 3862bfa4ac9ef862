"""What the author of a metric writes: a class that is a `Fold` or a `Join`, and `@metric`, which makes a module of
it."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
import typing
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from tidemark_metric.columns import InputColumn, OutputColumn, input_columns, output_columns
from tidemark_metric.facts import (
    Filter,
    IntervalJoin,
    Session,
    Window,
    check_path,
    conditions,
    path_fault,
    window_json,
)
from tidemark_metric.settings import check_settings, schema_of, setting
from tidemark_metric.state import Codec
from tidemark_metric.types import Mistakes

Input = TypeVar("Input")
State = TypeVar("State")
Output = TypeVar("Output")
Left = TypeVar("Left")
Right = TypeVar("Right")
Class = TypeVar("Class", bound=type)

if sys.version_info >= (3, 11):
    from typing import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[Any], Any]:
        """Only type checkers look at it."""
        return lambda decorator: decorator


Rows = Iterable[tuple[int, Input]]
"""The rows of one group, each with its event time in milliseconds since 1970, in that order within a batch."""


class Fold(Generic[Input, State, Output]):
    """A metric that folds the rows of a group into its state: tumbling, sliding, session and key windows. `Input` is a
    dataclass with what it reads of an event, `State` one with what it remembers of a group, or `None`, `Output` one
    with what it emits. The annotated fields of the class itself are its settings.

    It has these methods, which depend on their arguments and the settings alone:

    - `update(self, state, rows, context)` adds rows of one key and window to its state. Called for every batch that has
      some.
    - `close(self, state, reason, context)` ends a window, or handles a timer or the expiry of a key. A window may be
      closed again when a late row within the allowed lateness changed it, so the state must stay usable.

    And it may have:

    - `merge(self, state, later)` adds `later`, which was folded from rows after those of `state`. Must be associative,
      and the default state must change nothing. Session windows need it.
    - `migrate(self, state: bytes, version: int)` returns the state in the bytes, which `state_version` `version` wrote.
    - `validate(self)` checks settings beyond their types.
    """


class Join(Generic[Left, Right, Output]):
    """A metric over pairs of rows whose times lie close to each other. It has no state.

    It has the method `matched(self, left, right, context)`, which handles a pair, and it may have `unmatched_left(self,
    left, context)` and `unmatched_right(self, right, context)`, which handle rows without a partner, and
    `validate(self)`."""


@dataclasses.dataclass
class Declaration:
    """All that is known of a metric before it sees an event."""

    cls: type
    name: str
    version: str
    doc: str
    key: str
    filter: dict[str, list[str] | bool]
    window: Window
    inputs: list[InputColumn]
    output: type
    outputs: list[OutputColumn]
    state_version: int
    mergeable: bool
    # Of a `Fold`.
    rows: type | None = None
    codec: Codec | None = None
    # Of a `Join`.
    left: type | None = None
    right: type | None = None

    def describe(self) -> str:
        """What the module says of itself: `wit/describe.md` has the format."""
        description = {
            "describe": 1,
            "name": self.name,
            "version": self.version,
            "doc": self.doc,
            "inputs": [column.json() for column in self.inputs],
            "filter": self.filter,
            "key": self.key,
            "window": window_json(self.window),
            "output": [column.json() for column in self.outputs],
            "state_version": self.state_version,
            "config_schema": schema_of(self.cls),
            "mergeable": self.mergeable,
        }
        return json.dumps(description, ensure_ascii=False, separators=(",", ":"))


@dataclass_transform(field_specifiers=(setting, dataclasses.field))
def metric(
    *,
    name: str,
    version: str,
    key: str,
    window: Window,
    filter: Filter | None = None,
    state_version: int = 1,
) -> Callable[[Class], Class]:
    """Makes a class the metric of its module.

    `name` has lower-case letters, digits and hyphens; `version` is semantic; `key` is the path of the key; `filter`
    says which events the metric wants; `window` is `tumbling(…)`, `sliding(…)`, `session(…)`, `per_key(…)` or
    `interval_join(…)`. Raise `state_version` when the state's fields change. The first paragraph of the class's doc
    string is the metric's description. Everything that is wrong is raised at once, as `Mistakes`."""

    def declare(cls: Class) -> Class:
        mistakes = Mistakes(cls.__name__)
        is_name = re.fullmatch(r"[a-z][a-z0-9-]*", name)
        number = r"(0|[1-9][0-9]*)"
        is_version = re.fullmatch(rf"{number}\.{number}\.{number}([-+].*)?", version)
        mistakes.check(bool(is_name), f"name {name!r}: lower-case letters, digits and hyphens")
        mistakes.check(bool(is_version), f"version {version!r}: a semantic version such as '1.0.0'")
        check_path("key", key, mistakes)
        for path in filter or {}:
            check_path("filter", path, mistakes)
        if not dataclasses.is_dataclass(cls):
            cls = dataclasses.dataclass(cls)
        check_settings(cls, mistakes)
        doc = " ".join((inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0]).split())
        declaration = Declaration(
            cls, name, version, doc, key, conditions(filter or {}), window, [], cls, [], state_version, False
        )
        if issubclass(cls, Join):
            declare_join(declaration, mistakes)
        elif issubclass(cls, Fold):
            declare_fold(declaration, mistakes)
        else:
            mistakes.add("a metric is a Fold[Input, State, Output] or a Join[Left, Right, Output]")
        mistakes.raise_any()
        cls.__tidemark__ = declaration
        return cls

    return declare


def parameters_of(cls: type, base: type, mistakes: Mistakes) -> tuple[Any, Any, Any]:
    """What stands in the brackets of `Fold[…]` or `Join[…]`."""
    for declared in getattr(cls, "__orig_bases__", ()):
        if typing.get_origin(declared) is base:
            return typing.get_args(declared)
    mistakes.add(f"say what it reads and makes: class {cls.__name__}({base.__name__}[…, …, …])")
    mistakes.raise_any()
    raise AssertionError("raised above")


def methods(cls: type, required: dict[str, int], mistakes: Mistakes, **optional: int) -> dict[str, bool]:
    """Which of the optional methods there are, all with as many parameters as they must have beside `self`."""
    for name, count in {**required, **optional}.items():
        method = getattr(cls, name, None)
        if method is None:
            mistakes.check(name not in required, f"the method {name} is missing")
        elif len(inspect.signature(method).parameters) != count + 1:
            mistakes.add(f"the method {name} has {count} parameters beside self")
    return {name: hasattr(cls, name) for name in optional}


def declare_fold(declaration: Declaration, mistakes: Mistakes) -> None:
    cls, window = declaration.cls, declaration.window
    rows, state, output = parameters_of(cls, Fold, mistakes)
    found = methods(cls, {"update": 3, "close": 3}, mistakes, merge=2, migrate=2, validate=0)
    mistakes.check(not isinstance(window, IntervalJoin), "an interval join belongs to a Join")
    mistakes.check(found["merge"] or not isinstance(window, Session), "sessions grow together: write the method merge")
    declaration.rows, declaration.output = rows, output
    declaration.codec = Codec(state, mistakes)
    declaration.inputs, declaration.outputs = input_columns(rows, None, mistakes), output_columns(output, mistakes)
    declaration.mergeable = found["merge"]
    if getattr(declaration.codec, "is_empty", False):
        declaration.state_version = 0


def declare_join(declaration: Declaration, mistakes: Mistakes) -> None:
    cls, window = declaration.cls, declaration.window
    left, right, output = parameters_of(cls, Join, mistakes)
    found = methods(cls, {"matched": 3}, mistakes, unmatched_left=2, unmatched_right=2, validate=0)
    declaration.left, declaration.right, declaration.output = left, right, output
    declaration.inputs = input_columns(left, "left", mistakes) + input_columns(right, "right", mistakes)
    declaration.outputs = output_columns(output, mistakes)
    declaration.state_version = 0
    if not isinstance(window, IntervalJoin):
        mistakes.add("the window of a join is interval_join(…)")
        return
    for path in [*window.left, *window.right]:
        fault = path_fault(path)
        mistakes.check(fault is None, f"interval_join {path!r}: {fault}")
    mistakes.check(bool(window.left and window.right), "interval_join needs left and right")
    declaration.window = dataclasses.replace(
        window, unmatched_left=found["unmatched_left"], unmatched_right=found["unmatched_right"]
    )
