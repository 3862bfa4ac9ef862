"""What a metric answers when it cannot handle a group."""

from __future__ import annotations

from types import TracebackType


class Failure(Exception):
    """Why one group failed, for a person. The host keeps the group's state as it was and puts its rows aside as a dead
    letter with this message; no other group is affected. Any other exception does the same, with its place."""


class Malformed(Failure):
    """The bytes of a state are not an encoding of its type."""

    def __init__(self) -> None:
        super().__init__("the state was not written by this state version")


def message_of(error: Exception) -> str:
    """A failure's own words; of any other exception what and where it was."""
    if isinstance(error, Failure):
        return plain(str(error))
    return plain(f"{type(error).__name__}: {error}{place_of(error.__traceback__)}")


def place_of(traceback: TracebackType | None) -> str:
    """The last place in the author's code, not in that of the SDK. The standard library's would look for the source,
    and in a component there are no files."""
    place = ""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if "tidemark_metric" not in file and not file.startswith("<"):
            place = f" ({file.rsplit('/', 1)[-1]}, line {traceback.tb_lineno})"
        traceback = traceback.tb_next
    return place


def plain(message: str) -> str:
    """The message without what UTF-8 cannot hold."""
    return message.encode(errors="replace").decode()
