"""One request and its answer, as what watches them sees them: audit log, budgets, traces, metrics.

The middleware makes an exchange for each request; the endpoint fills it in while it answers. A
watcher is asked before the engine gets a request, and told when its answer has ended.
"""

from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from mealkit.errors import Problem
from mealkit.runtime.api.endpoint import Asked, Endpoint
from mealkit.runtime.api.usage import TokenUsage


class Outcome(StrEnum):
    """How an exchange ended."""

    ANSWERED = "answered"
    """The caller got a whole answer."""
    REFUSED = "refused"
    """The engine never got the request."""
    FAILED = "failed"
    """The engine, or the gateway, did not finish the answer."""
    CUT = "cut"
    """The caller disconnected before the end of the answer."""


@dataclass(slots=True)
class Trace:
    """The trace of one exchange (W3C Trace Context)."""

    trace_id: str
    """The trace's id: 32 hex digits."""
    is_sampled: bool
    """Whether the trace is recorded."""
    engine_headers: bytes
    """The headers of the request to the engine, with their line ends."""


class BodyTap(Protocol):
    """What sees the bodies of one exchange."""

    def took(self, body: bytes) -> None:
        """Take the caller's body, unpacked, once it was read; for a large one from a thread."""

    def sent(self, piece: bytes) -> None:
        """Take a piece of the answer's body, just before it is sent."""


@dataclass(slots=True)
class Exchange:
    """The facts of one request and its answer; those that are not known yet have their defaults."""

    request_id: str
    method: str
    path: str
    """The path as the caller wrote it; any text."""
    began_unix_seconds: float
    """The wall clock's time at the beginning."""
    began_seconds: float
    """The time at the beginning, by ``time.perf_counter``, as all others here."""
    endpoint: Endpoint | None = None
    """The endpoint, if the request is for the engine."""
    caller: str = ""
    """The name of the caller's key; empty if callers need no key."""
    asked: Asked | None = None
    """The request to the engine, once the caller's was read."""
    request_bytes: int = 0
    """The size of the caller's body."""
    queued_seconds: float | None = None
    """When the request began to wait for the engine."""
    admitted_seconds: float | None = None
    """When the request left the queue."""
    reached_seconds: float | None = None
    """When the engine got the request; None: never."""
    first_seconds: float | None = None
    """When the first piece of a stream arrived."""
    share_nanoseconds: int = 0
    """The request's share of the engine's time: an n-th of it while n requests are there."""
    ended_seconds: float | None = None
    """When the last byte was handed to the connection."""
    usage: TokenUsage | None = None
    """The tokens, if the engine counted them; a stream that was cut has none."""
    streamed_events: int = 0
    """How many events of a stream the caller got: about the tokens of an answer that was cut."""
    answer_bytes: int = 0
    """The size of the answer's body."""
    status: int = 0
    """The HTTP status; 499 if the caller left before one was sent."""
    outcome: Outcome = Outcome.REFUSED
    problem: Problem | None = None
    """What went wrong."""
    trace: Trace | None = None
    """The trace that the request is a part of, if requests are traced."""
    tap: BodyTap | None = None
    """What sees the bodies, if something has to."""
    cost: str = ""
    """What was booked for it, in the currency of ``ops.cost``; empty without prices."""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Further headers of the answer, if they are there before it begins."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Further fields of the request's line in the log."""

    def sent(self, piece: bytes) -> None:
        """Count a piece of the answer's body, just before it is sent."""
        self.answer_bytes += len(piece)
        if self.tap:
            self.tap.sent(piece)


class ExchangeWatcher(Protocol):
    """What watches the exchanges of a kit."""

    async def admit(self, exchange: Exchange) -> None:
        """Look at a request that was read and checked, before it waits for the engine.

        Raises:
            MealkitError: the request is refused.
        """

    def ended(self, exchange: Exchange) -> None:
        """Record an exchange after its last byte, whatever its outcome; neither raise nor block."""


EXCHANGE: ContextVar[Exchange] = ContextVar("exchange")
"""The exchange that the current task answers."""


# OpenMetrics allows 128 characters for the names and values of an exemplar's labels together.
_EXEMPLAR_ID_CHARACTERS = 64


def exemplar_of(exchange: Exchange) -> dict[str, str]:
    """Return the labels that name an exchange beside a metric: its id, and its trace.

    https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md#exemplars
    """
    labels = {"request_id": exchange.request_id[:_EXEMPLAR_ID_CHARACTERS]}
    if exchange.trace:
        labels["trace_id"] = exchange.trace.trace_id
    return labels
