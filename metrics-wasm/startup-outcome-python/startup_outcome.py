"""Startup outcome: what became of a request for a stream. The first rule that holds decides:

1. `success`: a few processed segments came (`gateway_receive_few_processed_segments`), whatever happened later.
2. `no-orchestrator`: nobody took the request (`gateway_no_orchestrators_available`).
3. `excused`: an error message contains, ignoring case, one of `EXCUSES`: the user or the ingest went away.
4. `failed`.

Rules and phrases are those of the network's own analytics. A session is what is known of one request, until two minutes
pass without any event of it; a session without the request itself is no row. The orchestrator is the first one that the
session names.

This is ../startup-outcome in Python: the same rows, and the same bytes of state.
"""

from dataclasses import dataclass

from tidemark_metric import CloseReason, Context, EarliestText, Fold, Rows, at, metric, session

EXCUSES = (
    "no orchestrators available",
    "mediamtx ingest disconnected",
    "whip disconnected",
    "missing video",
    "ice connection state failed",
    "user disconnected",
)
"""What excuses an orchestrator, in lower case."""

LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
"""Letters of ASCII alone: what other letters become differs from one version of Unicode to the next."""


@dataclass(slots=True)
class Signal:
    """A trace, an error or a status of the session."""

    event_type: str | None = at("type")
    kind: str | None = at("data.type")
    message: str | None = at("data.message")
    state: str | None = at("data.state")
    fps: float | None = at("data.inference_status.fps")
    stream_id: str | None = at("data.stream_id")
    orchestrator: str | None = at("data.orchestrator_info.address")


@dataclass(slots=True)
class Session:
    """What is known of a session."""

    requested: bool
    playable: bool
    refused: bool
    errors: int
    excusable_errors: int
    swaps: int
    statuses: int
    loaded: bool
    """A status was past LOADING."""
    frames: bool
    """A status had a frame rate above zero."""
    stream_id: EarliestText
    orchestrator: EarliestText

    def add(self, signal: Signal) -> None:
        """Adds an event; foreign ones change nothing."""
        if signal.event_type == "ai_stream_status":
            self.statuses += 1
            self.loaded |= signal.state != "LOADING"
            self.frames |= signal.fps is not None and signal.fps > 0
        elif signal.event_type == "ai_stream_events" and signal.kind == "error":
            self.errors += 1
            self.excusable_errors += excuses(signal.message or "")
        elif signal.kind == "gateway_receive_stream_request":
            self.requested = True
        elif signal.kind == "gateway_receive_few_processed_segments":
            self.playable = True
        elif signal.kind == "gateway_no_orchestrators_available":
            self.refused = True
        elif signal.kind == "orchestrator_swap":
            self.swaps += 1

    def outcome(self) -> str:
        if self.playable:
            return "success"
        if self.refused:
            return "no-orchestrator"
        return "excused" if self.excusable_errors else "failed"


@dataclass(slots=True)
class Outcome:
    """One request."""

    request_id: str
    """Which request."""
    stream_id: str | None
    """Its stream."""
    orchestrator: str | None
    """Who took it first."""
    outcome: str
    """`success`, `no-orchestrator`, `excused` or `failed`."""
    errors: int
    """Errors."""
    excusable_errors: int
    """Those of them that contain one of `EXCUSES`."""
    swaps: int
    """How often the orchestrator was swapped."""
    loading_only: bool | None
    """Whether all statuses said LOADING; null without a status."""
    zero_fps: bool | None
    """Whether no status had a frame rate above zero; null without a status."""


@metric(
    name="startup-outcome",
    version="1.0.0",
    key="data.request_id",
    filter={"type": ["stream_trace", "ai_stream_events", "ai_stream_status"]},
    window=session("2m"),
)
class StartupOutcome(Fold[Signal, Session, Outcome]):
    """What became of a request for a stream: success, no-orchestrator, excused or failed."""

    def update(self, session: Session, signals: Rows[Signal], context: Context[Outcome]) -> None:
        for event_time_ms, signal in signals:
            session.add(signal)
            session.stream_id.offer(event_time_ms, signal.stream_id)
            session.orchestrator.offer(event_time_ms, signal.orchestrator)

    def close(self, session: Session, reason: CloseReason, context: Context[Outcome]) -> None:
        if not session.requested:
            return
        has_status = session.statuses > 0
        context.emit(
            Outcome(
                request_id=context.key,
                stream_id=session.stream_id.get(),
                orchestrator=session.orchestrator.get(),
                outcome=session.outcome(),
                errors=session.errors,
                excusable_errors=session.excusable_errors,
                swaps=session.swaps,
                loading_only=not session.loaded if has_status else None,
                zero_fps=not session.frames if has_status else None,
            )
        )

    def merge(self, session: Session, later: Session) -> None:
        session.requested |= later.requested
        session.playable |= later.playable
        session.refused |= later.refused
        session.errors += later.errors
        session.excusable_errors += later.excusable_errors
        session.swaps += later.swaps
        session.statuses += later.statuses
        session.loaded |= later.loaded
        session.frames |= later.frames
        session.stream_id.merge(later.stream_id)
        session.orchestrator.merge(later.orchestrator)


def excuses(message: str) -> bool:
    """Whether a message contains one of `EXCUSES`."""
    message = message.translate(LOWER)
    return any(excuse in message for excuse in EXCUSES)
