"""Writes errors in OpenAI's format with mealkit's additional fields, for gateway and workers.

Standard library only. Format: https://platform.openai.com/docs/guides/error-codes
"""

import json
from collections.abc import Sequence
from typing import Any

from mealkit.errors import CATALOGUE, MealkitError, Problem
from mealkit.worker.event_stream import event

# Clients shorten a conversation when they see this code.
_OPENAI_CODES = {"REQUEST_TOO_LONG": "context_length_exceeded"}
MOST_PROBLEMS = 10
"""The most problems of one error that are told."""
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


def error_for_callers(problem: Problem, others: Sequence[Problem] = ()) -> dict[str, Any]:
    """Return the error object with OpenAI's code, if it has one, and mealkit's beside it.

    With ``others`` the message names every problem, because many clients show nothing else, and
    ``problems`` has each by itself; everything else is the first one's.
    """
    code = _OPENAI_CODES.get(problem.code, problem.code)
    content = {**openai_error(problem), "code": code, "mealkit_code": problem.code}
    if not others:
        return content
    listed = [openai_error(item) for item in (problem, *others[: MOST_PROBLEMS - 1])]
    left = 1 + len(others) - len(listed)
    said = "; ".join(item["message"] for item in listed) + (f"; and {left} more" if left else "")
    content["message"] = f"{1 + len(others)} problems: {said}"[:_MOST_CHARACTERS]
    names = ("code", "message", "param", "where", "owner", "hint")
    content["problems"] = [{name: item[name] for name in names} for item in listed]
    return content


def error_answer(error: MealkitError) -> tuple[int, bytes]:
    """Return HTTP status and body for an error: its first problem, and all of them if several."""
    first, *others = error.problems
    content = openai_error(first)
    if others:
        every = error.problems[:MOST_PROBLEMS]
        content["problems"] = [item.as_json() for item in every]
    return status_of(first), json.dumps({"error": content}).encode()


def error_event(error: MealkitError) -> bytes:
    """Return an error as the last event of a failed stream."""
    return event(error_answer(error)[1].decode())


def _type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"
