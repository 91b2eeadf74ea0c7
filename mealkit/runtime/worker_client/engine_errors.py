"""Reads the error answers of workers: mealkit's own problems, and those of an engine's server.

The engine's traits translate messages of the engine. For other messages the HTTP status decides,
with OpenAI's meaning. An answer that is neither becomes ``ENGINE_ANSWER``, with its text.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from mealkit.errors import Problem, problem, problem_of_json
from mealkit.recipe.traits import EngineTraits
from mealkit.runtime.worker_client.pool import WorkerAnswer
from mealkit.worker.openai_errors import MOST_PROBLEMS

_SHOWN_CHARACTERS = 1000

# What servers append to a sentence: "... (parameter=input_tokens, value=17)".
_APPENDIX = re.compile(r" \(parameter=[^()]*\)$")


def problems_of(answer: WorkerAnswer, engine: EngineTraits) -> list[Problem]:
    """Return the problems in a worker's error answer; ``ENGINE_ANSWER`` if it has none."""
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        content = None
    return problems_of_error(content, answer.status, engine)


def problems_of_error(content: Any, status: int, engine: EngineTraits) -> list[Problem]:
    """Return the problems in ``{"error": {...}}``; mealkit's own workers may name several."""
    first = _problem_of_error(content, status, engine)
    error = content.get("error") if isinstance(content, Mapping) else None
    listed = error.get("problems") if isinstance(error, Mapping) else None
    several = listed[:MOST_PROBLEMS] if isinstance(listed, list) else []
    found = [item for form in several if (item := problem_of_json(form))]
    return found if found and found[0].code == first.code else [first]


def _problem_of_error(content: Any, status: int, engine: EngineTraits) -> Problem:
    """Return the problem in ``{"error": {...}}``: a whole answer, or an event of a stream.

    ``status`` is the answer's. An error in a stream may have its status in ``error.code``, which
    then takes precedence.
    """
    error = content.get("error") if isinstance(content, Mapping) else None
    if not isinstance(error, Mapping):
        message = f"the engine answered {status} without a known problem"
        return problem("ENGINE_ANSWER", message)
    found = problem_of_json(error)
    if found:
        return found
    said: Any = error.get("message")
    code: Any = error.get("code")
    if not isinstance(said, str):
        return problem("ENGINE_ANSWER", f"the engine answered {status} without a known problem")
    message = _APPENDIX.sub("", said)
    status = code if type(code) is int else status
    where = error.get("param")
    return engine.error_meaning(message, status) or _by_status(
        message, status, where if isinstance(where, str) else None
    )


def _by_status(message: str, status: int, where: str | None) -> Problem:
    shown = message[:_SHOWN_CHARACTERS]
    match status:
        case 400 | 413 | 422:
            return problem(
                "REQUEST_INVALID", f"the engine refuses the request: {shown}", where=where
            )
        case 501:
            return problem(
                "REQUEST_UNSUPPORTED", f"the engine does not support this: {shown}", where=where
            )
        case 429 | 503:
            return problem("REQUEST_BUSY", f"the engine accepts no more requests: {shown}")
        case _:
            return problem("ENGINE_ANSWER", f"the engine answered {status}: {shown}")
