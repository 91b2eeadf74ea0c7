"""Writes answers in JSON: problems in OpenAI's error format with code, owner and hint, and objects.

Format: https://platform.openai.com/docs/guides/error-codes (message, type, code, param).
"""

import json
import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from mealkit.errors import DataError, Problem
from mealkit.worker.openai_errors import error_for_callers, status_of

# Seconds after which the caller should try again.
_RETRY_AFTER = {
    "REQUEST_BUSY": "1",
    "DRAINING": "1",
}
# The engine restarts in the meantime.
_RETRY_AFTER_503 = "5"


class DataRefusedError(DataError):
    """A request that the data contract refuses, with the first violations for the answer."""

    def __init__(
        self, problems: Sequence[Problem], violations: Sequence[Mapping[str, Any]]
    ) -> None:
        super().__init__(*problems)
        self.violations = violations


class JsonAnswer(Response):
    """A value as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode the value; bytes are JSON already."""
        if isinstance(content, bytes):
            return content
        return json.dumps(content, ensure_ascii=False).encode(errors="backslashreplace")


def problem_answer(
    problem: Problem,
    request_id: str,
    contact: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    violations: Sequence[Mapping[str, Any]] = (),
    others: Sequence[Problem] = (),
) -> JsonAnswer:
    """Answer with a problem; ``contact`` is the kit's, if its author owns the problem.

    ``violations`` are those of the data contract, if it refuses the request. ``others`` are further
    problems of the request.
    """
    status = status_of(problem)
    content = problem_content(problem, request_id, contact, others)
    if violations:
        content["violations"] = list(violations)
    retry = _RETRY_AFTER.get(problem.code) or (_RETRY_AFTER_503 if status == 503 else None)
    extra = {"Retry-After": retry} if retry else {}
    return JsonAnswer({"error": content}, status, {**extra, **(headers or {})})


def new_request_id() -> str:
    """Return an id for a request whose caller gave none."""
    return os.urandom(16).hex()


def refusal_bytes(problem: Problem, recipe: str, salt: str, request_id: str) -> bytes:
    """Return the whole answer to an unreadable request, after which the connection is closed."""
    body = json.dumps({"error": problem_content(problem, request_id)}).encode()
    status = HTTPStatus(status_of(problem))
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {JsonAnswer.media_type}",
        f"Content-Length: {len(body)}",
        f"X-Request-Id: {request_id}",
        f"X-Mealkit-Recipe: {recipe}",
        f"X-Mealkit-Salt: {salt}",
        "Connection: close",
        "\r\n",
    )
    return "\r\n".join(lines).encode() + body


def problem_content(
    problem: Problem,
    request_id: str,
    contact: dict[str, str] | None = None,
    others: Sequence[Problem] = (),
) -> dict[str, Any]:
    """Return a problem as OpenAI's error object, with the id of the request."""
    content = {**error_for_callers(problem, others), "request_id": request_id}
    if contact:
        content["contact"] = contact
    return content
