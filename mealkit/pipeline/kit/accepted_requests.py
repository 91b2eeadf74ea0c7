"""Tries the requests of claims and cases as the gateway reads them, without an engine.

A request that the gateway would refuse, such as one with a parameter that the kit pins, would fail
for each row of a claim.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mealkit.errors import MealkitError, Problem, problem
from mealkit.kit.document import Path
from mealkit.recipe.cases import Case
from mealkit.recipe.lock import Lock
from mealkit.recipe.task_endpoints import case_endpoint
from mealkit.runtime.api.endpoints import offered
from mealkit.runtime.api.served_model import ServedModel


class Gateway:
    """What a kit's gateway accepts."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._served = ServedModel.of(lock)
        self._endpoints = {endpoint.path: endpoint for endpoint in offered(self._served)}

    def refusal(self, path: str, body: Mapping[str, Any]) -> tuple[str, str | None] | None:
        """Return why the gateway refuses a request, and the hint; None if it accepts it."""
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            return f"the kit has no endpoint {path}", f"one of these: {', '.join(self._endpoints)}"
        try:
            endpoint.prepare(json.loads(json.dumps(body)), self._served)
        except MealkitError as error:
            return error.problems[0].message, error.problems[0].hint
        return None

    def case_problems(self, where: Callable[[Path], str]) -> Iterator[Problem]:
        """Yield a problem for each case whose request is refused, with its line."""
        for index, case in enumerate(self._lock.cases):
            body = {"model": self._lock.model.name, **case.request, **_with_files(case)}
            if found := self.refusal(case_endpoint(case, self._lock), body):
                message = f"cases.{case.name}: its request would be refused: {found[0]}"
                place = where(("cases", index, "request"))
                yield problem("KIT_INVALID", message, where=place, hint=found[1])


def _with_files(case: Case) -> dict[str, Any]:
    given = case.request.get("input")
    if not case.files or not isinstance(given, dict | None):
        return {}
    return {"input": {**(given or {}), **dict.fromkeys(case.files, "data:,")}}
