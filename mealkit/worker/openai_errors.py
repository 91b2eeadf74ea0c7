"""Writes errors in OpenAI's format with mealkit's additional fields, for gateway and workers.

Standard library only. Format: https://platform.openai.com/docs/guides/error-codes
"""

import json
from typing import Any

from mealkit.errors import CATALOGUE, MealkitError, Problem
from mealkit.worker.event_stream import event

# Clients shorten a conversation when they see this code.
_OPENAI_CODES = {"REQUEST_TOO_LONG": "context_length_exceeded"}
# The limit for message and place, which may quote a long part of a request.
_MOST_CHARACTERS = 2000


def status_of(problem: Problem) -> int:
    """Return the HTTP status that the catalogue gives a problem."""
    return CATALOGUE[problem.code].http_status


def openai_error(problem: Problem) -> dict[str, Any]:
    """Return a problem as OpenAI's error object (message, type, code, param) and our fields."""
    status = status_of(problem)
    where = problem.where and problem.where[:_MOST_CHARACTERS]
    return {
        **problem.as_json(),
        "message": problem.message[:_MOST_CHARACTERS],
        "where": where,
        "type": _type(status),
        # Errors of the server are not about a parameter of the caller.
        "param": where if status < 500 else None,
    }


def error_for_callers(problem: Problem) -> dict[str, Any]:
    """Return the error object with OpenAI's code, if it has one, and mealkit's beside it."""
    code = _OPENAI_CODES.get(problem.code, problem.code)
    return {**openai_error(problem), "code": code, "mealkit_code": problem.code}


def error_answer(error: MealkitError) -> tuple[int, bytes]:
    """Return HTTP status and body for an error's first problem."""
    first = error.problems[0]
    return status_of(first), json.dumps({"error": openai_error(first)}).encode()


def error_event(error: MealkitError) -> bytes:
    """Return an error's first problem as the last event of a failed stream."""
    return event(error_answer(error)[1].decode())


def _type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"
