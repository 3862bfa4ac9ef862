"""Jitter coefficient: σ / μ of a stream's frame rate over a window, the population standard deviation over the mean.

A steady stream is near 0; the target is at most 0.1. Mean and deviation are kept by Welford's method (Note on a method
for calculating corrected sums of squares and products, Technometrics 4, 1962), which does not lose digits where the
mean is large and the deviation small; two windows are merged by the formula of Chan, Golub and LeVeque (Updating
formulae and a pairwise algorithm for computing sample variances, 1979).

A status without a frame rate is no sample; a frame rate of zero is one, and counted.
"""

from dataclasses import dataclass
from math import sqrt

from tidemark_metric import CloseReason, Context, Fold, LatestText, Rows, at, metric, tumbling, u64


@dataclass(slots=True)
class Status:
    """What a status says of the stream."""

    fps: float | None = at("data.inference_status.fps")
    orchestrator: str | None = at("data.orchestrator_info.address")
    pipeline: str | None = at("data.pipeline")


@dataclass(slots=True)
class FrameRates:
    """The frame rates of a window so far."""

    samples: u64
    zero_samples: u64
    mean: float
    squares: float
    """Sum of the squared distances from the mean."""
    orchestrator: LatestText
    pipeline: LatestText

    def add(self, fps: float) -> None:
        """Welford's step."""
        self.samples += 1
        self.zero_samples += fps == 0
        distance = fps - self.mean
        self.mean += distance / self.samples
        self.squares += distance * (fps - self.mean)

    def merge(self, other: "FrameRates") -> None:
        """Chan's step. An empty side changes nothing, not even a rounding."""
        self.orchestrator.merge(other.orchestrator)
        self.pipeline.merge(other.pipeline)
        own, others = float(self.samples), float(other.samples)
        distance = other.mean - self.mean
        if not self.samples:
            self.mean, self.squares = other.mean, other.squares
        elif other.samples:
            self.mean += distance * others / (own + others)
            self.squares = self.squares + other.squares + distance * distance * own * others / (own + others)
        self.samples += other.samples
        self.zero_samples += other.zero_samples

    def jitter(self) -> float | None:
        if self.samples < 2 or self.mean == 0:
            return None
        return sqrt(self.squares / self.samples) / self.mean


@dataclass(slots=True)
class Jitter:
    """The evenness of a window."""

    samples: int
    """Statuses with a frame rate."""
    zero_samples: int
    """Those of them with a frame rate of zero."""
    mean_fps: float | None
    """Null without samples."""
    jitter: float | None
    """Null for fewer than two samples and for a mean of zero."""
    orchestrator: str | None
    """The last one of the window."""
    pipeline: str | None
    """The last one of the window."""


@metric(
    name="jitter-coefficient",
    version="1.0.0",
    key="data.stream_id",
    filter={"type": "ai_stream_status"},
    window=tumbling("60s"),
)
class JitterCoefficient(Fold[Status, FrameRates, Jitter]):
    """The standard deviation of a stream's frame rate over its mean, each minute."""

    def update(self, rates: FrameRates, rows: Rows[Status], context: Context[Jitter]) -> None:
        for event_time_ms, status in rows:
            rates.orchestrator.offer(event_time_ms, status.orchestrator)
            rates.pipeline.offer(event_time_ms, status.pipeline)
            if status.fps is not None:
                rates.add(status.fps)

    def close(self, rates: FrameRates, reason: CloseReason, context: Context[Jitter]) -> None:
        context.emit(
            Jitter(
                samples=rates.samples,
                zero_samples=rates.zero_samples,
                mean_fps=rates.mean if rates.samples else None,
                jitter=rates.jitter(),
                orchestrator=rates.orchestrator.get(),
                pipeline=rates.pipeline.get(),
            )
        )

    def merge(self, rates: FrameRates, later: FrameRates) -> None:
        rates.merge(later)
