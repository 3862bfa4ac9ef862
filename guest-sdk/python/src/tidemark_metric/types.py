"""The types that fields of inputs, outputs and states may have, found from type hints. How a value of one is read from
a column, written to one or encoded is not known here."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Annotated, Any, Union


@dataclasses.dataclass(frozen=True)
class Width:
    """Marks an `int` that takes this `struct` format in a state."""

    format: str


@dataclasses.dataclass(frozen=True)
class JsonText:
    """Marks a `str` that is the text of any JSON value."""


u8 = Annotated[int, Width("B")]
"""A whole number from 0 to 255 in a state."""
u16 = Annotated[int, Width("H")]
"""A whole number from 0 to 65,535 in a state."""
u32 = Annotated[int, Width("I")]
"""A whole number from 0 to 4,294,967,295 in a state."""
u64 = Annotated[int, Width("Q")]
"""A whole number from 0 to 2^64 - 1 in a state."""
i8 = Annotated[int, Width("b")]
"""A whole number from -128 to 127 in a state."""
i16 = Annotated[int, Width("h")]
"""A whole number from -32,768 to 32,767 in a state."""
i32 = Annotated[int, Width("i")]
"""A whole number from -2^31 to 2^31 - 1 in a state."""
i64 = Annotated[int, Width("q")]
"""A whole number from -2^63 to 2^63 - 1 in a state: what `int` is, too."""
Json = Annotated[str, JsonText()]
"""Any JSON value, as its text."""


class Mistakes(Exception):
    """What is wrong with a declaration: all of it at once."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name, self.found = name, []

    def add(self, mistake: str) -> None:
        self.found.append(mistake)

    def check(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.add(otherwise)

    def raise_any(self) -> None:
        if self.found:
            raise self

    def __str__(self) -> str:
        return "\n  ".join([f"{self.name} is declared wrongly:", *self.found])


def hints(cls: type) -> dict[str, Any]:
    """The fields of a dataclass with their types, in order."""
    resolved = typing.get_type_hints(cls, include_extras=True)
    return {field.name: resolved[field.name] for field in dataclasses.fields(cls)}


def without_none(hint: Any) -> tuple[Any, bool]:
    """The type of a hint, and whether it may be `None`."""
    if typing.get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    others = [each for each in typing.get_args(hint) if each is not type(None)]
    if len(others) == len(typing.get_args(hint)):
        return hint, False
    return Union[tuple(others)], True


COLUMN_TYPES = {bool: "boolean", int: "integer", float: "float", str: "text", Json: "json"}
"""The column type of each type that a column can hold."""


def column_type(hint: Any) -> str | None:
    """The type of a column in `describe`; `None` where there is no such column."""
    if typing.get_origin(hint) is Annotated and hint != Json:
        hint = typing.get_args(hint)[0]
    try:
        return COLUMN_TYPES.get(hint)
    except TypeError:
        return None


def describe_type(hint: Any) -> str:
    """A type as an author wrote it."""
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
