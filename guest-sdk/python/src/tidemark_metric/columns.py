"""Columns of a batch as lists of values, and emitted rows as columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from tidemark_metric.contract import (
    ByteStrings,
    Column,
    Values_Booleans,
    Values_Floats,
    Values_Integers,
    Values_Texts,
    strings_of,
)
from tidemark_metric.facts import TAKEN_COLUMNS, check_path
from tidemark_metric.types import Mistakes, column_type, describe_type, hints, without_none

VALUES = {
    "boolean": Values_Booleans,
    "integer": Values_Integers,
    "float": Values_Floats,
    "text": Values_Texts,
    "json": Values_Texts,
}
COLUMN_HINTS = "bool, int, float, str or Json"


def at(path: str) -> Any:
    """Where in the event the value of an input's field stands: `fps: float | None = at("data.fps")`."""
    return dataclasses.field(default=None, metadata={"at": path})


@dataclasses.dataclass(frozen=True)
class InputColumn:
    """A column that a metric reads."""

    name: str
    path: str
    type: str
    side: str | None

    def json(self) -> dict[str, Any]:
        column = {"name": self.name, "path": self.path, "type": self.type}
        return column if self.side is None else {**column, "side": self.side}


@dataclasses.dataclass(frozen=True)
class OutputColumn:
    """A column that a metric emits."""

    name: str
    type: str
    nullable: bool

    def json(self) -> dict[str, Any]:
        return {"name": self.name, "type": self.type, "nullable": self.nullable}


def input_columns(row: Any, side: str | None, mistakes: Mistakes) -> list[InputColumn]:
    """The columns of a dataclass whose fields say where their values stand."""
    if not dataclasses.is_dataclass(row):
        mistakes.add(f"the input {describe_type(row)} must be a dataclass")
        return []
    columns = []
    for field in dataclasses.fields(row):
        what, path = f"{row.__name__}.{field.name}", field.metadata.get("at")
        if path is None:
            mistakes.add(f'{what}: say where its value stands in the event: {field.name}: … | None = at("data.…")')
            continue
        check_path(what, path, mistakes)
        hint, optional = without_none(hints(row)[field.name])
        kind = column_type(hint)
        if kind is None or not optional:
            mistakes.add(f"{what} must be {COLUMN_HINTS}, and `| None`, since an event may lack it")
        columns.append(InputColumn(field.name, path, kind or "text", side))
    return columns


def output_columns(row: Any, mistakes: Mistakes) -> list[OutputColumn]:
    """The columns of a dataclass, nullable where a field may be `None`."""
    if not dataclasses.is_dataclass(row):
        mistakes.add(f"the output {describe_type(row)} must be a dataclass")
        return []
    columns = []
    for field in dataclasses.fields(row):
        hint, optional = without_none(hints(row)[field.name])
        kind = column_type(hint)
        what = f"{row.__name__}.{field.name}"
        mistakes.check(kind is not None, f"{what} must be {COLUMN_HINTS}, perhaps `| None`")
        mistakes.check(field.name not in TAKEN_COLUMNS, f"{what}: every row has a column {field.name!r} already")
        is_name = field.name.isascii() and field.name[0].isalpha() and field.name.islower()
        mistakes.check(is_name, f"{what}: a column's name has lower-case letters, digits and underscores")
        columns.append(OutputColumn(field.name, kind or "text", optional))
    return columns


def values_of(column: Column, declared: InputColumn) -> list[Any]:
    """The values of a column, `None` where they are null."""
    values = column.values
    if not isinstance(values, VALUES[declared.type]):
        raise TypeError(f"the column of {declared.name!r} has another type than described")
    if isinstance(values, Values_Texts):
        found: Iterable[Any] = texts_of(values.value)
    elif isinstance(values, Values_Booleans):
        found = map(bool, values.value)
    else:
        found = values.value
    if column.validity:
        # The bits as text, the last row first.
        bits = bin(int.from_bytes(column.validity, "little") | 1 << 8 * len(column.validity))[:2:-1]
        return [value if bit == "1" else None for value, bit in zip(found, bits)]
    return found if isinstance(found, list) else list(found)


def texts_of(strings: ByteStrings) -> list[str]:
    """The texts of two buffers."""
    data, ends = strings.bytes, strings.ends
    starts = [0, *ends]
    if data.isascii():
        whole = data.decode("ascii")
        return [whole[start:end] for start, end in zip(starts, ends)]
    return [data[start:end].decode() for start, end in zip(starts, ends)]


def columns_of(rows: list[tuple[Any, ...]], declared: list[OutputColumn]) -> list[Column]:
    """Emitted rows, which `checked_row` made, as columns."""
    return [column_of(values, each.type) for values, each in zip(zip(*rows), declared)]


def column_of(values: tuple[Any, ...], type: str) -> Column:
    validity = b""
    if None in values:
        bits = "".join("0" if value is None else "1" for value in reversed(values))
        validity = int(bits, 2).to_bytes((len(values) + 7) // 8, "little")
    if type == "boolean":
        return Column(validity, Values_Booleans(bytes(1 if value else 0 for value in values)))
    if type == "integer":
        return Column(validity, Values_Integers([value or 0 for value in values]))
    if type == "float":
        return Column(validity, Values_Floats([0.0 if value is None else value for value in values]))
    return Column(validity, Values_Texts(strings_of([value or b"" for value in values])))


def row_checker(row: type, declared: list[OutputColumn]) -> Callable[[Any], tuple[Any, ...]]:
    """A function that checks a row before it is emitted, so that a wrong one fails its group and no other; texts become
    bytes. Its source is written here and compiled once: it runs for every row."""
    sound = {
        "boolean": "type({v}) is bool",
        "integer": "type({v}) is int and -0x8000000000000000 <= {v} < 0x8000000000000000",
        "float": "type({v}) is float",
        "text": "isinstance({v}, str)",
        "json": "isinstance({v}, str)",
    }
    lines = ["def checked_row(emitted):", " if not isinstance(emitted, row): wrong_row(emitted, row)"]
    cells = []
    for i, column in enumerate(declared):
        value = f"v{i}"
        lines.append(f" {value} = emitted.{column.name}")
        # Null stays null where it may be.
        null = f"{value} is not None and " if column.nullable else ""
        test = sound[column.type].format(v=value)
        lines.append(f" if {null}not ({test}): {value} = wrong_cell({column.name!r}, {column.type!r}, {value})")
        is_text = column.type in ("text", "json")
        if is_text:
            lines.append(
                f" if {value} is not None: {value} = {value}.encode()" if null else f" {value} = {value}.encode()"
            )
        cells.append(value)
    lines.append(f" return ({''.join(f'{cell}, ' for cell in cells)})")
    names = {"row": row, "wrong_row": wrong_row, "wrong_cell": wrong_cell}
    exec("\n".join(lines), names)  # noqa: S102
    return names["checked_row"]


def wrong_row(emitted: Any, row: type) -> None:
    raise TypeError(f"emitted {emitted!r}, not a {row.__name__}")


def wrong_cell(name: str, type_name: str, value: Any) -> float:
    """A float, where a whole number stands for one; anything else fails the group."""
    if type_name == "float" and type(value) is int:
        return float(value)
    expected = {
        "boolean": "True or False",
        "integer": "a whole number of 64 bits",
        "float": "a number",
        "text": "a text",
        "json": "a text",
    }
    raise TypeError(f"the column {name} holds {expected[type_name]}, not {value!r}")
