"""Sends a quiet engine a small request, and reports the engine as hung if no answer comes.

A running process and an open port do not show that the engine works; only an answer does. An engine
that waits for a caller who does not read is not checked.
"""

import asyncio
from collections.abc import Awaitable, Callable

from mealkit.errors import MealkitError, Problem, RequestError, problem
from mealkit.runtime.gateway.service import Service
from mealkit.runtime.worker_client.pool import WorkerLostError

# An idle engine needs far less for one token; one that needs longer has stopped.
_LONGEST_SECONDS = 30.0
_LOOK_SECONDS = 1.0

# Codes that do not explain why an engine failed.
_UNEXPLAINED = frozenset({"ENGINE_ANSWER", "INTERNAL", "NOT_READY"})


class Canary:
    """Sends a small request whenever the engine has been quiet."""

    def __init__(
        self,
        service: Service,
        ask: Callable[[], Awaitable[None]],
        condemn: Callable[[Problem], None],
    ) -> None:
        """Prepare; ``ask`` sends the engine a small request, ``condemn`` ends a hung engine."""
        self._service = service
        self._ask = ask
        self._condemn = condemn
        self._serving = service.lock.serving

    async def watch(self) -> None:
        """Check the engine until cancelled."""
        if not self._serving.canary_seconds:
            return
        while True:
            await asyncio.sleep(min(_LOOK_SECONDS, max(0.05, self._patience() - self._quiet())))
            service = self._service
            is_due = service.lifecycle.is_ready and self._quiet() >= self._patience()
            if is_due and not service.upstream.waits_for_callers:
                await self._probe()

    async def _probe(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        fault: Problem | None = None
        try:
            async with asyncio.timeout(self._limit()):
                await self._ask()
        except TimeoutError:
            if self._quiet() >= loop.time() - began:
                fault = self._silence(loop.time() - began)
        except (WorkerLostError, RequestError):
            # The supervisor reports a dead worker; a refused request shows that the engine works.
            return
        except MealkitError as error:
            fault = _failed(error.problems[0])
        self._service.metrics.probed("ok" if fault is None else "failed", loop.time() - began)
        if fault and self._service.lifecycle.is_ready:
            self._condemn(fault)

    def _quiet(self) -> float:
        """Return how long the engine has sent nothing."""
        return asyncio.get_running_loop().time() - self._service.upstream.heard_seconds

    def _patience(self) -> float:
        """Return how long the engine may be quiet: while it works, the time limit of an answer."""
        serving = self._serving
        return serving.timeout_seconds if self._service.queue.running else serving.canary_seconds

    def _limit(self) -> float:
        """Return how long the answer may take.

        Running requests are cancelled after the time limit of an answer. An engine that answers
        one request at a time gets to this request only afterwards.
        """
        own = min(_LONGEST_SECONDS, self._serving.timeout_seconds)
        return own + (self._serving.timeout_seconds if self._service.queue.running else 0)

    def _silence(self, waited_seconds: float) -> Problem:
        quiet = self._quiet()
        return problem(
            "ENGINE_HUNG",
            "the engine's process runs, but it does not answer",
            measured=f"{quiet:.0f} seconds",
            required=f"an answer to a small request within {waited_seconds:.0f} seconds",
        )


def _failed(cause: Problem) -> Problem:
    if cause.code not in _UNEXPLAINED:
        return cause
    return problem("ENGINE_HUNG", f"the engine runs, but a small request fails: {cause.message}")
