"""One connection to the worker: HTTP/1.1, one request at a time, its answer whole or as a stream.

Raises WorkerLostError for answers that are too large or are not HTTP. A general client would cost
more time per request than the gateway may use.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from mealkit.runtime.worker_client.response import ResponseError, ResponseReader

# 2048 vectors of 4096 numbers as text are 170 MB.
MAX_ANSWER_BYTES = 256 * 1024 * 1024

# The buffer for a slow reader of a stream; while it is full, the worker is not read from.
PENDING_BYTES = 64 * 1024


class WorkerLostError(Exception):
    """The worker cannot be reached, or its connection ended before the answer did."""


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """The whole answer of the worker."""

    status: int
    body: bytes


class WorkerConnection(asyncio.Protocol):
    """One connection: one request at a time, its answer assembled from the received data."""

    _transport: asyncio.Transport

    def __init__(self, hear: Callable[[], None]) -> None:
        """Prepare; ``hear`` is called whenever data arrives."""
        self._hear = hear
        self._reader = ResponseReader()
        self._news: asyncio.Future[None] | None = None
        self._error: WorkerLostError | None = None
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._streams = False
        self.is_paused = False
        self.is_open = False
        self.has_received = False
        self.has_ended = False

    @property
    def status(self) -> int:
        """The answer's HTTP status; 0 before it has arrived."""
        return self._reader.status

    async def begin(
        self, method: str, target: str, body: bytes, headers: bytes, *, streams: bool
    ) -> None:
        """Send a request; return when its answer is complete, or, for a stream, when it begins."""
        self.has_received = self.has_ended = False
        self._parts, self._size_bytes, self._streams = [], 0, streams
        self._reader = ResponseReader()
        self._resume()
        # One write, because two would wake the worker twice.
        self._transport.write(_head(method, target, len(body), headers) + body)
        while not (self.has_ended or (streams and self.status)):
            await self._wait()
        if self._error and not (streams and self.status):
            raise self._error

    def answer(self) -> WorkerAnswer:
        """Return the complete answer."""
        parts, self._parts = self._parts, []
        return WorkerAnswer(self.status, b"".join(parts))

    async def piece(self) -> bytes:
        """Return the received data; wait if there is none; empty at the end."""
        while not self._parts and not self.has_ended:
            await self._wait()
        if not self._parts and self._error:
            raise self._error
        data = b"".join(self._parts)
        self._parts, self._size_bytes = [], 0
        self._resume()
        return data

    def close(self) -> None:
        """Close the connection."""
        self.is_open = False
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport of the open connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  for the type checker
        self._transport = transport
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Read received data."""
        self.has_received = True
        self._hear()
        self._receive(data)

    def eof_received(self) -> None:
        """Handle the end of the received data."""
        # An answer without a length ends here.
        try:
            self._reader.end()
        except ResponseError:
            self._fail("the worker ended the connection")
        else:
            self._finish()
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail, unless the answer is whole."""
        self._fail(f"the connection to the worker broke: {exc}" if exc else "the worker ended")

    def _resume(self) -> None:
        if self.is_paused and self.is_open:
            self.is_paused = False
            self._transport.resume_reading()

    async def _wait(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        try:
            await self._news
        finally:
            self._news = None

    def _tell(self) -> None:
        if self._news and not self._news.done():
            self._news.set_result(None)

    def _receive(self, data: bytes) -> None:
        if self.has_ended:
            self._fail("the worker sent data without a request")
            return
        try:
            for part in self._reader.take(data):
                self._keep(part)
        except ResponseError as error:
            self._fail(f"the worker's answer is not valid HTTP: {error}")
            return
        if self._reader.is_done:
            self._finish()
        elif self._streams:
            self._tell()

    def _keep(self, part: bytes) -> None:
        self._size_bytes += len(part)
        self._parts.append(part)
        if self._streams:
            if self._size_bytes > PENDING_BYTES and not self.is_paused:
                self.is_paused = True
                self._transport.pause_reading()
        elif self._size_bytes > MAX_ANSWER_BYTES:
            raise ResponseError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")

    def _finish(self) -> None:
        if not self._reader.keeps_open:
            self.close()
        self.has_ended = True
        self._tell()

    def _fail(self, message: str) -> None:
        self.close()
        if not self.has_ended:
            self._error = WorkerLostError(message)
            self.has_ended = True
        self._tell()


def _head(method: str, target: str, size_bytes: int, headers: bytes) -> bytes:
    fixed = (
        f"{method} {target} HTTP/1.1\r\nHost: worker\r\nContent-Type: application/json\r\n"
        f"Content-Length: {size_bytes}\r\n"
    )
    return fixed.encode() + headers + b"\r\n"
