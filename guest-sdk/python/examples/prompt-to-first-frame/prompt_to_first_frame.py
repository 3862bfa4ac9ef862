"""Prompt to first frame: how long a user waits from the request of a stream to its first processed segment.

`t(gateway_receive_first_processed_segment) - t(gateway_receive_stream_request)`, joined by request. The bounds are
those of the network's own analytics: -10 s, because events of one request overtake each other, to +60 s. After a swap
of the orchestrator the first segment repeats under the same request: the first one counts. A request that no segment
follows is a row too, without latency; so is one whose segment seems to come before it, which no user saw."""

from dataclasses import dataclass

from tidemark_metric import Context, Join, at, interval_join, metric


@dataclass(slots=True)
class Request:
    """The gateway received a request: the left side."""

    stream_id: str | None = at("data.stream_id")
    gateway: str | None = at("gateway")


@dataclass(slots=True)
class FirstSegment:
    """The gateway received the first processed segment: the right side."""

    timestamp_ms: int | None = at("data.timestamp")
    envelope_timestamp_ms: int | None = at("timestamp")
    orchestrator: str | None = at("data.orchestrator_info.address")

    def time_ms(self) -> int | None:
        """When it came. A pair has only one event time, that of its later side, and here the segment may be the
        earlier."""
        return self.envelope_timestamp_ms if self.timestamp_ms is None else self.timestamp_ms


@dataclass(slots=True)
class Latency:
    """One request."""

    request_id: str
    """Which request."""
    stream_id: str | None
    """Its stream."""
    gateway: str | None
    """The gateway that received it."""
    orchestrator: str | None = None
    """Who sent the first segment; null for a request without one."""
    latency_ms: int | None = None
    """Null for a request without a segment, and where the difference is negative."""
    matched: bool = False
    """Whether a segment followed."""


@metric(
    name="prompt-to-first-frame",
    version="1.0.0",
    key="data.request_id",
    filter={"type": "stream_trace"},
    window=interval_join(
        left={"data.type": "gateway_receive_stream_request"},
        right={"data.type": "gateway_receive_first_processed_segment"},
        lower="-10s",
        upper="60s",
        take_first=True,
    ),
)
class PromptToFirstFrame(Join[Request, FirstSegment, Latency]):
    """Milliseconds from the request of a stream to its first processed segment."""

    def matched(self, request: Request, segment: FirstSegment, context: Context[Latency]) -> None:
        row = without_segment(request, context)
        row.orchestrator, row.matched = segment.orchestrator or None, True
        time_ms = segment.time_ms()
        if time_ms is not None and time_ms >= context.window_start_ms:
            row.latency_ms = time_ms - context.window_start_ms
        context.emit(row)

    def unmatched_left(self, request: Request, context: Context[Latency]) -> None:
        context.emit(without_segment(request, context))


def without_segment(request: Request, context: Context[Latency]) -> Latency:
    return Latency(context.key, request.stream_id or None, request.gateway or None)
