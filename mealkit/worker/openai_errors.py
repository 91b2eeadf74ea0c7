"""Errors in OpenAI's shape, with mealkit's fields beside it: what gateway and workers answer.

Standard library only. The shape: https://platform.openai.com/docs/guides/error-codes
"""

import json
from typing import Any

from mealkit.errors import CATALOGUE, MealkitError, Problem
from mealkit.worker.event_stream import event

# Of a message and a place: what they quote of a request may be much longer.
_MOST_CHARACTERS = 2000


def status_of(problem: Problem) -> int:
    """Return the HTTP status that the catalogue gives a problem."""
    return CATALOGUE[problem.code].http_status


def openai_error(problem: Problem) -> dict[str, Any]:
    """Return a problem as OpenAI's error object: message, type, code and param, and all of ours."""
    status = status_of(problem)
    where = problem.where and problem.where[:_MOST_CHARACTERS]
    return {
        **problem.as_json(),
        "message": problem.message[:_MOST_CHARACTERS],
        "where": where,
        "type": _type(status),
        # What the caller cannot change is no parameter of theirs.
        "param": where if status < 500 else None,
    }


def error_answer(error: MealkitError) -> tuple[int, bytes]:
    """Write an error's first problem; return the HTTP status and the body."""
    first = error.problems[0]
    return status_of(first), json.dumps({"error": openai_error(first)}).encode()


def error_event(error: MealkitError) -> bytes:
    """Write an error's first problem as a server-sent event, the last of a stream that fails."""
    return event(error_answer(error)[1].decode())


def _type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"
