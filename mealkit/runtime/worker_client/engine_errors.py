"""What the error answers of workers mean: mealkit's own problems, and those of vLLM's server.

Refuses to guess: an answer that is neither is ``ENGINE_ANSWER``, with what it says.
The messages are those of vLLM 0.32 and 0.33: vllm/renderers/params.py,
vllm/entrypoints/serve/exception_handling/error_response.py, vllm/v1/engine/exceptions.py.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from mealkit.errors import Problem, problem, problem_of_json
from mealkit.runtime.worker_client.pool import Answer

_SHOWN_CHARACTERS = 1000

_LIMIT = r"This model's maximum context length is (?P<limit>\d+) tokens\."
_TOO_MANY_TOKENS = re.compile(
    _LIMIT + r".*?(?:contains|resulted in) (?P<some>at least )?(?P<count>\d+) (?:input )?tokens",
    re.DOTALL,
)
_TOO_MANY_CHARACTERS = re.compile(_LIMIT + r".*?contains (?P<count>\d+) characters", re.DOTALL)
_TOO_LONG_INPUT = re.compile(
    r"Input length \((?P<count>\d+)\) exceeds model's maximum context length \((?P<limit>\d+)\)"
)
_TOO_MUCH_ASKED = re.compile(
    r"(?P<name>max_(?:completion_)?tokens)=(?P<count>\d+) cannot be greater than"
    r" max_model_len=(?P<limit>\d+)"
)
# vLLM appends what it was about to the sentence: "... (parameter=input_tokens, value=17)".
_APPENDIX = re.compile(r" \(parameter=[^()]*\)$")
# What 0.33 tells callers, and what 0.32 told them.
_ENGINE_DEAD = (
    "The server had an error while processing your request.",
    "EngineCore encountered an issue. See stack trace (above) for the root cause.",
)


def problem_of(answer: Answer) -> Problem:
    """Read the problem in a worker's error answer; one that has none is a problem of its own."""
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        content = None
    return problem_of_error(content, answer.status)


def problem_of_error(content: Any, status: int) -> Problem:
    """Read the problem in ``{"error": {...}}``: a whole answer, or an event of a stream.

    ``status`` is the answer's. An error within a stream has its status in ``error.code``, as vLLM
    writes it; that one decides, if it is there.
    """
    error = content.get("error") if isinstance(content, Mapping) else None
    if not isinstance(error, Mapping):
        message = f"the engine answered {status} and named no known problem"
        return problem("ENGINE_ANSWER", message)
    found = problem_of_json(error)
    if found:
        return found
    said: Any = error.get("message")
    code: Any = error.get("code")
    if not isinstance(said, str):
        return problem("ENGINE_ANSWER", f"the engine answered {status} and named no known problem")
    where = error.get("param")
    return _of_vllm(
        _APPENDIX.sub("", said),
        code if type(code) is int else status,
        where if isinstance(where, str) else None,
    )


def _of_vllm(message: str, status: int, where: str | None) -> Problem:
    too_long = _too_long(message)
    if too_long:
        return too_long
    shown = message[:_SHOWN_CHARACTERS]
    match status:
        case 400 | 413 | 422:
            return problem(
                "REQUEST_INVALID", f"the engine refuses the request: {shown}", where=where
            )
        case 501:
            return problem(
                "REQUEST_UNSUPPORTED", f"the engine does not do this: {shown}", where=where
            )
        case 429 | 503:
            return problem("REQUEST_BUSY", f"the engine takes no more requests: {shown}")
        case 500 if message in _ENGINE_DEAD:
            return problem("ENGINE_DIED", "the engine's core ended during the request")
        case _:
            return problem("ENGINE_ANSWER", f"the engine answered {status}: {shown}")


def _too_long(message: str) -> Problem | None:
    if match := _TOO_MANY_TOKENS.search(message) or _TOO_LONG_INPUT.search(message):
        some = match.groupdict().get("some") or ""
        text = f"the input has {some}{match['count']} tokens, the limit is {match['limit']}"
    elif match := _TOO_MANY_CHARACTERS.search(message):
        text = (
            f"the input has {match['count']} characters, more than the limit of {match['limit']}"
            " tokens can hold"
        )
    elif match := _TOO_MUCH_ASKED.search(message):
        text = f"{match['name']} is {match['count']}, the limit is {match['limit']} tokens"
        return problem("REQUEST_TOO_LONG", text, where=match["name"])
    else:
        return None
    return problem("REQUEST_TOO_LONG", text)
