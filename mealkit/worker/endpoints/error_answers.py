"""Errors in OpenAI's shape, with mealkit's fields beside it. Standard library only."""

import json
from typing import Any

from mealkit.errors import CATALOGUE, MealkitError
from mealkit.worker.endpoints.call import event

MOST_CHARACTERS = 2000
"""Of a message and a place: what they quote of a request may be much longer."""


def error_answer(error: MealkitError) -> tuple[int, bytes]:
    """Write an error's first problem; return the HTTP status and the body."""
    status, content = _content(error)
    return status, json.dumps(content).encode()


def error_event(error: MealkitError) -> bytes:
    """Write an error's first problem as a server-sent event, the last of a stream that fails."""
    return event(json.dumps(_content(error)[1]))


def _content(error: MealkitError) -> tuple[int, dict[str, Any]]:
    first = error.problems[0]
    status = CATALOGUE[first.code].http_status
    content = {
        "message": first.message[:MOST_CHARACTERS],
        "type": "invalid_request_error" if status < 500 else "server_error",
        "code": first.code,
        "param": first.where.partition("[")[0] if first.where and status < 500 else None,
        "owner": first.owner.value,
        "hint": first.hint,
        "where": first.where and first.where[:MOST_CHARACTERS],
    }
    return status, {"error": content}
