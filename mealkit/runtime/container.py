"""One container's life as one story: serve at once, preflight, verify and load, warm, ready, drain.

Refuses to be ready before the weights are the locked ones and one real request was answered.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import uvicorn

from mealkit.errors import MealkitError, Problem, failure, failures
from mealkit.kit.units import show_size
from mealkit.lock.model import Lock
from mealkit.preflight.facts import read_facts
from mealkit.preflight.here import inside
from mealkit.preflight.override import apply, read_overrides
from mealkit.preflight.run import preflight
from mealkit.runtime.gateway import create_app
from mealkit.runtime.journal import Journal, LogHandler
from mealkit.runtime.metrics import Metrics
from mealkit.runtime.service import Service
from mealkit.runtime.settings import Settings
from mealkit.runtime.state import Lifecycle, Snapshot, Status
from mealkit.runtime.supervise import Supervisor
from mealkit.runtime.upstream import Upstream, WorkerLostError
from mealkit.runtime.verify import verify_weights
from mealkit.runtime.warm import warm
from mealkit.runtime.wire import OneWriteProtocol
from mealkit.runtime.worker import plan_worker

# Longer than the idle time of common load balancers: whoever closes first must be the caller.
_KEEP_ALIVE_SECONDS = 75
# For answers that are on their way once everything else has ended.
_LAST_ANSWERS_SECONDS = 2


class Container:
    """A kit's gateway and worker, from start to end."""

    def __init__(
        self,
        settings: Settings,
        lock: Lock,
        journal: Journal,
        environment: Mapping[str, str],
        began: float,
    ) -> None:
        """Prepare everything, start nothing; ``began`` is the process's start on the clock.

        Raises:
            MealkitError: the state folder cannot be used.
        """
        plan = plan_worker(lock, settings, environment)
        upstream = Upstream(plan.socket)
        self._lock = lock
        self._settings = settings
        self._overrides = read_overrides(environment)
        self._journal = journal
        self._lifecycle = Lifecycle(time.monotonic, began)
        self._service = Service(lock, settings, self._lifecycle, upstream, Metrics(), journal)
        self._supervisor = Supervisor(plan, upstream, self._lifecycle, journal)
        self._stops: asyncio.Queue[signal.Signals] = asyncio.Queue()

    async def run(self, listener: socket.socket) -> int:
        """Serve until a signal; return the exit code.

        Raises:
            MealkitError: the start failed, or the engine died too often.
        """
        self._lifecycle.listeners += [self._service.metrics.moved, self._log_move]
        logging.getLogger().addHandler(LogHandler(self._journal))
        self._listen_for_stops()
        server = _Server(_server_config(self._service))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            return await self._live(serving)
        finally:
            await self._supervisor.stop()
            server.should_exit = True
            await serving

    async def _live(self, serving: "asyncio.Task[None]") -> int:
        kit = asyncio.create_task(self._serve_kit())
        stopped = asyncio.create_task(self._stops.get())
        await asyncio.wait({kit, stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if stopped.done():
                await self._drain(kit)
                return 0
            if kit.done():
                await kit
            raise failure("INTERNAL", "the server ended by itself")
        except MealkitError as error:
            fault = error.problems[0]
            self._lifecycle.move(Status.FAILED, fault.sentence, fault)
            self._service.metrics.failed(fault)
            raise
        finally:
            stopped.cancel()

    async def _serve_kit(self) -> None:
        """Become ready, and stay so as long as the engine can be kept alive."""
        self._preflight()
        await self._verify_and_load()
        await self._warm()
        # What the start made lives as long as the process: searching it for garbage again and
        # again would hold up requests.
        gc.collect()
        gc.freeze()
        await self._supervisor.watch(self._lock.serving.restarts, self._warm, self._died)

    def _preflight(self) -> None:
        with self._phase("preflight"):
            self._lifecycle.move(Status.PREFLIGHT, "holding this machine against the kit's needs")
            context = inside(self._settings.state)
            found = preflight(read_facts(), self._lock.requirements, context)
            report = apply(found, self._overrides)
            self._journal.info("preflight", **report.as_json())
            for finding in report.overridden:
                self._journal.warning("override", **finding.as_json())
        if report.blockers:
            raise failures(report.blockers)

    async def _verify_and_load(self) -> None:
        self._lifecycle.move(Status.VERIFYING, "hashing the weights while the engine loads")
        stop = threading.Event()
        loading = asyncio.create_task(self._supervisor.start())
        try:
            # First: wrong weights explain more than an engine that choked on them.
            with self._phase("verifying"):
                progress = _Progress(self._lock.weights_bytes, self._lifecycle)
                files = self._lock.model.files
                await asyncio.to_thread(
                    verify_weights, files, self._settings.models, progress.advance, stop
                )
            self._lifecycle.move(Status.LOADING, "the engine loads; the weights are verified")
            await loading
        finally:
            stop.set()
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)

    async def _warm(self) -> None:
        limit_seconds = self._lock.serving.timeout_seconds
        self._lifecycle.move(Status.WARMING, "waiting for the answer to a first real request")
        with self._phase("warming"):
            try:
                async with asyncio.timeout(limit_seconds):
                    await warm(self._service)
            except TimeoutError as error:
                message = f"the engine's first answer took more than {limit_seconds} seconds"
                raise failure("ENGINE_START", message) from error
            except WorkerLostError as error:
                raise await self._supervisor.explain_loss("at its first request") from error
        self._lifecycle.move(Status.READY, "answering requests")

    def _died(self, fault: Problem, will_restart: bool) -> None:  # noqa: FBT001
        self._service.metrics.failed(fault)
        if will_restart:
            self._service.metrics.restarted()

    async def _drain(self, kit: "asyncio.Task[None]") -> None:
        drain_seconds = self._lock.serving.drain_seconds
        self._lifecycle.move(Status.DRAINING, f"stopping; running requests have {drain_seconds} s")
        kit.cancel()
        await asyncio.gather(kit, return_exceptions=True)
        try:
            async with asyncio.timeout(drain_seconds):
                await self._service.idle.wait()
        except TimeoutError:
            self._journal.warning("drain ended early", running=self._service.running)
            # Each request that waits for it learns that the kit was stopped.
            self._supervisor.kill()

    def _listen_for_stops(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)

    def _stop(self, number: signal.Signals) -> None:
        if self._lifecycle.status is Status.DRAINING:
            self._journal.warning("stopped at once", signal=number.name)
            self._supervisor.kill()
            os._exit(128 + number)
        self._stops.put_nowait(number)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._lifecycle.begin(name)
        try:
            yield
        finally:
            self._lifecycle.end(name)

    def _log_move(self, snapshot: Snapshot) -> None:
        self._journal.info("state", **snapshot.as_json())


class _Progress:
    """Bytes hashed so far, told by several threads, shown as the state's reason."""

    def __init__(self, total_bytes: int, lifecycle: Lifecycle) -> None:
        self._total_bytes = max(total_bytes, 1)
        self._lifecycle = lifecycle
        self._loop = asyncio.get_running_loop()
        self._guard = threading.Lock()
        self._done_bytes = 0
        self._percent = 0

    def advance(self, size_bytes: int) -> None:
        with self._guard:
            self._done_bytes += size_bytes
            percent = self._done_bytes * 100 // self._total_bytes
            if percent == self._percent:
                return
            self._percent = percent
            done, total = show_size(self._done_bytes), show_size(self._total_bytes)
        self._loop.call_soon_threadsafe(self._note, f"verified {done} of {total} of weights")

    def _note(self, reason: str) -> None:
        if self._lifecycle.status is Status.VERIFYING:
            self._lifecycle.note(reason)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: here a stop means drain first."""
        yield


def _server_config(service: Service) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(service),
        loop="asyncio",
        http=OneWriteProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
    )
