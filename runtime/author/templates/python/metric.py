"""Requests of a service that took too long, each minute."""

from dataclasses import dataclass

from tidemark_metric import PRESENT, CloseReason, Context, Fold, Rows, at, metric, setting, tumbling


@dataclass(slots=True)
class Request:
    duration_ms: int | None = at("data.duration_ms")
    path: str | None = at("data.path")


@dataclass(slots=True)
class Minute:
    """The requests of a minute so far."""

    requests: int
    slow: int
    slowest_ms: int
    slowest_path: str | None


@dataclass(slots=True)
class Slow:
    requests: int
    slow: int
    slowest_path: str | None


@metric(
    name="{{name}}",
    version="0.1.0",
    key="data.service",
    filter={"type": "request", "data.user": PRESENT},
    window=tumbling("1m"),
)
class SlowRequests(Fold[Request, Minute, Slow]):
    """Requests of a service that took too long, each minute."""

    limit_ms: int = setting(default=500, doc="Milliseconds from which a request is slow.")

    def update(self, minute: Minute, requests: Rows[Request], context: Context[Slow]) -> None:
        for event_time_ms, request in requests:
            duration_ms = request.duration_ms or 0
            minute.requests += 1
            minute.slow += duration_ms > self.limit_ms
            if duration_ms > minute.slowest_ms:
                minute.slowest_ms, minute.slowest_path = duration_ms, request.path

    def close(self, minute: Minute, reason: CloseReason, context: Context[Slow]) -> None:
        context.emit(Slow(minute.requests, minute.slow, minute.slowest_path))
