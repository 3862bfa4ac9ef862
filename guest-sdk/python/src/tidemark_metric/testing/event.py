"""An event as a test writes it: an envelope in JSON, read as the runtime reads it."""

from __future__ import annotations

import json
import math
import re
from typing import Any

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Number(str):
    """A JSON number as it is written."""

    __slots__ = ()


class Event:
    """An envelope."""

    def __init__(self, event: str | dict[str, Any], sequence: int) -> None:
        line = event if isinstance(event, str) else json.dumps(event)
        self.sequence = sequence
        try:
            self.envelope = parse(line)
        except ValueError as error:
            raise ValueError(f"event {sequence} is no JSON: {error}: {line}") from None
        if not isinstance(self.envelope, dict):
            raise ValueError(f"an event is a JSON object: {line}")
        self.unwrap_data()
        times = [self.value(path, "integer") for path in ("data.timestamp", "timestamp")]
        if times == [None, None]:
            raise ValueError(f"event {sequence} has no timestamp: {line}")
        self.time_ms: int = times[1] if times[0] is None else times[0]

    def unwrap_data(self) -> None:
        """`data` that is JSON in a string, as some streams carry it."""
        data = self.envelope.get("data")
        if isinstance(data, str) and not isinstance(data, Number):
            try:
                self.envelope["data"] = parse(data)
            except ValueError:
                pass

    def value(self, path: str, type: str) -> Any:
        """The value at a path as a column of this type holds it; `None` where it is null."""
        found: Any = self.envelope
        for name in path.split("."):
            if isinstance(found, list):
                found = found[int(name)] if name.isdecimal() and int(name) < len(found) else None
            else:
                found = found.get(name) if isinstance(found, dict) else None
        return read(found, type)

    def text(self, path: str) -> str:
        """The text at a path; empty where there is none."""
        return self.value(path, "text") or ""

    def passes(self, filter: dict[str, list[str] | bool]) -> bool:
        """Whether all conditions hold."""
        for path, condition in filter.items():
            text = self.text(path)
            if (text not in condition) if isinstance(condition, list) else (bool(text) != condition):
                return False
        return True


def parse(text: str) -> Any:
    """A JSON document with numbers as they are written."""

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=refuse)


def read(value: Any, type: str) -> Any:
    """A JSON value as a column of a type holds it."""
    if value is None:
        return None
    if type == "json":
        return written(value)
    if isinstance(value, bool):
        return value if type == "boolean" else written(value) if type == "text" else None
    if type == "boolean" or not isinstance(value, str):
        return None
    if type == "text":
        return str(value)
    if not NUMBER.fullmatch(value):
        return None
    return whole(value) if type == "integer" else finite(value)


def finite(number: str) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None


def whole(number: str) -> int | None:
    """A whole number, also one that is written as a float, of which those up to 2^53 are exact."""
    if re.fullmatch(r"[+-]?[0-9]+", number) and -(2**63) <= int(number) < 2**63:
        return int(number)
    value = float(number)
    return int(value) if abs(value) <= 2**53 and value == math.floor(value) else None


def written(value: Any) -> str:
    """The JSON text of a value, without spaces."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{written(name)}:{written(member)}" for name, member in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
