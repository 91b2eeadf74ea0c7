"""The middleware around every request: an id, the recipe in the headers, a log line, the metrics.

It turns all errors of endpoints, also unexpected exceptions, into answers. Bodies are never logged.
"""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mealkit.errors import MealkitError, Problem, problem
from mealkit.runtime.exchanges import EXCHANGE, Exchange, Outcome, exemplar_of
from mealkit.runtime.gateway.cors import Cors
from mealkit.runtime.gateway.kit_page import door
from mealkit.runtime.gateway.path_spellings import Paths
from mealkit.runtime.gateway.problem_answers import (
    DataRefusedError,
    new_request_id,
    problem_answer,
)
from mealkit.runtime.gateway.service import Service

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

# nginx's status for a caller that disconnected before the answer; only in logs and metrics.
CLIENT_GONE = 499

# Browsers must not guess the type of an answer.
_NO_GUESSING = (b"x-content-type-options", b"nosniff")

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="mealkit"'}
# RFC 9110, section 12.5.3: the encodings of bodies that this server accepts.
_ENCODINGS = {"Accept-Encoding": "gzip, identity"}
_HEADERS = {"REQUEST_KEY": _CHALLENGE, "REQUEST_MEDIA_TYPE": _ENCODINGS}


class RequestMiddleware:
    """ASGI middleware around every endpoint."""

    def __init__(self, app: ASGIApp, service: Service, paths: Paths) -> None:
        self._app = app
        self._service = service
        self._paths = paths
        self._cors = Cors(service.settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        # Within an app, Starlette's routes raise an exception for unknown paths and methods.
        scope["app"] = self
        if scope["path"] not in self._paths:
            scope["path"] = self._paths.usual(scope["path"])
        exchange = self._begun(scope)
        scope["state"] = {"request_id": exchange.request_id, "caller": "", "reached": False}

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                self._mark(message, scope, exchange)
            else:
                exchange.sent(message.get("body", b""))
            await send(message)

        with self._service.open_request():
            try:
                await self._answer(scope, receive, send_marked)
            except ClientDisconnect:
                exchange.outcome = Outcome.CUT
            except Exception as error:  # noqa: BLE001  a bug needs an answer, too
                fault = self._admit_bug(error, exchange.request_id)
                if not exchange.status:
                    answer = problem_answer(fault, exchange.request_id)
                    await answer(scope, receive, send_marked)
            self._end(scope, exchange)

    def _begun(self, scope: Scope) -> Exchange:
        exchange = Exchange(
            request_id=_request_id(scope),
            method=scope["method"],
            path=scope["path"],
            began_unix_seconds=time.time(),
            began_seconds=time.perf_counter(),
        )
        EXCHANGE.set(exchange)
        for arrived in self._service.arrivals:
            arrived(exchange, scope)
        return exchange

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        if self._cors.is_on and (permission := self._cors.preflight(scope)):
            await permission(scope, receive, send)
            return
        violations: Sequence[Mapping[str, Any]] = ()
        others: Sequence[Problem] = ()
        try:
            state["caller"] = EXCHANGE.get().caller = self._service.authenticate(scope)
            await self._app(scope, receive, send)
        except HTTPException as error:
            fault, headers = self._no_endpoint(scope, error), error.headers
            self._service.note_problem(fault)
        except MealkitError as error:
            fault = self._service.explain(error)
            headers = _HEADERS.get(fault.code)
            if fault.code == "REQUEST_KEY" and (page := await door(scope, _CHALLENGE)):
                await page(scope, receive, send)
                return
            if isinstance(error, DataRefusedError):
                violations = error.violations
            else:
                others = error.problems[1:]
        else:
            return
        contact = self._service.contact(fault)
        answer = problem_answer(
            fault, state["request_id"], contact, dict(headers or {}), violations, others
        )
        await answer(scope, receive, send)

    def _mark(self, message: Message, scope: Scope, exchange: Exchange) -> None:
        headers = MutableHeaders(scope=message)
        headers["X-Mealkit-Recipe"] = self._service.recipe
        headers["X-Mealkit-Salt"] = self._service.salt
        headers["X-Request-Id"] = exchange.request_id
        headers.raw.extend(exchange.headers)
        if self._cors.is_on:
            self._cors.mark(scope, headers)
        headers.raw.append(_NO_GUESSING)
        # A caller's next connection goes to a kit that is ready.
        if message["status"] == 413 or self._service.is_leaving:
            headers["Connection"] = "close"

    def _no_endpoint(self, scope: Scope, error: HTTPException) -> Problem:
        """Return the problem of an unknown endpoint or method."""
        path = scope["path"][:200]
        if error.status_code == 405:
            return problem("METHOD_UNKNOWN", f"{path} does not accept {scope['method']}")
        hint = self._paths.hint(path)
        return problem("ROUTE_UNKNOWN", f"there is no endpoint {path}", hint=hint)

    def _admit_bug(self, error: Exception, request_id: str) -> Problem:
        self._service.journal.error("bug", request_id=request_id, error=repr(error))
        fault = problem("INTERNAL", f"the gateway failed with {type(error).__name__}")
        self._service.note_problem(fault)
        return fault

    def _end(self, scope: Scope, exchange: Exchange) -> None:
        exchange.ended_seconds = time.perf_counter()
        exchange.status = exchange.status or CLIENT_GONE
        exchange.notes["seconds"] = round(exchange.ended_seconds - exchange.began_seconds, 6)
        exchange.outcome = _outcome(exchange)
        self._service.ended(exchange)
        self._note(scope, exchange.status, exchange.notes)

    def _note(self, scope: Scope, status: int, notes: dict[str, Any]) -> None:
        path, caller = scope["path"], scope["state"]["caller"]
        known = path in self._paths
        # A refusal takes almost no time, and would make the kit look faster than it is.
        is_refusal = not scope["state"]["reached"] and (status >= 400 or "code" in notes)
        seconds = None if is_refusal else notes["seconds"]
        exemplar = exemplar_of(EXCHANGE.get()) if seconds is not None else None
        self._service.metrics.answered(path if known else "other", status, seconds, exemplar)
        # Probes come every few seconds and would fill the log.
        write = self._service.journal.info if scope["method"] == "POST" else None
        (write or self._service.journal.debug)(
            "request",
            request_id=scope["state"]["request_id"],
            **({"key": caller} if caller else {}),
            method=scope["method"],
            path=path[:200],
            status=status,
            **notes,
        )


def _outcome(exchange: Exchange) -> Outcome:
    if exchange.outcome is Outcome.CUT:
        return Outcome.CUT
    if exchange.problem is None and exchange.status < 400:
        return Outcome.ANSWERED
    return Outcome.REFUSED if exchange.reached_seconds is None else Outcome.FAILED


def _request_id(scope: Scope) -> str:
    """Return the caller's id if it is safe for log and headers; otherwise create one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return str(value, "ascii")
    return new_request_id()
