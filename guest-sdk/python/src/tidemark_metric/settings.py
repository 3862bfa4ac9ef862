"""Settings: the fields of a metric's class, read from the configuration, with their JSON schema."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from typing import Any

from tidemark_metric.failure import Failure
from tidemark_metric.types import Mistakes, describe_type, hints, without_none

SCALARS = {bool: "boolean", int: "integer", float: "number", str: "string"}


def setting(*, default: Any = dataclasses.MISSING, doc: str = "") -> Any:
    """A setting with a description, for the field of a metric's class: `limit_ms: int = setting(default=500, doc="…")`.
    One without a default has to be configured."""
    return dataclasses.field(default=default, metadata={"doc": doc})


def check_settings(cls: type, mistakes: Mistakes) -> None:
    """Finds settings of types that there are not."""
    for name, hint in hints(cls).items():
        hint = without_none(hint)[0]
        if dataclasses.is_dataclass(hint):
            check_settings(hint, mistakes)
        elif hint not in SCALARS and not (typing.get_origin(hint) is list and typing.get_args(hint)[0] in SCALARS):
            mistakes.add(
                f"{cls.__name__}.{name} is {describe_type(hint)}, but a setting is bool, int, float, str, a list of "
                "them or a dataclass, perhaps `| None`"
            )


def schema_of(cls: type) -> dict[str, Any] | None:
    """The JSON schema of the settings; `None` where there are none."""
    properties, required = {}, []
    for field in dataclasses.fields(cls):
        schema = hint_schema(hints(cls)[field.name])
        if field.metadata.get("doc"):
            schema["description"] = field.metadata["doc"]
        default, has_default = default_of(field)
        if has_default:
            schema["default"] = dataclasses.asdict(default) if dataclasses.is_dataclass(default) else default
        elif not without_none(hints(cls)[field.name])[1]:
            required.append(field.name)
        properties[field.name] = schema
    if not properties:
        return None
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def default_of(field: dataclasses.Field[Any]) -> tuple[Any, bool]:
    if field.default is not dataclasses.MISSING:
        return field.default, True
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory(), True
    return None, False


def hint_schema(hint: Any) -> dict[str, Any]:
    inner, optional = without_none(hint)
    if optional:
        return {"anyOf": [hint_schema(inner), {"type": "null"}]}
    if dataclasses.is_dataclass(inner):
        return schema_of(inner) or {"type": "object", "additionalProperties": False}
    if typing.get_origin(inner) is list:
        return {"type": "array", "items": hint_schema(typing.get_args(inner)[0])}
    return {"type": SCALARS[inner]}


def configured(cls: type, document: str) -> Any:
    """A metric with the settings in a document. Nothing, `null` and `{}` are the same."""
    try:
        # Python reads NaN and Infinity, which JSON does not have.
        given = json.loads(document, parse_constant=lambda name: math.nan) if document.strip() else None
    except (ValueError, RecursionError) as error:
        raise Failure(str(error)) from None
    metric = read_struct(cls, {} if given is None else given)
    if hasattr(metric, "validate"):
        metric.validate()
    return metric


def read_struct(cls: type, given: Any) -> Any:
    if not isinstance(given, dict):
        raise Failure(f"{as_json(given)} is not an object")
    names = [field.name for field in dataclasses.fields(cls)]
    for name in given:
        if name not in names:
            raise Failure(f"there is no setting {name}; there are {', '.join(names) if names else 'none'}")
    values = {}
    for field in dataclasses.fields(cls):
        hint = hints(cls)[field.name]
        if field.name in given:
            try:
                values[field.name] = read_value(hint, given[field.name])
            except Failure as failure:
                raise Failure(f"{field.name}: {failure}") from None
        elif not default_of(field)[1]:
            if not without_none(hint)[1]:
                raise Failure(f"{field.name} is missing")
            values[field.name] = None
    return cls(**values)


def read_value(hint: Any, given: Any) -> Any:
    inner, optional = without_none(hint)
    if optional and given is None:
        return None
    if dataclasses.is_dataclass(inner):
        return read_struct(inner, given)
    if typing.get_origin(inner) is list:
        if not isinstance(given, list):
            raise Failure(f"{as_json(given)} is not an array")
        return [read_item(typing.get_args(inner)[0], index, item) for index, item in enumerate(given)]
    if inner is bool and isinstance(given, bool):
        return given
    if inner is int and type(given) is int and -(2**63) <= given < 2**63:
        return given
    if inner is float and type(given) in (int, float) and math.isfinite(given):
        return float(given)
    if inner is str and isinstance(given, str):
        return given
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    raise Failure(f"{as_json(given)} is not {names[inner]}")


def read_item(hint: Any, index: int, item: Any) -> Any:
    try:
        return read_value(hint, item)
    except Failure as failure:
        raise Failure(f"item {index}: {failure}") from None


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
