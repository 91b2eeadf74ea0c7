"""Runs a container after its server has started: weights and engine, warm-up, ready, drain.

The kit becomes ready only after the weights are verified, here or by the host that has mounted
them, and one real request was answered.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from mealkit.errors import MealkitError, Problem, failure
from mealkit.recipe.task_endpoints import first_case
from mealkit.runtime.gateway.keys import Keys
from mealkit.runtime.gateway.problem_answers import new_request_id, refusal_bytes
from mealkit.runtime.gateway.routes import create_app
from mealkit.runtime.gateway.service import Service
from mealkit.runtime.http.accepted import AcceptedConnections, possible_connections
from mealkit.runtime.http.protocol import OneWriteProtocol
from mealkit.runtime.life.canary import Canary
from mealkit.runtime.life.exchange_watchers import Watching
from mealkit.runtime.life.listening import passed_control
from mealkit.runtime.life.shared_socket import SharedSocket
from mealkit.runtime.life.start import Startup
from mealkit.runtime.life.supervise import Supervisor
from mealkit.runtime.life.warm_up import probe, warm
from mealkit.runtime.life.worker_process import end_others
from mealkit.runtime.state import Status
from mealkit.runtime.watch.journal import Journal
from mealkit.runtime.watch.metrics import Metrics
from mealkit.runtime.worker_client.pool import Upstream, WorkerLostError
from mealkit.worker.openai_errors import status_of

if TYPE_CHECKING:
    from mealkit.runtime.life.first_case import FirstCase

# AcceptedConnections closes idle connections; this value only disables uvicorn's own timers.
_KEEP_ALIVE_SECONDS = 3600
# Seconds to send the remaining answers after everything else has ended.
_LAST_ANSWERS_SECONDS = 2
_SWITCH_SECONDS = 0.001
# How long the author, who has saved the kit, waits for a running request.
_EDIT_SECONDS = 0.2


class ServingContainer:
    """A kit's gateway and worker, from the server's start to the end."""

    def __init__(self, startup: Startup, keys: Keys) -> None:
        """Prepare everything without starting it."""
        self._startup = startup
        self._lock = startup.lock
        self._journal = startup.journal
        self._lifecycle = startup.lifecycle
        upstream = Upstream(Path(startup.plan.socket))
        self._service = Service(
            startup.lock,
            startup.settings,
            keys,
            self._lifecycle,
            upstream,
            Metrics(startup.lock.model.name),
            self._journal,
        )
        metrics, image = self._service.metrics, startup.settings.image_digest
        metrics.identify(startup.lock, str(image or ""))
        self._watching = Watching(self._service)
        self._supervisor = Supervisor(startup, upstream)
        self._first_case = _first_case_of(self._service)
        self._stops: asyncio.Queue[signal.Signals] = asyncio.Queue()

    def serve(self, listener: socket.socket, take_over: Callable[[], None]) -> int | None:
        """Serve until a signal; return the exit code. ``take_over`` frees the listening socket.

        The code is None if the author of the kit has saved another version of it.

        Raises:
            MealkitError: the start failed, or the engine died too often.
        """
        # How long the event loop waits for the interpreter while a thread parses a large body.
        sys.setswitchinterval(_SWITCH_SECONDS)
        return asyncio.run(self._run(listener, take_over))

    async def _run(self, listener: socket.socket, take_over: Callable[[], None]) -> int | None:
        self._lifecycle.listeners.append(self._service.metrics.moved)
        warnings = _LogHandler(self._journal)
        logging.getLogger().addHandler(warnings)
        self._listen_for_stops()
        connections = AcceptedConnections(possible_connections(self._service.settings.connections))
        server = self._server = _Server(_server_config(self._service, connections))
        take_over()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        control = passed_control(os.environ)
        shared = None
        if control is not None:
            shared = SharedSocket(control, server.accept_at, connections, self._service)
        try:
            return await self._live(serving)
        finally:
            if shared:
                await shared.close()
            await self._supervisor.stop()
            end_others()
            server.should_exit = True
            await serving
            self._watching.close()
            logging.getLogger().removeHandler(warnings)  # another version adds its own

    async def _live(self, serving: "asyncio.Task[None]") -> int | None:
        kit = asyncio.create_task(self._serve_kit())
        stopped = asyncio.create_task(self._stops.get())
        edited = asyncio.create_task(self._edited())
        ends: set[asyncio.Task[Any]] = {kit, stopped, serving, edited}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        try:
            if edited.done() and not stopped.done():
                await self._leave_version(kit)
                return None
            if stopped.done():
                if stopped.result() is signal.SIGTERM and self._lifecycle.is_ready:
                    await self._lame_duck(kit)
                await self._drain(kit)
                return 0
            if kit.done():
                await kit
            raise failure("INTERNAL", "the server ended unexpectedly")
        except MealkitError as error:
            fault = error.problems[0]
            self._lifecycle.move(Status.FAILED, fault.sentence, fault)
            self._service.metrics.failed(fault)
            raise
        finally:
            stopped.cancel()
            edited.cancel()
            kit.cancel()
            await asyncio.gather(kit, return_exceptions=True)

    async def _edited(self) -> None:
        """Wait until the author has saved another version; for ever, if no author edits the kit."""
        if self._startup.edits is None:
            await asyncio.Event().wait()
        else:
            await self._startup.edits.next()

    async def _leave_version(self, kit: "asyncio.Task[None]") -> None:
        """End for another version of the kit: quick requests are still answered.

        New callers wait in the kernel's queue for that version.
        """
        for accepting in getattr(self._server, "servers", ()):  # none before it has started
            accepting.close()
        self._lifecycle.move(Status.DRAINING, "the kit was edited; its next version starts")
        kit.cancel()
        await asyncio.gather(kit, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(_EDIT_SECONDS):
                await self._service.idle.wait()
        self._supervisor.kill()

    async def _serve_kit(self) -> None:
        """Become ready, and stay ready as long as the engine can be restarted."""
        await self._verify_and_load()
        await self._warm()
        # Objects of the start live as long as the process; collecting garbage among them again and
        # again would delay requests.
        gc.collect()
        gc.freeze()
        gc.enable()
        canary = Canary(self._service, self._check_engine, self._supervisor.condemn)
        singing = asyncio.create_task(canary.watch())
        watching = asyncio.create_task(self._supervisor.watch(self._warm, self._died))
        try:
            await self._verify_late(watching)
            await watching
        finally:
            singing.cancel()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _verify_and_load(self) -> None:
        loading = asyncio.create_task(self._supervisor.start())
        try:
            # First, because wrong weights explain a failure of the engine.
            verification = self._startup.verification
            await verification.finished()
            who = (
                "the host has verified the weights"
                if verification.late
                else "the weights are verified"
            )
            self._lifecycle.move(Status.LOADING, f"the engine loads; {who}")
            await loading
        finally:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)

    async def _verify_late(self, watching: "asyncio.Task[None]") -> None:
        """Verify the rest of the weights while requests are answered, unless the engine ends.

        Raises:
            EngineError: the weights do not match the lock, so the kit must not answer any more.
        """
        verification = self._startup.verification
        if not verification.late:
            return
        verifying = asyncio.create_task(verification.finished_late())
        try:
            await asyncio.wait({verifying, watching}, return_when=asyncio.FIRST_COMPLETED)
            if verifying.done():
                await verifying
                self._journal.info("weights verified", files=len(verification.late))
        finally:
            verifying.cancel()

    async def _warm(self) -> None:
        self._lifecycle.move(Status.WARMING, "waiting for the answer to a first real request")
        notes = []
        with self._phase("warming"):
            try:
                notes.append(await self._first_answer(warm(self._service)))
                if self._first_case:
                    notes.append(await self._first_answer(self._first_case.ask()))
            except MealkitError as error:
                # The author may try other requests with what they have written so far.
                if self._startup.edits is None or self._supervisor.exited.done():
                    raise
                self._journal.error("first answer failed", **error.problems[0].as_json())
        self._lifecycle.move(Status.READY, "; ".join(["answering requests", *filter(None, notes)]))

    async def _first_answer(self, asking: Coroutine[Any, Any, str | None]) -> str | None:
        limit_seconds = self._lock.serving.timeout_seconds
        try:
            async with asyncio.timeout(limit_seconds):
                return await asking
        except TimeoutError as error:
            message = f"the engine's first answer took more than {limit_seconds} seconds"
            raise failure("ENGINE_START", message) from error
        except WorkerLostError as error:
            raise await self._supervisor.explain_loss("at its first request") from error
        except MealkitError as error:
            if self._startup.edits is not None:  # the author sees the log
                raise
            raise await self._supervisor.with_log(error) from error

    async def _check_engine(self) -> None:
        """Send the engine a small request: the first case, if it is quick and no request runs."""
        case = self._first_case
        if case and case.is_quick and not self._service.queue.running:
            await case.ask()
        else:
            await probe(self._service)

    def _died(self, fault: Problem, will_restart: bool) -> None:  # noqa: FBT001
        self._service.metrics.failed(fault)
        if will_restart:
            self._service.metrics.restarted()

    async def _lame_duck(self, kit: "asyncio.Task[None]") -> None:
        """Answer new requests for a while: load balancers do not know yet that the kit stops.

        A second signal ends it, and so does the end of the engine, which is not restarted.
        """
        seconds = self._lock.serving.lame_duck_seconds
        if not seconds:
            return
        reason = f"stopping; new requests are answered for {seconds} s"
        self._lifecycle.move(Status.LAME_DUCK, reason)
        kit.cancel()
        again = asyncio.create_task(self._stops.get())
        engine = self._supervisor.exited
        early: set[asyncio.Future[Any]] = {again, engine}
        await asyncio.wait(early, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        again.cancel()

    async def _drain(self, kit: "asyncio.Task[None]") -> None:
        drain_seconds = self._lock.serving.drain_seconds
        self._lifecycle.move(Status.DRAINING, f"stopping; running requests have {drain_seconds} s")
        kit.cancel()
        await asyncio.gather(kit, return_exceptions=True)
        try:
            async with asyncio.timeout(drain_seconds):
                await self._service.idle.wait()
        except TimeoutError:
            queue = self._service.queue
            self._journal.warning("drain ended early", running=queue.running, waiting=queue.waiting)
            # Each waiting request gets the answer that the kit was stopped.
            self._supervisor.kill()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_ANSWERS_SECONDS):
                    await self._service.idle.wait()

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


def _first_case_of(service: Service) -> "FirstCase | None":
    case = first_case(service.lock)
    if case is None:
        return None
    # Late: what judges answers takes time to import, and few kits need it.
    from mealkit.runtime.life.first_case import FirstCase  # noqa: PLC0415

    return FirstCase(service, case)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do not handle signals: the container drains before it stops."""
        yield

    async def accept_at(self, listener: socket.socket) -> asyncio.Server:
        """Accept callers at one more socket, until the result is closed."""

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        loop = asyncio.get_running_loop()
        return await loop.create_server(protocol, sock=listener, backlog=self.config.backlog)


def _server_config(service: Service, connections: AcceptedConnections) -> uvicorn.Config:
    service.metrics.count_connections(lambda: len(connections))

    def refusal(fault: Problem) -> bytes:
        service.metrics.failed(fault)
        request_id, status = new_request_id(), status_of(fault)
        service.journal.info("request", request_id=request_id, status=status, code=fault.code)
        return refusal_bytes(fault, service.recipe, service.salt, request_id)

    return uvicorn.Config(
        create_app(service),
        loop="asyncio",
        http=partial(OneWriteProtocol, connections=connections, refusal=refusal),  # type: ignore[arg-type]  # called
        ws="none",
        lifespan="off",
        log_config=None,
        # uvicorn's warnings are about callers' data; callers could fill the log with them.
        log_level=logging.ERROR,
        access_log=False,
        server_header=False,
        # The gateway does not use callers' addresses.
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
    )


class _LogHandler(logging.Handler):
    """Writes the warnings and errors of libraries as lines of the journal."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, with its traceback."""
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
        extra = {"trace": trace} if trace else {}
        write = self._journal.error if record.levelno >= logging.ERROR else self._journal.warning
        write("log", logger=record.name, message=record.getMessage(), **extra)
