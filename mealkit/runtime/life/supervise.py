"""Keeps the worker alive: starts it, waits until it answers, restarts it when it dies or hangs.

Raises EngineError after the kit's number of restarts, and if loading takes too long. If the worker
dies, the kit is not ready from the same iteration of the event loop on.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from mealkit.errors import MealkitError, Problem, failure, failures, problem
from mealkit.evidence.recognition import Evidence, is_measured, last_words, recognise
from mealkit.runtime.attribution import Attribution
from mealkit.runtime.life.memory_counts import memory_state
from mealkit.runtime.life.start import Startup
from mealkit.runtime.life.worker_plan import Spawned
from mealkit.runtime.life.worker_process import ChildProcess, ProcessExit, Reaper
from mealkit.runtime.state import Status
from mealkit.runtime.worker_client.pool import Upstream, WorkerLostError

# Deaths that are further apart have different causes, so the count restarts.
STABLE_SECONDS = 600.0

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_POLL_SECONDS = 0.025
_LAST_WORDS_SECONDS = 0.5
_STOP_SECONDS = 5.0

# The codes for an engine that ended without a known cause; a known cause replaces them.
_UNEXPLAINED = {"ENGINE_START", "ENGINE_DIED"}


class Supervisor:
    """The worker and its restarts."""

    def __init__(self, startup: Startup, upstream: Upstream) -> None:
        """Plan the worker; the first one may have been started already."""
        self._plan = startup.plan
        self._begun = startup.worker
        self._serving = startup.lock.serving
        self._stated_bytes = startup.lock.requirements.memory_bytes
        self._claims = Attribution.of(startup.lock)
        self._upstream = upstream
        self._lifecycle = startup.lifecycle
        self._journal = startup.journal
        self._reaper = Reaper()
        self._child: ChildProcess | None = None
        self._verdict: Problem | None = None
        self._kills = startup.kills

    async def start(self) -> None:
        """Start the worker and wait until it has loaded.

        Raises:
            MealkitError: the worker ended, or took too long; the problem is the one that it
                printed, or the one that its log shows, or ``ENGINE_START``.
        """
        self._reaper.start()
        await self._start()
        self._lifecycle.end("loading")

    async def watch(
        self,
        warm: Callable[[], Awaitable[None]],
        died: Callable[[Problem, bool], None],
    ) -> None:
        """Restart the worker when it dies, as often as the kit allows; then raise.

        ``died`` is called after each death, with whether a restart follows.

        Raises:
            MealkitError: ``ENGINE_GAVE_UP``, or the cause of the last death, if it is known.
        """
        loop = asyncio.get_running_loop()
        restarts = self._serving.restarts
        count, since = 0, loop.time()
        while True:
            fault: Problem | None = await self._death()
            if loop.time() - since > STABLE_SECONDS:
                count = 0
            while fault is not None:
                count += 1
                died(fault, count <= restarts)
                if count > restarts:
                    raise _gave_up(restarts, fault)
                fault = await self._again(count, restarts, fault, warm)
            since = loop.time()

    @property
    def exited(self) -> "asyncio.Future[ProcessExit]":
        """The end of the current worker; do not cancel it."""
        assert self._child is not None  # noqa: S101  a kit that was ready has a worker
        return self._child.exited

    async def explain_loss(self, what: str) -> MealkitError:
        """Return why the worker did not answer; waits shortly for its exit as an explanation."""
        child = self._child
        if child is not None:
            await asyncio.wait([child.exited], timeout=_LAST_WORDS_SECONDS)
            if child.exited.done():
                return await self._explain(child, "ENGINE_DIED", what)
        return failure("ENGINE_ANSWER", f"the engine closed the connection {what}")

    async def with_log(self, error: MealkitError) -> MealkitError:
        """Return a problem of the kit's own first request, with the end of the worker's log.

        The log has the exception's message; no caller has sent anything yet.
        """
        if self._child is None or error.problems[0].code != "HANDLER_FAILED":
            return error
        await self._child.wait_silent(_LAST_WORDS_SECONDS)
        fault = error.problems[0]
        return failures([replace(fault, message=fault.message + last_words(self._child.tail))])

    async def stop(self) -> None:
        """Stop the worker: terminate it, and kill it after a few seconds."""
        if self._begun:
            self._reaper.start()
            await self._spawn()
        child = self._child
        if child is None:
            return
        child.terminate()
        await asyncio.wait([child.exited], timeout=_STOP_SECONDS)
        child.kill()
        await asyncio.wait([child.exited], timeout=_STOP_SECONDS)
        how = child.exited.result() if child.exited.done() else "not yet"  # stuck in a driver
        self._journal.info("worker stopped", pid=child.pid, how=str(how))
        self._upstream.close()

    def kill(self) -> None:
        """Kill the worker immediately."""
        if self._child:
            self._child.kill()

    def condemn(self, fault: Problem) -> None:
        """Kill a worker that runs but does not answer; ``fault`` is the reason of the restart."""
        self._verdict = fault
        if self._lifecycle.is_ready:
            self._lifecycle.move(Status.LOADING, fault.sentence, fault)
        self.kill()

    async def _start(self) -> None:
        """Start one worker; return when it answers, raise if it ends before or takes too long."""
        self._upstream.close()
        child = await self._spawn()
        child.exited.add_done_callback(self._turn_off)
        loaded = asyncio.create_task(self._loaded())
        either: set[asyncio.Future[Any]] = {loaded, child.exited}
        limit_seconds = self._serving.start_seconds
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED, timeout=limit_seconds)
        finally:
            loaded.cancel()
        if child.exited.done():
            raise await self._explain(child, "ENGINE_START", "while it loaded")
        if not loaded.done():
            message = f"the engine has not loaded within {limit_seconds} seconds"
            hint = "give the machine faster disks, or raise serving.start_seconds in kit.yaml"
            raise failure("ENGINE_START", message + last_words(child.tail), hint=hint)
        await loaded

    async def _spawn(self) -> ChildProcess:
        """Start a worker, or use the one that waits."""
        begun, self._begun, self._verdict = self._begun, None, None
        # Set before the first await, so that a cancelled start can still kill the worker.
        child = self._child = ChildProcess(begun or self._spawned(), self._reaper)
        await child.listen(self._write_line)
        return child

    def _spawned(self) -> Spawned:
        self._kills = memory_state().kills or 0
        try:
            self._plan.remove_socket()
            spawned = Spawned(self._plan.command, self._plan.environment)
        except OSError as error:
            message = f"the worker cannot be started: {error.strerror}"
            raise failure("ENGINE_START", message, where=self._plan.command[0]) from error
        self._journal.info("worker started", pid=spawned.pid)
        return spawned

    async def _loaded(self) -> None:
        while True:
            try:
                answer = await self._upstream.request("GET", "/health")
            except WorkerLostError:
                pass
            else:
                if answer.status == 200:
                    return
            await asyncio.sleep(_POLL_SECONDS)

    async def _death(self) -> Problem:
        assert self._child is not None  # noqa: S101  watch comes after start
        # Not awaited directly, because cancelling this task would then cancel the future.
        await asyncio.wait([self._child.exited])
        error = await self._explain(self._child, "ENGINE_DIED", "")
        return error.problems[0]

    async def _again(
        self, count: int, restarts: int, fault: Problem, warm: Callable[[], Awaitable[None]]
    ) -> Problem | None:
        """Restart the worker; return the problem if it fails."""
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** (count - 1), _LONGEST_PAUSE_SECONDS)
        reason = f"{fault.sentence.splitlines()[0]}; restart {count} of {restarts} in {pause:g} s"
        self._lifecycle.move(Status.LOADING, reason, fault)
        await asyncio.sleep(pause)
        self._lifecycle.note(f"the engine is loading again, restart {count} of {restarts}")
        try:
            await self._start()
            await warm()
        except MealkitError as error:
            await self.stop()
            return error.problems[0]
        return None

    def _turn_off(self, exited: "asyncio.Future[ProcessExit]") -> None:
        """Turn ready off as soon as the worker has exited; its log is evaluated later."""
        if self._lifecycle.status in {Status.READY, Status.WARMING}:
            how = exited.result()
            message = f"the engine's process ended with {how}"
            # Its log may be incomplete; its exit and its control group already explain much.
            found = self._cause(self._child, how, None, "ENGINE_DIED", message)
            self._lifecycle.move(Status.LOADING, message, found or problem("ENGINE_DIED", message))

    async def _explain(self, child: ChildProcess, code: str, when: str) -> MealkitError:
        how = child.exited.result()
        await child.wait_silent(_LAST_WORDS_SECONDS)
        message = f"the engine's process ended with {how} {when}".rstrip()
        found = self._verdict or self._cause(child, how, child.reported, code, message)
        code = found.code if found else code
        self._journal.error("worker ended", pid=child.pid, how=str(how), code=code, tail=child.tail)
        if found:
            return failures([found])
        hint = None
        if how.signal_name == "SIGKILL":
            hint = "raise the memory limit if the kernel killed it for memory; see the node's log"
        return failure(code, message + last_words(child.tail), hint=hint)

    def _cause(
        self,
        child: ChildProcess | None,
        how: ProcessExit,
        said: Problem | None,
        code: str,
        what: str,
    ) -> Problem | None:
        """Return the cause of a death, as far as the kit's claims count; None if it is unknown.

        ``said`` is the problem that the worker printed, which counts only if it explains the death.
        """
        if child is None:
            return None
        evidence = self._evidence(child, how)
        found = said
        if found is None or found.code in _UNEXPLAINED:
            found = recognise(evidence) or found
            if found is not None and is_measured(evidence):
                return found
        return found and self._claims.of_end(found, code, what)

    def _evidence(self, child: ChildProcess, how: ProcessExit) -> Evidence:
        memory = memory_state()
        return Evidence(
            log=child.log,
            # A worker never exits on purpose: vLLM's server exits with 0 if its engine died.
            exit_code=how.code or None,
            signal_name=how.signal_name,
            killed_for_memory=(memory.kills or 0) > self._kills,
            memory_peak_bytes=memory.peak_bytes,
            memory_limit_bytes=memory.limit_bytes,
            memory_stated_bytes=self._stated_bytes,
            shm_bytes=_shm_bytes(),
        )

    def _write_line(self, stream: str, line: str) -> None:
        self._journal.info("worker", stream=stream, line=line)


def _gave_up(restarts: int, fault: Problem) -> MealkitError:
    """Return the cause of the last death if it is known, because it has a more exact owner."""
    message = (
        f"the engine was restarted {restarts} times and died again; the last time: {fault.message}"
    )
    if fault.code in _UNEXPLAINED:
        return failure("ENGINE_GAVE_UP", message)
    return failures([replace(fault, message=message)])


def _shm_bytes() -> int | None:
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108  this is the shared memory
    except OSError:
        return None
    return found.f_blocks * found.f_frsize
