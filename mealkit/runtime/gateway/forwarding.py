"""Forwards one request from a caller to the engine, and the answer back, whole or as a stream.

Raises RequestError for invalid requests before the engine gets them. After a stream has begun, an
error becomes its last event, so that the caller always gets the reason.
"""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from mealkit.errors import MealkitError, failure, failures
from mealkit.runtime.api.endpoint import Asked, Counting, Endpoint
from mealkit.runtime.api.file_answer import Accepted, FileAnswer, file_of
from mealkit.runtime.api.prompt_length import COUNTING_PATH
from mealkit.runtime.api.usage import TokenUsage, usage_in, usage_of
from mealkit.runtime.exchanges import EXCHANGE
from mealkit.runtime.gateway.events import Events
from mealkit.runtime.gateway.fingerprint import Fingerprint
from mealkit.runtime.gateway.reply import KeepAlive, Reply
from mealkit.runtime.gateway.service import Service
from mealkit.runtime.worker_client.engine_errors import problems_of
from mealkit.runtime.worker_client.pool import WorkerLostError

# A larger answer is converted in a thread, so that other requests are not blocked.
_SHAPED_BYTES = 64 * 1024

_T = TypeVar("_T")


class Answering:
    """The ASGI application of one endpoint."""

    def __init__(self, service: Service, endpoint: Endpoint) -> None:
        self._service = service
        self._endpoint = endpoint
        is_marked = "system_fingerprint" in endpoint.answer.model_fields
        self._fingerprint = Fingerprint(service.lock.recipe) if is_marked else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            MealkitError: the request is refused, or fails, before any of the answer was sent.
        """
        EXCHANGE.get().endpoint = self._endpoint
        request = Request(scope, receive)
        reply = Reply(send, request.state.request_id)
        try:
            await self._answer(request, reply)
        except MealkitError as error:
            self._note_failure(request, error)
            if not reply.has_begun:
                raise
            self._service.explain(error)
            await reply.fail(error.problems)

    async def _answer(self, request: Request, reply: Reply) -> None:
        service = self._service
        if service.settings.is_edited:
            await service.version_ready()
        service.require_ready()
        limit_seconds = service.lock.serving.timeout_seconds
        try:
            async with asyncio.timeout(limit_seconds):
                with service.body_of(request) as held:
                    asked = await service.read(request, held, self._endpoint)
                    service.require_ready()
                    reply.prepare(asked)
                    silence = service.lock.serving.keepalive_seconds if asked.streams else 0
                    with KeepAlive(reply, silence):
                        async with service.admit(request, held):
                            await _unless_gone(request, self._work(request, asked, reply))
        except TimeoutError as error:
            message = f"there was no answer within {limit_seconds} seconds"
            if reply.has_begun:
                message = f"the answer was not finished within {limit_seconds} seconds"
            raise failure("REQUEST_TIMEOUT", message) from error
        except WorkerLostError as error:
            raise await service.explain_loss(error) from error

    async def _work(self, request: Request, asked: Asked, reply: Reply) -> None:
        if asked.to_count and self._service.gate:
            asked = await self._service.gate.counted(asked, self._count)
            reply.prepare(asked)
        try:
            if asked.length_check:
                counted = await self._count(asked.length_check.body)
                asked = replace(asked, body=asked.length_check.fitted(asked.body, counted))
            request.state.reached = EXCHANGE.get().reached_seconds = time.perf_counter()
            if asked.streams:
                await self._streamed(asked, reply)
            else:
                await self._whole(asked, reply, self._accepted(request))
        except MealkitError as error:
            if asked.renamed is None:
                raise
            raise failures([asked.renamed(problem) for problem in error.problems]) from error

    def _accepted(self, request: Request) -> Accepted | None:
        """Return the types that a caller accepts, if the answer may be a file."""
        stated = request.headers.get("accept")
        if stated is None or not self._endpoint.gives_file(self._service.served):
            return None
        return Accepted.of(stated)

    async def _count(self, body: bytes) -> bytes:
        return await self._ask(COUNTING_PATH, body)

    async def _whole(self, asked: Asked, reply: Reply, accepted: Accepted | None) -> None:
        began = time.perf_counter()
        body = await self._ask(asked.target, asked.body)
        if accepted and (file := await _file_answer(body, accepted)):
            self._note(TokenUsage(), time.perf_counter() - began, None)
            await reply.file(file)
            return
        usage = usage_of(body) if self._endpoint.counting is Counting.USAGE else TokenUsage()
        self._note(usage, time.perf_counter() - began, None)
        if asked.shape and len(asked.body) + len(body) > _SHAPED_BYTES:
            body = await asyncio.to_thread(asked.shape, body)
        elif asked.shape:
            body = asked.shape(body)
        elif self._fingerprint:
            body = self._fingerprint.of_whole(body)
        await reply.whole(body)

    async def _streamed(self, asked: Asked, reply: Reply) -> None:
        counts = self._endpoint.counting is Counting.USAGE
        service = self._service
        events = Events(counts=counts, wants_usage=asked.wants_usage, engine=service.traits)
        exchange = EXCHANGE.get()
        began = time.perf_counter()
        first_seconds: float | None = None
        async with service.upstream.stream(
            "POST", asked.target, asked.body, _trace_headers()
        ) as stream:
            if stream.status != 200:
                answer = await stream.rest()
                raise service.attribution.of_answer(problems_of(answer, service.traits))
            await reply.begin()
            while piece := await stream.piece():
                if data := events.take(piece):
                    if first_seconds is None:
                        exchange.first_seconds = time.perf_counter()
                        first_seconds = exchange.first_seconds - began
                    exchange.streamed_events += data.count(b"\n\n")
                    if self._fingerprint:
                        data = self._fingerprint.of_events(data)
                    await reply.events(data)
                if events.problems:
                    raise service.attribution.of_answer(events.problems)
        if not events.is_done:
            raise failure("ENGINE_ANSWER", "the engine's stream ended before its last event")
        usage = usage_in(events.usage) if events.usage else TokenUsage()
        self._note(usage, time.perf_counter() - began, first_seconds)
        await reply.end()

    async def _ask(self, target: str, body: bytes) -> bytes:
        """Return the worker's whole answer; raise its errors."""
        answer = await self._service.upstream.request("POST", target, body, _trace_headers())
        if answer.status != 200:
            raise self._service.attribution.of_answer(problems_of(answer, self._service.traits))
        return answer.body

    def _note_failure(self, request: Request, error: MealkitError) -> None:
        """Count a failure's seconds, unless the engine never got the request."""
        if began := request.state.reached:
            seconds, code = time.perf_counter() - began, error.problems[0].code
            self._service.metrics.missed(self._endpoint.operation, seconds, code)

    def _note(self, usage: TokenUsage, seconds: float, first_seconds: float | None) -> None:
        self._service.note_use(self._endpoint.operation, usage, seconds, first_seconds)


def _trace_headers() -> bytes:
    """Return the headers that make the engine's spans a part of the request's trace."""
    trace = EXCHANGE.get().trace
    return trace.engine_headers if trace else b""


async def _file_answer(body: bytes, accepted: Accepted) -> FileAnswer | None:
    """Return the file of an answer, if the caller prefers it to JSON.

    Raises:
        RequestError: ``REQUEST_ACCEPT``, the caller accepts neither.
    """
    file = await asyncio.to_thread(file_of, body)
    if file and accepted.wants(file.media_type):
        return file
    if accepted.takes_json:
        return None
    given = f"a file of the type {file.media_type}" if file else "no file"
    hint = f"accept {file.media_type}, */* or application/json" if file else "accept JSON, too"
    message = f"the answer is {given}, which Accept does not allow"
    raise failure("REQUEST_ACCEPT", message, where="Accept", hint=hint)


async def _unless_gone(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """Wait for the work, but cancel it if the caller disconnects.

    Raises:
        ClientDisconnect: the caller disconnected.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        gone.cancel()
        if not working.done():
            working.cancel()
            # The work must end before anything else is sent.
            await asyncio.wait({working})
