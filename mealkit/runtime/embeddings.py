"""``POST /v1/embeddings``: what the gateway takes, what it hands to the worker, what comes back.

Refuses unknown parameters, a second value of one, other models and other dimensions. The worker
gets a body written anew, never the caller's bytes. The shape is OpenAI's:
https://platform.openai.com/docs/api-reference/embeddings/create
"""

import json
import math
from typing import Any

from mealkit.engines.endpoints.embeddings import read_embedding_request
from mealkit.errors import MealkitError, Problem, failure, problem
from mealkit.runtime.process import read_problem
from mealkit.runtime.upstream import Answer

_OPTIONAL = ("dimensions", "encoding_format", "user")


def read_request(body: bytes, model_name: str, dimensions: int | None) -> bytes:
    """Check a caller's body; return the body for the worker.

    ``user`` is taken and dropped: OpenAI defines it as a mark of the caller's own end user, and it
    never changes an answer. ``dimensions`` must be the model's own. An optional parameter that is
    null counts as left out.

    Raises:
        RequestError: ``REQUEST_INVALID``, ``REQUEST_UNSUPPORTED``, ``REQUEST_MODEL`` or
            ``REQUEST_TOO_LARGE``, naming the parameter.
    """
    values = _read_object(body)
    for name in _OPTIONAL:
        if values.get(name, ...) is None:
            del values[name]
    _check_dimensions(values.pop("dimensions", None), dimensions)
    _check_user(values.pop("user", None))
    _refuse_tokens(values.get("input"))
    forwarded = json.dumps(values).encode()
    read_embedding_request(forwarded, model_name)
    return forwarded


def tokens_of(body: bytes) -> int:
    """Return the tokens of an answer's ``usage``, without reading its vectors.

    Raises:
        EngineError: ``ENGINE_ANSWER``, it has none.
    """
    # The rest of an answer is numbers and the model's name, so the last one is the real one.
    place = body.rfind(b'"usage"')
    tail = body[place + len(b'"usage"') :] if place >= 0 else b""
    try:
        usage, _ = _DECODER.raw_decode(tail.decode().lstrip(" :"))
        tokens = usage["total_tokens"]
    except (ValueError, KeyError, TypeError) as error:
        raise failure("ENGINE_ANSWER", "the engine's answer has no usage") from error
    if not isinstance(tokens, int):
        raise failure("ENGINE_ANSWER", f"the engine counted {tokens!r} tokens")
    return tokens


def dimensions_of(answer: Answer) -> int:
    """Return how long an answer's first vector is; its numbers are written as text.

    Raises:
        EngineError: ``ENGINE_ANSWER``, there is no vector, or its numbers are not finite.
    """
    try:
        vector = json.loads(answer.body)["data"][0]["embedding"]
        is_finite = all(math.isfinite(number) for number in vector)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise failure("ENGINE_ANSWER", "the engine's first answer holds no vector") from error
    if not vector or not is_finite:
        raise failure("ENGINE_ANSWER", "the engine's first answer is not a vector of numbers")
    return len(vector)


def problem_of(answer: Answer) -> Problem:
    """Read the problem in a worker's error answer; one that has none is a problem of its own."""
    try:
        content = json.loads(answer.body)["error"]
        found = read_problem(json.dumps(content))
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    message = f"the engine answered {answer.status} and named no known problem"
    return found or problem("ENGINE_ANSWER", message)


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        values = _STRICT_DECODER.decode(body.decode())
    except (ValueError, RecursionError) as error:
        raise failure("REQUEST_INVALID", f"the body is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise failure("REQUEST_INVALID", "the body is not a JSON object")
    return values


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise failure("REQUEST_INVALID", f"{twice!r} is given twice", where=twice)
    return values


def _check_dimensions(asked: Any, dimensions: int | None) -> None:
    if asked is None:
        return
    if type(asked) is not int:
        raise _invalid(f"dimensions is {type(asked).__name__}, expected int", "dimensions")
    if asked != dimensions:
        message = f"dimensions is {asked}, this model's vectors have {dimensions}"
        raise failure("REQUEST_UNSUPPORTED", message, where="dimensions")


def _check_user(user: Any) -> None:
    if user is not None and not isinstance(user, str):
        raise _invalid(f"user is {type(user).__name__}, expected text", "user")


def _refuse_tokens(value: Any) -> None:
    first = value[0] if isinstance(value, list) and value else None
    if type(first) is int or (isinstance(first, list) and first and type(first[0]) is int):
        raise failure(
            "REQUEST_UNSUPPORTED",
            "input is a list of token numbers, which another tokenizer may have made",
            where="input",
            hint="send the text itself (LangChain: check_embedding_ctx_length=False)",
        )


def _invalid(message: str, where: str) -> MealkitError:
    return failure("REQUEST_INVALID", message, where=where)


# json.loads would make a decoder for each request.
_DECODER = json.JSONDecoder()
_STRICT_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
