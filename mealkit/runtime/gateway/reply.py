"""Writes one answer to a caller: whole, or as a stream that is kept alive while it waits."""

import asyncio
import json
from collections.abc import Sequence
from types import TracebackType

from starlette.requests import ClientDisconnect
from starlette.types import Send

from mealkit.errors import Problem
from mealkit.runtime.api.endpoint import Asked, StreamForm
from mealkit.runtime.api.file_answer import FileAnswer
from mealkit.runtime.gateway.problem_answers import JsonAnswer, problem_content

# A caller that does not read has this long to take the event that ends its stream.
_LAST_EVENT_SECONDS = 2.0

_PIECE_BYTES = 256 * 1024

# A line that begins with a colon is a comment, which clients skip.
_COMMENT = b": waiting\n\n"


class Reply:
    """The answer to the caller."""

    def __init__(self, send: Send, request_id: str) -> None:
        """Write with ``send``."""
        self._send = send
        self._request_id = request_id
        self._seed: int | None = None
        self._warnings = ""
        self._system_prompt = ""
        self._form: StreamForm | None = None
        self.wrote_seconds = 0.0
        """When the last event was sent, by the clock of the event loop."""
        self.has_begun = False
        """Whether a part of the answer was sent, so that its status cannot change."""

    def prepare(self, asked: Asked) -> None:
        """Prepare the answer to a request that was read."""
        self._seed = asked.seed
        self._warnings = asked.data_warnings
        self._system_prompt = asked.system_prompt
        self._form = asked.stream_form() if asked.stream_form else None

    async def whole(self, body: bytes) -> None:
        """Send a whole answer."""
        await self._send_whole(body, [(b"content-type", JsonAnswer.media_type.encode())])

    async def file(self, file: FileAnswer) -> None:
        """Send a file of the kit's code; a browser stores it, and runs nothing that is in it."""
        headers = [
            (b"content-type", file.media_type.encode()),
            (b"content-disposition", b"attachment"),
            (b"content-security-policy", b"default-src 'none'; sandbox"),
        ]
        await self._send_whole(file.data, headers)

    async def _send_whole(self, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.has_begun = True
        await self._start([*headers, (b"content-length", b"%d" % len(body))])
        # A large answer is sent in pieces: copying it in one step would block other requests.
        for start in range(0, len(body) - _PIECE_BYTES, _PIECE_BYTES):
            await self.more(body[start : start + _PIECE_BYTES])
        last = (len(body) - 1) // _PIECE_BYTES * _PIECE_BYTES if body else 0
        await self._send({"type": "http.response.body", "body": body[last:]})

    async def begin(self) -> None:
        """Begin a stream, unless it has begun already."""
        if self.has_begun:
            return
        self.has_begun = True
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            # Otherwise nginx would buffer the events.
            (b"x-accel-buffering", b"no"),
        ]
        await self._start(headers)

    async def events(self, data: bytes) -> None:
        """Send whole events of the worker, in the form that the caller gets."""
        await self.more(self._form.take(data) if self._form else data)

    async def more(self, data: bytes) -> None:
        """Send a part of the answer; waits while the caller does not read."""
        self.wrote_seconds = asyncio.get_running_loop().time()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """End a stream."""
        await self._send({"type": "http.response.body", "body": b""})

    async def fail(self, problems: Sequence[Problem]) -> None:
        """End a stream with problems; stop waiting if the caller does not read it."""
        error = problem_content(problems[0], self._request_id, others=problems[1:])
        if self._form:
            events = self._form.fail(error)
        else:
            events = f"data: {json.dumps({'error': error})}\n\n".encode()
        try:
            async with asyncio.timeout(_LAST_EVENT_SECONDS):
                await self.more(events)
                await self.end()
        except TimeoutError as late:
            raise ClientDisconnect from late

    async def _start(self, headers: list[tuple[bytes, bytes]]) -> None:
        if self._seed is not None:
            headers.append((b"x-mealkit-seed", b"%d" % self._seed))
        if self._warnings:
            headers.append((b"x-mealkit-data-warnings", self._warnings.encode()))
        if self._system_prompt:
            headers.append((b"x-mealkit-system-prompt", self._system_prompt.encode()))
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})


class KeepAlive:
    """Sends comments while a stream is silent, so that proxies and clients do not give up.

    The first one also begins the answer, so an error after it is an event and not a status.
    """

    def __init__(self, reply: Reply, seconds: int) -> None:
        """Prepare; ``seconds`` is the longest silence, 0 for any."""
        self._reply = reply
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._comment: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        if self._seconds:
            loop = asyncio.get_running_loop()
            self._reply.wrote_seconds = loop.time()
            self._timer = loop.call_later(self._seconds, self._look)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A comment that waits for its caller is sent before whatever is sent next.
        if self._timer:
            self._timer.cancel()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._reply.wrote_seconds + self._seconds - loop.time()
        if left <= 0:
            left = self._seconds
            if self._comment is None or self._comment.done():
                self._comment = loop.create_task(self._send_comment())
        self._timer = loop.call_later(left, self._look)

    async def _send_comment(self) -> None:
        await self._reply.begin()
        await self._reply.more(_COMMENT)
