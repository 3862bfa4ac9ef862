"""Functions that encode and decode: little-endian, field by field, without names or padding.

For each type two functions are written and compiled once: fields of a fixed size that follow each other are packed and
unpacked together. What is encoded, and when, is not known here.
"""

from __future__ import annotations

import dataclasses
import math
import struct
import typing
from collections.abc import Callable
from typing import Annotated, Any

from tidemark_metric.failure import Malformed
from tidemark_metric.pick import EarliestText, LatestText
from tidemark_metric.types import Json, Mistakes, Width, describe_type, hints, without_none

RANGES = {"B": (0, 2**8), "H": (0, 2**16), "I": (0, 2**32), "Q": (0, 2**64)} | {
    "b": (-(2**7), 2**7),
    "h": (-(2**15), 2**15),
    "i": (-(2**31), 2**31),
    "q": (-(2**63), 2**63),
}
LENGTH = struct.Struct("<I")
PICK = struct.Struct("<BqI")


def flag(data: bytes, at: int) -> bool:
    """A byte that is 0 or 1."""
    if data[at] > 1:
        raise Malformed
    return data[at] == 1


def length(data: bytes, at: int) -> int:
    """A length. No more can follow than there are bytes left."""
    (found,) = LENGTH.unpack_from(data, at)
    if found > len(data) - at - 4:
        raise Malformed
    return found


def text(data: bytes, at: int) -> tuple[str, int]:
    end = at + 4 + length(data, at)
    return data[at + 4 : end].decode(), end


def encode_pick(pick: LatestText | EarliestText, out: bytearray) -> None:
    """As an optional pair of time and text."""
    if pick.kept is None:
        out.append(0)
        return
    time, text = pick.kept
    data = text.encode()
    out += PICK.pack(1, time, len(data))
    out += data


def decode_pick(data: bytes, at: int) -> tuple[tuple[int, str] | None, int]:
    if not flag(data, at):
        return None, at + 1
    _, time, count = PICK.unpack_from(data, at)
    at += PICK.size
    if count > len(data) - at:
        raise Malformed
    return (time, data[at : at + count].decode()), at + count


def check_range(value: Any, format: str, what: str) -> None:
    """Says what is wrong with a number that could not be packed."""
    if format == "d":
        if not isinstance(value, (int, float)):
            raise TypeError(f"{what} is {value!r}, not a float")
        return
    least, end = RANGES[format]
    if not isinstance(value, int) or not least <= value < end:
        raise ValueError(f"{what} is {value!r}, but the state holds whole numbers from {least} to {end - 1}")


class Writer:
    """Writes the source of codecs. Everything that the source needs by name is in `names`."""

    def __init__(self, mistakes: Mistakes) -> None:
        self.mistakes = mistakes
        self.names: dict[str, Any] = {
            "flag": flag, "length": length, "text": text, "check_range": check_range, "LENGTH": LENGTH, "NAN": math.nan,
            "struct_error": struct.error,
        }  # fmt: skip

    def name(self, value: Any, stem: str) -> str:
        name = f"{stem}_{len(self.names)}"
        self.names[name] = value
        return name

    def compile(self, name: str, parameters: str, lines: list[str]) -> Callable[..., Any]:
        name = f"{name}_{len(self.names)}"
        body = "\n ".join(lines or ["pass"])
        exec(f"def {name}({parameters}):\n {body}\n", self.names)  # noqa: S102
        return self.names[name]

    def compiled_zero(self, expression: str) -> Callable[[], Any]:
        return self.compile("zero", "", [f"return {expression}"])

    def of_struct(self, cls: type, what: str) -> tuple[Callable[..., None], Callable[..., tuple[Any, int]], str]:
        """Encoder, decoder and default of a dataclass."""
        fields = [(field, hints(cls)[field.name]) for field in dataclasses.fields(cls)]
        parts = [self.part(hint, f"{what}.{field.name}") for field, hint in fields]
        encode, decode = self.fields([field.name for field, _ in fields], parts, what)
        made = self.name(cls, "make")
        decode.append(f"return {made}({', '.join(f'v{i}' for i in range(len(parts)))}), at")
        zeros = [self.default(field, part) for (field, _), part in zip(fields, parts)]
        return (
            self.compile("encode", "state, out", encode),
            self.compile("decode", "data, at", decode),
            f"{made}({', '.join(zeros)})",
        )

    def default(self, field: dataclasses.Field[Any], part: Part) -> str:
        if field.default is not dataclasses.MISSING:
            return self.name(field.default, "default")
        if field.default_factory is not dataclasses.MISSING:
            return f"{self.name(field.default_factory, 'factory')}()"
        return part.zero

    def fields(self, names: list[str], parts: list[Part], what: str) -> tuple[list[str], list[str]]:
        """Lines that encode and decode attributes `names` of `state`, as `v0`, `v1`, …"""
        encode, decode = [], []
        i = 0
        while i < len(parts):
            run = i
            while run < len(parts) and parts[run].format:
                run += 1
            if run == i:
                encode.append(f"{parts[i].encode}(state.{names[i]}, out)")
                decode.append(f"v{i}, at = {parts[i].decode}(data, at)")
                i += 1
                continue
            packed = struct.Struct("<" + "".join(part.format for part in parts[i:run]))
            name = self.name(packed, "packed")
            values = [f"state.{each}" for each in names[i:run]]
            safe = [
                f"({value} if {value} == {value} else NAN)" if part.format == "d" else value
                for value, part in zip(values, parts[i:run])
            ]
            checks = [f"check_range({v}, {p.format!r}, {n!r})" for v, p, n in zip(values, parts[i:run], names[i:run])]
            encode += [
                f"try: out += {name}.pack({', '.join(safe)})",
                f"except struct_error: {'; '.join(checks)}; raise",
            ]
            decode.append(
                f"{', '.join(f'v{j}' for j in range(i, run))}, = {name}.unpack_from(data, at); at += {packed.size}"
            )
            i = run
        return encode, decode

    def part(self, hint: Any, what: str) -> Part:
        """How values of one type are encoded."""
        if typing.get_origin(hint) is Annotated and hint != Json:
            base, *marks = typing.get_args(hint)
            width = next((mark.format for mark in marks if isinstance(mark, Width)), None)
            return Part("0", format=width) if base is int and width else self.part(base, what)
        inner, optional = without_none(hint)
        if optional:
            return self.of_optional(self.item(self.part(inner, what), what))
        if hint is int:
            return Part("0", format="q")
        if hint is float:
            return Part("0.0", format="d")
        if hint is bool:
            encode = self.compile("encode", "value, out", ["out.append(1 if value else 0)"])
            return self.functions("False", encode, lambda data, at: (flag(data, at), at + 1))
        if hint in (str, Json):
            lines = ["data = value.encode()", "out += LENGTH.pack(len(data))", "out += data"]
            return self.functions('""', self.compile("encode", "value, out", lines), text)
        if hint in (LatestText, EarliestText):
            return self.of_pick(hint)
        if dataclasses.is_dataclass(hint):
            encode, decode, zero = self.of_struct(hint, what)
            return self.functions(zero, encode, decode)
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is tuple and arguments and Ellipsis not in arguments:
            return self.of_tuple(arguments, what)
        if origin is list and len(arguments) == 1:
            return self.of_list(self.item(self.part(arguments[0], what), what))
        if origin is dict and len(arguments) == 2 and without_annotation(arguments[0]) in (int, str):
            parts = [self.item(self.part(argument, what), what) for argument in arguments]
            return self.of_dict(*parts)
        self.mistakes.add(
            f"{what} is {describe_type(hint)}, but a state has bool, int (also u8 … i64), float, str, `| None`, list, "
            "tuple, dict with keys that are int or str, dataclasses, LatestText and EarliestText"
        )
        return Part("0", format="q")

    def functions(self, zero: str, encode: Callable[..., None], decode: Callable[..., tuple[Any, int]]) -> Part:
        return Part(zero, encode=self.name(encode, "encode"), decode=self.name(decode, "decode"))

    def item(self, part: Part, what: str) -> Part:
        """A part with functions of its own, also where it has a fixed size."""
        if not part.format:
            return part
        packed = struct.Struct("<" + part.format)
        name = self.name(packed, "packed")
        value = "value if value == value else NAN" if part.format == "d" else "value"
        lines = [
            f"try: out += {name}.pack({value})",
            f"except struct_error: check_range(value, {part.format!r}, {what!r}); raise",
        ]
        encode = self.compile("encode", "value, out", lines)
        decode = self.compile("decode", "data, at", [f"return {name}.unpack_from(data, at)[0], at + {packed.size}"])
        return self.functions(part.zero, encode, decode)

    def of_optional(self, part: Part) -> Part:
        lines = ["if value is None: out.append(0)", f"else: out.append(1); {part.encode}(value, out)"]
        encode = self.compile("encode", "value, out", lines)
        decode = self.compile(
            "decode", "data, at", [f"return {part.decode}(data, at + 1) if flag(data, at) else (None, at + 1)"]
        )
        return self.functions("None", encode, decode)

    def of_pick(self, cls: type) -> Part:
        made, decode = self.name(cls, "make"), self.name(decode_pick, "decode")
        lines = [f"kept, at = {decode}(data, at)", f"return {made}(kept), at"]
        return self.functions(f"{made}()", encode_pick, self.compile("decode", "data, at", lines))

    def of_tuple(self, hints: tuple[Any, ...], what: str) -> Part:
        parts = [self.item(self.part(hint, what), what) for hint in hints]
        encode = [f"{part.encode}(value[{i}], out)" for i, part in enumerate(parts)]
        decode = [f"v{i}, at = {part.decode}(data, at)" for i, part in enumerate(parts)]
        decode.append(f"return ({''.join(f'v{i}, ' for i in range(len(parts)))}), at")
        zero = f"({''.join(f'{part.zero}, ' for part in parts)})"
        return self.functions(
            zero, self.compile("encode", "value, out", encode), self.compile("decode", "data, at", decode)
        )

    def of_list(self, part: Part) -> Part:
        encode = ["out += LENGTH.pack(len(value))", f"for item in value: {part.encode}(item, out)"]
        decode = [
            "count, items, at = length(data, at), [], at + 4",
            "for _ in range(count):",
            f"  item, at = {part.decode}(data, at)",
            "  items.append(item)",
            "return items, at",
        ]
        return self.functions(
            "[]", self.compile("encode", "value, out", encode), self.compile("decode", "data, at", decode)
        )

    def of_dict(self, key: Part, value: Part) -> Part:
        """Ascending by key: Python compares texts by code point, which is the order of their bytes."""
        encode = [
            "out += LENGTH.pack(len(value))",
            "for key in sorted(value):",
            f"  {key.encode}(key, out)",
            f"  {value.encode}(value[key], out)",
        ]
        decode = [
            "count, items, at = length(data, at), {}, at + 4",
            "for _ in range(count):",
            f"  key, at = {key.decode}(data, at)",
            f"  items[key], at = {value.decode}(data, at)",
            "return items, at",
        ]
        return self.functions(
            "{}", self.compile("encode", "value, out", encode), self.compile("decode", "data, at", decode)
        )


@dataclasses.dataclass(frozen=True)
class Part:
    """How values of one type are encoded: by a `struct` format, or by functions with these names."""

    zero: str
    format: str = ""
    encode: str = ""
    decode: str = ""


def without_annotation(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
