"""Write a Tidemark metric in Python: typed input, state and output, and code for one key and one window.

    from dataclasses import dataclass
    from tidemark_metric import CloseReason, Context, Fold, Rows, at, metric, tumbling

    @dataclass
    class Upload:
        bytes: int | None = at("data.bytes")

    @dataclass
    class Sum:
        bytes: int

    @dataclass
    class Total:
        bytes: int

    @metric(name="client-bytes", version="1.0.0", key="data.client", filter={"type": "upload"}, window=tumbling("1m"))
    class ClientBytes(Fold[Upload, Sum, Total]):
        '''Bytes that a client sent in a minute.'''

        def update(self, sum: Sum, uploads: Rows[Upload], context: Context[Total]) -> None:
            for _, upload in uploads:
                sum.bytes += upload.bytes or 0

        def close(self, sum: Sum, reason: CloseReason, context: Context[Total]) -> None:
            context.emit(Total(sum.bytes))

`tidemark_metric.testing` drives it in tests, `python -m tidemark_metric build` makes a component of it.
"""

from tidemark_metric.columns import at
from tidemark_metric.context import Context
from tidemark_metric.contract import CloseReason
from tidemark_metric.facts import (
    ABSENT,
    PRESENT,
    interval_join,
    per_key,
    session,
    sliding,
    tumbling,
)
from tidemark_metric.failure import Failure
from tidemark_metric.metric import Fold, Join, Rows, metric
from tidemark_metric.pick import EarliestText, LatestText, earliest
from tidemark_metric.settings import setting
from tidemark_metric.state import decode_state, empty_state, encode_state
from tidemark_metric.types import Json, Mistakes, i8, i16, i32, i64, u8, u16, u32, u64
from tidemark_metric.version import VERSION

__version__ = VERSION

__all__ = [
    "ABSENT",
    "PRESENT",
    "CloseReason",
    "Context",
    "EarliestText",
    "Failure",
    "Fold",
    "Join",
    "Json",
    "LatestText",
    "Mistakes",
    "Rows",
    "at",
    "decode_state",
    "earliest",
    "empty_state",
    "encode_state",
    "i16",
    "i32",
    "i64",
    "i8",
    "interval_join",
    "metric",
    "per_key",
    "session",
    "setting",
    "sliding",
    "tumbling",
    "u16",
    "u32",
    "u64",
    "u8",
]
