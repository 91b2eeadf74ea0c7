"""What the gateway's endpoints share: the lock, the state, the worker's socket, and the slots.

Refuses more requests at once than the lock allows.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mealkit.errors import MealkitError, Problem, failure
from mealkit.kit.units import parse_size
from mealkit.lock.model import Lock
from mealkit.runtime.journal import Journal
from mealkit.runtime.metrics import Metrics
from mealkit.runtime.settings import Settings
from mealkit.runtime.state import Lifecycle, Status
from mealkit.runtime.upstream import Upstream


@dataclass(slots=True)
class Service:
    """One kit being served."""

    lock: Lock
    settings: Settings
    lifecycle: Lifecycle
    upstream: Upstream
    metrics: Metrics
    journal: Journal
    recipe: str = ""
    """The recipe digest, computed once."""
    max_body_bytes: int = 0
    dimensions: int | None = None
    """How long the model's vectors are, once the first one was seen."""
    running: int = 0
    """How many requests the engine works on."""
    _open: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while no request is being read, worked on or answered."""

    def __post_init__(self) -> None:
        self.recipe = str(self.lock.recipe)
        self.max_body_bytes = parse_size(self.lock.serving.max_body)
        self.idle.set()

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

    def _count(self, step: int) -> None:
        self.running += step
        self.metrics.running(self.running)
