"""Small metrics for the tests of the SDK itself."""

from dataclasses import dataclass

from tidemark_metric import (
    ABSENT,
    PRESENT,
    CloseReason,
    Context,
    Failure,
    Fold,
    Join,
    Json,
    Rows,
    at,
    decode_state,
    interval_join,
    metric,
    setting,
    sliding,
    tumbling,
)


@dataclass
class Number:
    n: int | None = at("data.n")


@dataclass
class Seen:
    numbers: list[int]


@dataclass
class Joined:
    numbers: str
    reason: str


@metric(name="numbers", version="1.0.0", key="data.k", window=tumbling("10ms"))
class Numbers(Fold[Number, Seen, Joined]):
    """The numbers of a key, joined."""

    def update(self, seen: Seen, rows: Rows[Number], context: Context[Joined]) -> None:
        for _, row in rows:
            if row.n is None:
                raise Failure("no number")
            # In key windows, numbers over 100 are timers, and 0 forgets.
            if row.n >= 100:
                context.timer_at(row.n)
            elif row.n == 0:
                context.forget()
            else:
                seen.numbers.append(row.n)

    def close(self, seen: Seen, reason: CloseReason, context: Context[Joined]) -> None:
        words = {CloseReason.WINDOW_END: "end", CloseReason.TIMER: "timer", CloseReason.EXPIRED: "expired"}
        context.emit(Joined(" ".join(map(str, seen.numbers)), words[reason]))

    def merge(self, seen: Seen, later: Seen) -> None:
        seen.numbers += later.numbers


@dataclass
class Thing:
    value: float | None = at("data.value")
    tags: Json | None = at("data.tags")


@dataclass
class Sum:
    sum: float
    tags: str


@dataclass
class OldSum:
    sum: int


@dataclass
class Total:
    sum: float
    tags: Json | None


@metric(
    name="sums",
    version="0.1.0",
    key="data.thing",
    filter={"type": ["a", "b"], "data.on": PRESENT, "data.off": ABSENT},
    window=sliding("5m", every="1m", offset="10s"),
    state_version=3,
)
class Sums(Fold[Thing, Sum, Total]):
    """Sums of a thing. The rest of the comment
    goes on here.

    A second paragraph is not part of the description.
    """

    plus: float = setting(default=0.5, doc="Added to each value.")
    names: list[str] | None = None

    def update(self, sum: Sum, rows: Rows[Thing], context: Context[Total]) -> None:
        for event_time_ms, row in rows:
            if row.value is None:
                context.emit(Total(-1.0, None))
                raise Failure(f"{context.key} has no value at {event_time_ms}")
            sum.sum += row.value + self.plus
            sum.tags = row.tags or sum.tags

    def close(self, sum: Sum, reason: CloseReason, context: Context[Total]) -> None:
        context.emit(Total(sum.sum, sum.tags or None))

    def merge(self, sum: Sum, later: Sum) -> None:
        sum.sum += later.sum
        sum.tags = later.tags

    def migrate(self, state: bytes, version: int) -> Sum:
        if version != 2:
            raise Failure("only version 2 is known")
        return Sum(float(decode_state(OldSum, state).sum), "")


@dataclass
class Pair:
    left: int | None
    right: int | None


@metric(
    name="pairs",
    version="1.0.0",
    key="data.k",
    window=interval_join(left={"type": "l"}, right={"type": "r"}, lower="-1ms", upper="1ms"),
)
class Pairs(Join[Number, Number, Pair]):
    """Pairs of times."""

    def matched(self, left: Number, right: Number, context: Context[Pair]) -> None:
        context.emit(Pair(left.n, right.n))

    def unmatched_left(self, left: Number, context: Context[Pair]) -> None:
        context.emit(Pair(left.n, None))

    def unmatched_right(self, right: Number, context: Context[Pair]) -> None:
        context.emit(Pair(None, right.n))
