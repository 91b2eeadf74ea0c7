"""Builds an example command that calls a running kit: its first case, or one for its task."""

import json
import shlex
from collections.abc import Mapping
from typing import Any, assert_never

from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.lock import Lock
from mealkit.recipe.task_endpoints import case_endpoint, first_case, task_endpoint

_TEXT = "A kit that works at 3 a.m."
# A longer command is none to copy from a terminal.
_LONGEST = 1000


def example_command(url: str, lock: Lock) -> str:
    """Return a curl command that calls the kit.

    Own code without a case is asked for its description, which says what it accepts.
    """
    case = first_case(lock)
    # A case with files has no request that fits into a command.
    if case and not case.files and len(body := _body(lock, case.request)) <= _LONGEST:
        return _post(url + case_endpoint(case, lock), body)
    values = _values(lock)
    if values is None:
        return f"curl {url}/openapi.json"
    path = task_endpoint(lock.model.task, lock.engine.features)
    return _post(url + path, _body(lock, values))


def _values(lock: Lock) -> dict[str, Any] | None:
    match lock.model.task:
        case Task.EMBEDDINGS | Task.CLASSIFICATION:
            return {"input": _TEXT}
        case Task.RERANKING:
            return {"query": "When does it work?", "documents": [_TEXT, "Soup."]}
        case Task.GENERATION if Feature.CHAT in lock.engine.features:
            return {"messages": [{"role": "user", "content": "Which kit works at 3 a.m.?"}]}
        case Task.GENERATION:
            return {"prompt": _TEXT}
        case Task.PREDICTION:
            return None
        case _:
            assert_never(lock.model.task)


def _body(lock: Lock, values: Mapping[str, Any]) -> str:
    return json.dumps({"model": lock.model.name, **values})


def _post(url: str, body: str) -> str:
    return f"curl {url} -H 'Content-Type: application/json' -d {shlex.quote(body)}"
