"""What the gateway's endpoints share: the lock, the state, the worker's socket, and the slots.

Refuses more requests at once than the lock allows.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace

from starlette.requests import Request

from mealkit.errors import MealkitError, Problem, failure, failures
from mealkit.kit.units import parse_size
from mealkit.lock.model import Lock
from mealkit.runtime.api.offer import Offer
from mealkit.runtime.api.usage import Usage
from mealkit.runtime.body import read_body
from mealkit.runtime.journal import Journal
from mealkit.runtime.metrics import Metrics
from mealkit.runtime.settings import Settings
from mealkit.runtime.state import Lifecycle, Snapshot, Status
from mealkit.runtime.upstream import Upstream

# How long news of a process's end may take, after its connections have ended.
_NEWS_SECONDS = 0.5


@dataclass(slots=True)
class Service:
    """One kit being served."""

    lock: Lock
    settings: Settings
    lifecycle: Lifecycle
    upstream: Upstream
    metrics: Metrics
    journal: Journal
    recipe: str = field(init=False)
    """The recipe digest, computed once."""
    max_body_bytes: int = field(init=False)
    offer: Offer = field(init=False)
    """What the kit offers its callers."""
    running: int = 0
    """How many requests the engine works on."""
    _open: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while no request is being read, worked on or answered."""
    off: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the kit is not ready."""

    def __post_init__(self) -> None:
        self.recipe = str(self.lock.recipe)
        self.offer = Offer.of(self.lock)
        self.max_body_bytes = parse_size(self.lock.serving.max_body)
        self.idle.set()
        self.off.set()
        self.lifecycle.listeners.append(self._note_move)

    def require_ready(self) -> None:
        """Refuse a request while the kit cannot answer it.

        Raises:
            EngineError: ``NOT_READY`` or ``DRAINING``.
        """
        status = self.lifecycle.status
        if status is Status.READY:
            return
        if status is Status.DRAINING:
            raise failure("DRAINING", "the kit is shutting down")
        raise failure("NOT_READY", f"the kit is {status}: {self.lifecycle.snapshot().reason}")

    def authenticate(self, request: Request) -> None:
        """Find out who asks, before anything of the request is read."""

    @asynccontextmanager
    async def receive(self, request: Request) -> AsyncIterator[bytes]:
        """Read a request's body, and hold the memory that it takes until it is not needed.

        Raises:
            RequestError: ``REQUEST_TOO_LARGE``.
            ClientDisconnect: the caller went away while sending.
        """
        yield await read_body(request, self.max_body_bytes)

    @asynccontextmanager
    async def admit(self, request: Request) -> AsyncIterator[None]:  # noqa: ARG002  a turn is a caller's
        """Hold the engine for a request from its turn to the end of its answer.

        Raises:
            RequestError: ``REQUEST_BUSY``, there is no room.
        """
        with self.slot():
            yield

    def note_use(
        self,
        operation: str,  # noqa: ARG002  metrics tell operations apart
        usage: Usage,
        seconds: float,  # noqa: ARG002
        first_seconds: float | None,  # noqa: ARG002
    ) -> None:
        """Count an answer of the engine: its tokens, its seconds, and those to its first piece."""
        self.metrics.used(usage.total_tokens)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the lock's ``max_concurrency`` slots.

        Raises:
            RequestError: ``REQUEST_BUSY``, none is free.
        """
        limit = self.lock.serving.max_concurrency
        if self.running >= limit:
            raise failure(
                "REQUEST_BUSY", f"{self.running} requests are running, the limit is {limit}"
            )
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    async def explain_loss(self, error: Exception) -> MealkitError:
        """Say why the worker did not answer, after the moment that news of its end may take.

        Only then is the caller answered: whoever asks next finds the kit not ready.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_NEWS_SECONDS):
                await self.off.wait()
        if self.lifecycle.status is Status.DRAINING:
            return failure("DRAINING", "the kit was stopped before the answer was there")
        known = self.lifecycle.snapshot().problem
        if known is None:
            return failure("ENGINE_DIED", f"there is no answer: {error}")
        reason = known.message.splitlines()[0]
        return failures([replace(known, message=f"there is no answer: {reason}")])

    @contextmanager
    def open_request(self) -> Iterator[None]:
        """Hold the process open until a request has been answered."""
        self._open += 1
        self.idle.clear()
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self.idle.set()

    def contact(self, problem: Problem) -> dict[str, str] | None:
        """Return the kit's contact, if its author owns the problem."""
        if problem.owner.value != "kit-author":
            return None
        return self.lock.about.owner.model_dump(mode="json")

    def explain(self, error: MealkitError) -> Problem:
        """Count an error's first problem, and return it."""
        self.metrics.failed(error.problems[0])
        return error.problems[0]

    def _note_move(self, snapshot: Snapshot) -> None:
        if snapshot.status is Status.READY:
            self.off.clear()
        else:
            self.off.set()

    def _count(self, step: int) -> None:
        self.running += step
        self.metrics.running(self.running)
