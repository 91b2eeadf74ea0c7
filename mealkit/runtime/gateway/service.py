"""What the gateway's endpoints share: the lock, the state, the worker's socket, keys and limits.

Refuses callers without a key where keys are needed, others' web pages where none are, and more
requests at once than the lock allows.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from mealkit.errors import MealkitError, Problem, failure, failures
from mealkit.recipe.lock import Lock
from mealkit.recipe.traits import EngineTraits
from mealkit.runtime.api.endpoint import Asked, Endpoint
from mealkit.runtime.api.named_prompt import fills_many
from mealkit.runtime.api.reading import read_object
from mealkit.runtime.api.served_model import ServedModel
from mealkit.runtime.api.usage import TokenUsage
from mealkit.runtime.claims import Claims
from mealkit.runtime.engine_traits import traits_of
from mealkit.runtime.gateway.browsers import Browsers
from mealkit.runtime.gateway.keys import Keys, take_secrets
from mealkit.runtime.gateway.limits import FairQueue, Held, HeldBytes
from mealkit.runtime.gateway.request_body import read_body
from mealkit.runtime.settings import Settings
from mealkit.runtime.state import Lifecycle, Snapshot, Status
from mealkit.runtime.urls import (
    DOCS_PATH,
    LIVE_PATHS,
    METRICS_PATH,
    OPENAPI_PATH,
    READY_PATHS,
)
from mealkit.runtime.watch.journal import Journal
from mealkit.runtime.watch.metrics import Metrics
from mealkit.runtime.worker_client.pool import Upstream
from mealkit.units import parse_size

# How long news of a process's end may take, after its connections have ended.
_NEWS_SECONDS = 0.5

# What is read without a thread: less than three milliseconds of work.
_SMALL_BYTES = 16 * 1024

# Probes ask by whatever name or address they know.
_HEALTH = frozenset({*LIVE_PATHS, *READY_PATHS})
_OPENED = {"metrics": (METRICS_PATH,), "docs": (DOCS_PATH, OPENAPI_PATH)}

# What the log line of the request that is being answered will say besides.
NOTES: ContextVar[dict[str, Any]] = ContextVar("notes")


@dataclass(slots=True)
class Service:
    """One kit being served."""

    lock: Lock
    settings: Settings
    keys: Keys
    lifecycle: Lifecycle
    upstream: Upstream
    metrics: Metrics
    journal: Journal
    recipe: str = field(init=False)
    """The recipe digest, computed once."""
    max_body_bytes: int = field(init=False)
    traits: EngineTraits = field(init=False)
    """What the engine is like."""
    claims: Claims = field(init=False)
    """How far the engine's word goes."""
    served: ServedModel = field(init=False)
    """What the kit offers its callers."""
    queue: FairQueue = field(init=False)
    """Who has the engine work, and who waits."""
    bodies: HeldBytes = field(init=False)
    """The memory that requests' bodies take."""
    _without_key: frozenset[str] = field(init=False)
    _browsers: Browsers = field(init=False)
    _large_bodies: asyncio.Lock = field(default_factory=asyncio.Lock)
    _open: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while no request is being read, worked on or answered."""
    off: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the kit is not ready."""

    def __post_init__(self) -> None:
        self.recipe = str(self.lock.recipe)
        self.traits = traits_of(self.lock.engine.name)
        self.claims = Claims.of(self.lock)
        self.served = ServedModel.of(self.lock)
        self.max_body_bytes = parse_size(self.lock.serving.max_body)
        serving = self.lock.serving
        self.queue = FairQueue(serving.max_concurrency, serving.max_queue, self._note_queue)
        self.bodies = HeldBytes(self.max_body_bytes)
        opened = [path for word in self.settings.open for path in _OPENED[word]]
        self._without_key = frozenset({*_HEALTH, *opened})
        self._browsers = Browsers(self.settings)
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

    def authenticate(self, scope: Scope) -> str:
        """Find out who asks, before anything of the request is read; return the key's name.

        Raises:
            RequestError: ``REQUEST_KEY``; or where no key is needed, what ``Browsers`` refuses.
        """
        given = take_secrets(scope["headers"])
        if self.keys.is_open:
            if scope["path"] not in _HEALTH:
                self._browsers.check(scope)
            return ""
        if scope["path"] in self._without_key:
            return ""
        return self.keys.caller_of(given, asyncio.get_running_loop().time())

    async def read(self, request: Request, held: Held, endpoint: Endpoint) -> Asked:
        """Read a request, and keep the memory that is needed to ask the engine.

        A large one is read in a thread, so that others are answered meanwhile, and one after the
        other, because what is made of its text takes several times its size.

        Raises:
            RequestError: ``REQUEST_TOO_LARGE``, or ``REQUEST_BUSY``: the others' bodies take all
                that there is; or what the endpoint refuses.
            ClientDisconnect: the caller went away while sending.
        """
        body = await held.read(read_body(request, self.max_body_bytes, held.add))
        values = read_object(body) if len(body) <= _SMALL_BYTES else None
        if values is not None and not fills_many(self.served, values):
            asked = endpoint.prepare(values, self.served)
        else:
            async with self._large_bodies:
                asked = await asyncio.to_thread(_prepared, endpoint, body, self.served)
        held.keep(asked.held_bytes)
        return asked

    @asynccontextmanager
    async def admit(self, request: Request) -> AsyncIterator[None]:
        """Hold the engine for a request from its turn to the end of its answer.

        Raises:
            RequestError: ``REQUEST_BUSY``, too many wait already.
            EngineError: ``NOT_READY``, the engine was lost while the request waited.
            ClientDisconnect: the caller went away while it waited.
        """
        if not await self.queue.take(request.state.caller, request.receive):
            raise ClientDisconnect
        try:
            # What has waited may still be answered while the kit drains.
            if self.lifecycle.status is not Status.DRAINING:
                self.require_ready()
            yield
        finally:
            self.queue.end()

    def note_use(
        self, operation: str, usage: TokenUsage, seconds: float, first_seconds: float | None
    ) -> None:
        """Count an answer of the engine: its tokens, its seconds, and those to its first piece."""
        self.metrics.used(operation, usage, seconds, first_seconds)
        notes = NOTES.get()
        notes["prompt_tokens"] = usage.prompt_tokens
        notes["answer_tokens"] = usage.completion_tokens
        notes["engine_seconds"] = round(seconds, 6)
        if first_seconds is not None:
            notes["first_seconds"] = round(first_seconds, 6)

    async def explain_loss(self, error: Exception) -> MealkitError:
        """Say why the worker did not answer, after the moment that news of its end may take.

        Only then is the caller answered: the next request finds the kit not ready.
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

    def _note_queue(self) -> None:
        self.metrics.queue(self.queue.running, self.queue.waiting)


def _prepared(endpoint: Endpoint, body: bytes, served: ServedModel) -> Asked:
    """Read a large request.

    Its values refer to nothing that refers back to them, and to look for that among all of them
    would keep the other threads waiting.
    """
    gc.disable()
    try:
        return endpoint.prepare(read_object(body), served)
    finally:
        gc.enable()
