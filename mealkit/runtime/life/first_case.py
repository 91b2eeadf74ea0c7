"""Sends the worker the kit's first case, and compares its answer with what the author expects.

The warm-up asks it before the kit is ready. An answer that does not meet the expectation is logged
and counted, and does not keep the kit from being ready: the last bits of numbers differ between
machines, and a service that answers is not taken down because of one example. ``mealkit test``
is the judgement that a release or a policy can demand.
"""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

from mealkit.acceptance.answer_journal import Reply
from mealkit.acceptance.case_checks import case_question, case_result
from mealkit.acceptance.questions import Question
from mealkit.errors import AcceptanceError, RequestError, failure
from mealkit.paths import CASES
from mealkit.recipe.cases import Case
from mealkit.recipe.task_endpoints import case_endpoint
from mealkit.runtime.api.endpoint import Asked
from mealkit.runtime.api.endpoints import offered
from mealkit.runtime.api.prompt_length import COUNTING_PATH
from mealkit.runtime.gateway.service import Service
from mealkit.runtime.life.warm_up import worker_answer
from mealkit.untrusted import parse_json, shown

_FILES = Path("/", CASES)
_MAX_VALUES = 4_000_000
_SHOWN = 200
# A canary with the case takes at most this long, and this share of the time between canaries.
_CANARY_SECONDS = 1.0
_CANARY_SHARE = 0.05


class FirstCase:
    """The first case of a kit that has one."""

    def __init__(self, service: Service, case: Case) -> None:
        """Prepare to ask it."""
        self._service = service
        self._case = case
        self._path = case_endpoint(case, service.lock)
        self._seconds: float | None = None
        self._unmet: str | None = None

    @property
    def is_quick(self) -> bool:
        """Whether the case was answered so quickly that it can be the canary.

        A case has no effects that its author did not accept, because every start runs it.
        """
        longest = min(_CANARY_SECONDS, self._service.lock.serving.canary_seconds * _CANARY_SHARE)
        return self._seconds is not None and self._seconds <= longest

    async def ask(self) -> str | None:
        """Ask it; return why the expectation is not met, None if it is met.

        Raises:
            MealkitError: the worker's own problem.
            WorkerLostError: the worker ended.
        """
        began = time.perf_counter()
        try:
            body = await self._answer()
        except LookupError as error:
            unmet: str | None = f"it cannot be asked: {error}"
        except RequestError as error:
            unmet = f"the kit refuses it: {error.problems[0].message}"
        else:
            self._seconds = time.perf_counter() - began
            # In a thread: the answer may be large, or the expectation a schema.
            unmet = await asyncio.to_thread(self._fault, body)
        self._service.metrics.compared(self._case.name, is_met=unmet is None)
        if unmet != self._unmet:
            self._service.journal.warning("case", name=self._case.name, unmet=unmet)
        self._unmet = unmet
        return f"the case {self._case.name} is not met: {unmet}" if unmet else None

    def _fault(self, body: bytes) -> str | None:
        """Return how an answer differs from what the case expects."""
        try:
            value = self._question().read(parse_json(body, max_values=_MAX_VALUES))
            result = case_result(self._case, Reply(value))
        except ValueError as error:
            return f"the answer cannot be read: {error}"
        except AcceptanceError as error:
            # An image whose lock is older than the statement has no package for it.
            return f"the answer cannot be judged: {error.problems[0].message}"
        if not result.faults:
            return None
        fault = result.faults[0]
        at = f"at {fault.at}: " if fault.at else ""
        # The log is no place for a whole answer.
        answered, expected = shown(fault.answered, _SHOWN), shown(fault.expected, _SHOWN)
        return f"{at}the answer is {answered}, expected {expected}"

    async def _answer(self) -> bytes:
        asked = self._asked()
        if asked.length_check:
            counted = await self._request(COUNTING_PATH, asked.length_check.body)
            asked = replace(asked, body=asked.length_check.fitted(asked.body, counted))
        body = await self._request(asked.target, asked.body)
        return asked.shape(body) if asked.shape else body

    async def _request(self, target: str, body: bytes) -> bytes:
        return await worker_answer(self._service, "POST", target, body)

    def _question(self) -> Question:
        return case_question(self._case, self._service.lock, _FILES)

    def _asked(self) -> Asked:
        served = self._service.served
        values = {**self._question().body, "model": served.model}
        if "stream" in values:
            # The expectation is of the whole answer.
            values["stream"] = False
        for endpoint in offered(served):
            if endpoint.path == self._path:
                return endpoint.prepare(values, served)
        raise failure("ROUTE_UNKNOWN", f"the kit has no endpoint {self._path}")
