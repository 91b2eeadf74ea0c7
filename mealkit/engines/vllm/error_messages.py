"""The meanings of error messages from vLLM's server, if their status alone is not enough.

The messages are those of vLLM 0.32 and 0.33: vllm/renderers/params.py,
vllm/entrypoints/serve/exception_handling/error_response.py, vllm/v1/engine/exceptions.py,
vllm/sampling_params.py.
"""

import re

from mealkit.errors import Problem, problem
from mealkit.worker.measuring import too_long

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
_GREEDY_COPIES = re.compile(r"n must be 1 when using greedy sampling, got (?P<count>\d+)\.")
# The messages for callers in 0.33, and in 0.32.
_ENGINE_DEAD = (
    "The server had an error while processing your request.",
    "EngineCore encountered an issue. See stack trace (above) for the root cause.",
)


def error_meaning(message: str, status: int) -> Problem | None:
    """Return the problem that a message means; None: only its status is known."""
    if status == 500 and message in _ENGINE_DEAD:
        return problem("ENGINE_DIED", "the engine's core ended during the request")
    if match := _TOO_MANY_TOKENS.search(message) or _TOO_LONG_INPUT.search(message):
        some = match.groupdict().get("some") or ""
        return _too_long(f"{some}{match['count']} tokens", match["limit"])
    if match := _TOO_MANY_CHARACTERS.search(message):
        return _too_long(f"{match['count']} characters", match["limit"])
    if match := _TOO_MUCH_ASKED.search(message):
        text = f"{match['name']} is {match['count']}, the limit is {match['limit']} tokens"
        return problem("REQUEST_TOO_LONG", text, where=match["name"])
    if match := _GREEDY_COPIES.search(message):
        text = f"n is {match['count']}, but without chance (temperature 0) every answer is the same"
        return problem("REQUEST_INVALID", text, where="n", hint="send n: 1, or a temperature")
    return None


def _too_long(size: str, limit_tokens: str) -> Problem:
    return too_long(f"the input has {size}", int(limit_tokens), None).problems[0]
