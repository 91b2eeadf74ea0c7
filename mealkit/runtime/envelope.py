"""What every request goes through: an id, the recipe in the headers, a log line, the counters.

Refuses nothing itself; what an endpoint refuses, and what it did not foresee, becomes an answer
here. Bodies are never logged.
"""

import os
import re
import time
from collections.abc import Collection

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mealkit.errors import problem
from mealkit.runtime.answers import problem_answer
from mealkit.runtime.service import Service
from mealkit.runtime.state import Status

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

# nginx's number for a caller that went away before the answer; seen in logs and metrics only.
CLIENT_GONE = 499


class Envelope:
    """ASGI middleware around every endpoint."""

    def __init__(self, app: ASGIApp, service: Service, routes: Collection[str]) -> None:
        self._app = app
        self._service = service
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        request_id = _request_id(scope)
        scope["state"] = {"request_id": request_id}
        status = 0

        async def send_enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Mealkit-Recipe"] = self._service.recipe
                headers["X-Request-Id"] = request_id
                if status == 413 or self._service.lifecycle.status is Status.DRAINING:
                    headers["Connection"] = "close"
            await send(message)

        with self._service.open_request():
            try:
                await self._app(scope, receive, send_enveloped)
            except ClientDisconnect:
                status = status or CLIENT_GONE
            except Exception as error:  # noqa: BLE001  a bug must be answered too
                self._service.journal.error("bug", request_id=request_id, error=repr(error))
                fault = problem("INTERNAL", f"the gateway failed with {type(error).__name__}")
                self._service.metrics.failed(fault)
                if not status:
                    await problem_answer(fault, request_id)(scope, receive, send_enveloped)
        self._note(scope, request_id, status or CLIENT_GONE, time.perf_counter() - began)

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        path = scope["path"]
        known = path in self._routes
        self._service.metrics.answered(path if known else "other", status, seconds)
        # Probes come every few seconds, and say nothing new.
        write = self._service.journal.info if scope["method"] == "POST" else None
        (write or self._service.journal.debug)(
            "request",
            request_id=request_id,
            method=scope["method"],
            path=path[:200],
            status=status,
            seconds=round(seconds, 6),
        )


def _request_id(scope: Scope) -> str:
    """Keep the caller's id, if it can stand in a log and a header; make one otherwise."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return str(value, "ascii")
    return os.urandom(16).hex()
