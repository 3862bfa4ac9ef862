"""What a metric remembers of a group between calls, and how it becomes bytes: the encoding of `wit/state.md`, the same
in every language. How the bytes of each type are made is in `encoding`."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from typing import Any, TypeVar

from tidemark_metric.encoding import Writer
from tidemark_metric.failure import Malformed
from tidemark_metric.types import Mistakes, describe_type

State = TypeVar("State")


class Codec:
    """Writes and reads states of one type."""

    def __init__(self, hint: Any, mistakes: Mistakes) -> None:
        writer = Writer(mistakes)
        if hint in (None, type(None)):
            self.is_empty = True
            self.zero, self._encode, self._decode = (
                (lambda: None),
                (lambda value, out: None),
                (lambda data, at: (None, at)),
            )
            return
        if not dataclasses.is_dataclass(hint):
            mistakes.add(f"the state {describe_type(hint)} must be a dataclass, or None where there is none")
            return
        self._encode, self._decode, zero = writer.of_struct(hint, hint.__name__)
        self.zero: Callable[[], Any] = writer.compiled_zero(zero)
        self.is_empty = not dataclasses.fields(hint)

    def encode(self, state: Any) -> bytes:
        """The bytes of a state. The error says which field holds what it cannot."""
        out = bytearray()
        self._encode(state, out)
        return bytes(out)

    def decode(self, data: bytes) -> Any:
        """The state in the bytes: the default for none, otherwise all of them are read."""
        if not data:
            return self.zero()
        try:
            state, at = self._decode(data, 0)
        except (struct.error, IndexError, UnicodeDecodeError):
            raise Malformed from None
        if at != len(data):
            raise Malformed
        return state


def codec_of(state: type) -> Codec:
    """The codec of a dataclass, by itself."""
    mistakes = Mistakes(state.__name__)
    codec = Codec(state, mistakes)
    mistakes.raise_any()
    return codec


def encode_state(state: Any) -> bytes:
    """The bytes of a state."""
    return codec_of(type(state)).encode(state)


def decode_state(state: type[State], data: bytes) -> State:
    """The state in the bytes, such as one that an older version wrote: for `migrate`."""
    try:
        return codec_of(state).decode(data)
    except Malformed:
        raise ValueError("the bytes are not a state of this type") from None


def empty_state(state: type[State]) -> State:
    """The state with which every group begins: what the fields have as defaults, else zero, empty, false or `None`."""
    return codec_of(state).zero()
