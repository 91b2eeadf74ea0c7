"""The shared state of the gateway's endpoints: lock, status, the worker's socket, keys, limits.

Raises RequestError for callers without a key if keys are required, for other sites' web pages if
they are not, and for more concurrent requests than the lock allows.
"""

import asyncio
import gc
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from mealkit.errors import MealkitError, Problem, failure, failures
from mealkit.ledger.prices import SharedTime
from mealkit.recipe.lock import Lock
from mealkit.recipe.traits import EngineTraits
from mealkit.runtime.api.endpoint import Asked, Endpoint
from mealkit.runtime.api.named_prompt import fills_many
from mealkit.runtime.api.served_model import ServedModel
from mealkit.runtime.api.template_messages import readable_for
from mealkit.runtime.api.usage import TokenUsage
from mealkit.runtime.attribution import Attribution
from mealkit.runtime.body_limits import BodyLimit
from mealkit.runtime.engine_traits import traits_of
from mealkit.runtime.exchanges import EXCHANGE, BodyTap, Exchange, ExchangeWatcher
from mealkit.runtime.gateway.browsers import Browsers
from mealkit.runtime.gateway.keys import Keys, take_secrets
from mealkit.runtime.gateway.limits import FairQueue, Held, HeldBytes
from mealkit.runtime.gateway.request_body import read_body
from mealkit.runtime.gateway.request_values import form_type, read_values
from mealkit.runtime.settings import Settings
from mealkit.runtime.state import Lifecycle, Snapshot, Status
from mealkit.runtime.urls import (
    DOCS_PATH,
    LIVE_PATHS,
    METRICS_PATH,
    OPENAPI_PATH,
    PAGE_PATHS,
    READY_PATHS,
    START_PATH,
)
from mealkit.runtime.watch.journal import Journal
from mealkit.runtime.watch.metrics import Metrics
from mealkit.runtime.worker_client.pool import Upstream
from mealkit.worker.openai_errors import status_of

if TYPE_CHECKING:
    from mealkit.runtime.gateway.data_gate import DataGate

# How long after the end of its connections a process's exit may be reported.
_NEWS_SECONDS = 0.5

# Up to this size a request is parsed without a thread: less than three milliseconds of work.
_SMALL_BYTES = 16 * 1024

# Up to this size a body is hashed without a thread: less than half a millisecond of work.
_HASHED_BYTES = 256 * 1024

# Probes may use any host name or address.
_HEALTH = frozenset({*LIVE_PATHS, *READY_PATHS})
_OPENED = {"metrics": (METRICS_PATH,), "docs": (DOCS_PATH, OPENAPI_PATH, START_PATH)}

# How long a call waits for the version of a kit that its author has just saved.
_VERSION_SECONDS, _VERSION_LOOK_SECONDS = 60.0, 0.01
_BEFORE_READY = frozenset(
    {Status.STARTING, Status.PREFLIGHT, Status.VERIFYING, Status.LOADING, Status.WARMING}
)

_PARAMETER = re.compile(r"[A-Za-z0-9_.\[\]-]{1,100}")
_UNKNOWN = ("",)


@dataclass(slots=True)
class Service:
    """One served kit."""

    lock: Lock
    settings: Settings
    keys: Keys
    lifecycle: Lifecycle
    upstream: Upstream
    metrics: Metrics
    journal: Journal
    recipe: str = field(init=False)
    """The recipe digest, computed once."""
    salt: str = field(init=False)
    """The salt digest, computed once."""
    body_limit: BodyLimit = field(init=False)
    """How large a request may be."""
    traits: EngineTraits = field(init=False)
    """The engine's traits."""
    attribution: Attribution = field(init=False)
    """Which owners the engine may name for its failures."""
    served: ServedModel = field(init=False)
    """What the kit offers its callers."""
    queue: FairQueue = field(init=False)
    """The requests at the engine, and those in the queue."""
    bodies: HeldBytes = field(init=False)
    """The memory of requests' bodies."""
    gate: "DataGate | None" = field(init=False)
    """The data contract, if the kit has one."""
    _without_key: frozenset[str] = field(init=False)
    _shared_time: SharedTime = field(default_factory=SharedTime)
    _browsers: Browsers = field(init=False)
    _large_bodies: asyncio.Lock = field(default_factory=asyncio.Lock)
    _open: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while no request is being read, processed or answered."""
    off: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the kit is not ready."""
    watchers: tuple[ExchangeWatcher, ...] = ()
    """What is asked before the engine gets a request, and told when its answer has ended."""
    arrivals: tuple[Callable[[Exchange, Scope], None], ...] = ()
    """What sees a request when it arrives, before its caller is known; never raises."""
    obstacle: Problem | None = None
    """Why requests are refused, although the engine could answer them."""
    has_successor: bool = False
    """Whether another revision of the deployment accepts the callers' connections from now on."""

    def __post_init__(self) -> None:
        self.recipe = str(self.lock.recipe)
        self.salt = str(self.lock.salt)
        self.traits = traits_of(self.lock.engine.name)
        self.attribution = Attribution.of(self.lock)
        self.served = ServedModel.of(self.lock)
        if self.traits.renders_chats:
            pinned = self.lock.hyperparameters.get("chat_template")
            self.served.readable = readable_for(self.settings.models, pinned)
        self.gate = _gate_of(self.lock, self.metrics, self.journal)
        self.body_limit = self.served.body_limit
        serving = self.lock.serving
        self.queue = FairQueue(serving.max_concurrency, serving.max_queue, self._note_queue)
        self.bodies = HeldBytes(self.body_limit.total_bytes)
        opened = [path for word in self.settings.open for path in _OPENED[word]]
        self._without_key = frozenset({*_HEALTH, *PAGE_PATHS, *opened})
        self._browsers = Browsers(self.settings)
        self.keys.complain = self._note_keys
        self.idle.set()
        self.off.set()
        self.lifecycle.listeners.append(self._note_move)

    def learn_prediction(self, form: Mapping[str, Any]) -> None:
        """Note the schemas of a prediction, which say whether requests may have files."""
        self.served.prediction = form
        self.body_limit = self.served.body_limit
        self.bodies.allow(self.body_limit.total_bytes)

    @property
    def is_leaving(self) -> bool:
        """Whether an answer ends its connection, because the next one is for another kit."""
        return self.has_successor or self.lifecycle.is_stopping

    def require_ready(self) -> None:
        """Raise while the kit cannot answer requests.

        Raises:
            EngineError: ``NOT_READY`` or ``DRAINING``.
        """
        status = self.lifecycle.status
        if status is Status.READY or status is Status.LAME_DUCK:
            return
        if status is Status.DRAINING:
            raise failure("DRAINING", "the kit is shutting down")
        raise failure("NOT_READY", f"the kit is {status}: {self.lifecycle.snapshot().reason}")

    async def version_ready(self) -> None:
        """Wait until the version that the kit's author has saved last is ready, or has failed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_VERSION_SECONDS):
                while self.lifecycle.status in _BEFORE_READY:  # noqa: ASYNC110  it has no event
                    await asyncio.sleep(_VERSION_LOOK_SECONDS)

    def authenticate(self, scope: Scope) -> str:
        """Authenticate the caller, before the body is read; return the key's name.

        Raises:
            RequestError: ``REQUEST_KEY``, ``REQUEST_SCOPE``, ``REQUEST_RATE``; or, if no key is
                needed, the errors of ``Browsers``.
        """
        given = take_secrets(scope["headers"])
        if self.keys.is_open:
            if scope["path"] not in _HEALTH:
                self._browsers.check(scope)
            return ""
        if scope["path"] in self._without_key:
            return ""
        now = asyncio.get_running_loop().time()
        key = self.keys.caller_of(given, scope["path"], now)
        if seconds := self.keys.seconds_to_wait(key, now):
            EXCHANGE.get().headers.append((b"retry-after", b"%d" % seconds))
            message = f"the API key {key.name} has sent more requests than {key.rules.rate}"
            raise failure("REQUEST_RATE", message)
        return key.name

    def body_of(self, request: Request) -> AbstractContextManager[Held]:
        """Return a counter for the memory of a request's body, in the name of its caller."""
        # Callers without a key count as one if they have one address, such as that of their proxy.
        caller = request.state.caller or (request.scope["client"] or _UNKNOWN)[0]
        return self.bodies.held(caller)

    async def read(self, request: Request, held: Held, endpoint: Endpoint) -> Asked:
        """Read a request, and reserve the memory for the request to the engine.

        Large requests are parsed in a thread, so that others are not blocked, and one after the
        other, because the parsed values take several times the size of the text.

        Raises:
            RequestError: ``REQUEST_TOO_LARGE``; ``REQUEST_BUSY``, other bodies use all of the
                memory; or the errors of the endpoint and of the watchers.
            ClientDisconnect: the caller disconnected while sending.
        """
        content_type = form_type(request, endpoint)
        body = await held.unless_needed(read_body(request, self.body_limit, held.add))
        exchange = EXCHANGE.get()
        exchange.request_bytes = len(body)
        if exchange.tap:
            await self._show(body, exchange.tap)
        small = self.gate.small_bytes if self.gate else _SMALL_BYTES
        read = partial(read_values, endpoint, self.served, body, content_type)
        values = read() if len(body) <= small else None
        if values is not None and not fills_many(self.served, values):
            asked = self._asked(endpoint, values)
        else:
            async with self._large_bodies:
                asked = await asyncio.to_thread(self._prepared, endpoint, read)
        held.keep(asked.held_bytes)
        exchange.asked = asked
        for watcher in self.watchers:
            await watcher.admit(exchange)
        return asked

    @asynccontextmanager
    async def admit(self, request: Request, held: Held) -> AsyncIterator[None]:
        """Reserve a slot at the engine for a request, until the end of its answer.

        Raises:
            RequestError: ``REQUEST_BUSY``, the queue is full, or other callers need the request's
                place or memory.
            EngineError: ``NOT_READY``, the engine was lost while the request waited.
            ClientDisconnect: the caller disconnected while the request waited.
        """
        exchange = EXCHANGE.get()
        exchange.queued_seconds = time.perf_counter()
        if not await held.unless_needed(self.queue.take(held.caller, request.receive)):
            raise ClientDisconnect
        try:
            # Requests that have waited may still be answered while the kit drains.
            if self.lifecycle.status is not Status.DRAINING:
                self.require_ready()
            exchange.admitted_seconds = time.perf_counter()
            begun = self._shared_time.begin(time.perf_counter_ns())
            try:
                yield
            finally:
                share = self._shared_time.end(begun, time.perf_counter_ns())
                exchange.share_nanoseconds = share
        finally:
            self.queue.end(held.caller)

    def ended(self, exchange: Exchange) -> None:
        """Tell the watchers that an answer has ended."""
        for watcher in self.watchers:
            watcher.ended(exchange)

    def note_use(
        self, operation: str, usage: TokenUsage, seconds: float, first_seconds: float | None
    ) -> None:
        """Count an answer of the engine: its tokens, its seconds, and those to its first piece."""
        self.metrics.used(operation, usage, seconds, first_seconds)
        exchange = EXCHANGE.get()
        exchange.usage = usage
        notes = exchange.notes
        notes["prompt_tokens"] = usage.prompt_tokens
        notes["answer_tokens"] = usage.completion_tokens
        notes["engine_seconds"] = round(seconds, 6)
        if first_seconds is not None:
            notes["first_seconds"] = round(first_seconds, 6)

    async def explain_loss(self, error: Exception) -> MealkitError:
        """Return the reason why the worker did not answer; waits shortly for its exit code.

        The caller is answered only afterwards, so that the next request finds the kit not ready.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_NEWS_SECONDS):
                await self.off.wait()
        if self.lifecycle.status is Status.DRAINING:
            return failure("DRAINING", "the kit was stopped before the answer was complete")
        known = self.lifecycle.snapshot().problem
        if known is None:
            return failure("ENGINE_DIED", f"there is no answer: {error}")
        reason = known.message.splitlines()[0]
        return failures([replace(known, message=f"there is no answer: {reason}")])

    @contextmanager
    def open_request(self) -> Iterator[None]:
        """Keep the process running until a request has been answered."""
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
        """Count and note an error's first problem, and return it."""
        self.note_problem(error.problems[0])
        return error.problems[0]

    def note_problem(self, problem: Problem) -> None:
        """Count the problem of the current request, and name it in the request's log line."""
        self.metrics.failed(problem)
        exchange = EXCHANGE.get()
        exchange.problem = problem
        notes = exchange.notes
        notes["code"] = problem.code
        if self.settings.is_edited:  # else a log has nothing of what callers sent
            notes["message"] = problem.message
        # A name that no endpoint has may be a part of the caller's text.
        if problem.where and status_of(problem) < 500 and _PARAMETER.fullmatch(problem.where):
            notes["param"] = problem.where

    @staticmethod
    async def _show(body: bytes, tap: BodyTap) -> None:
        if len(body) > _HASHED_BYTES:
            await asyncio.to_thread(tap.took, body)
        else:
            tap.took(body)

    def _asked(self, endpoint: Endpoint, values: dict[str, Any]) -> Asked:
        self.served.resolve_alias(values)
        asked = endpoint.prepare(values, self.served)
        return self.gate.passed(asked) if self.gate else asked

    def _prepared(self, endpoint: Endpoint, read: Callable[[], dict[str, Any]]) -> Asked:
        """Parse a large request, with the garbage collector switched off.

        The values contain no reference cycles, and searching all of them for cycles would block the
        other threads.
        """
        gc.disable()
        try:
            return self._asked(endpoint, read())
        finally:
            gc.enable()

    def _note_move(self, snapshot: Snapshot) -> None:
        if snapshot.status is Status.READY:
            self.off.clear()
        else:
            self.off.set()

    def _note_keys(self, fault: Problem) -> None:
        # A key that was removed from the file is still valid.
        self.journal.error("keys not read", **fault.as_json())

    def _note_queue(self) -> None:
        self.metrics.queue(self.queue.running, self.queue.waiting)


def _gate_of(lock: Lock, metrics: Metrics, journal: Journal) -> "DataGate | None":
    if lock.data is None:
        return None
    # Late: most kits have no data contract, and its packages are only in the images of those.
    from mealkit.runtime.gateway.data_gate import DataGate  # noqa: PLC0415

    counters = metrics.watch_data(lock.data)
    gate = DataGate(lock.data, lock, counters.violated)
    if gate.unchecked:
        journal.warning("tokens are not limited", inputs=list(gate.unchecked))
    if lock.data_profile:
        counters.watch_drift(gate.drift)
    return gate
