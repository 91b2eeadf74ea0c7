"""Calls the worker: HTTP/1.1 over its Unix socket, on connections that stay open.

Refuses answers that are too large or are not HTTP. Written on h11, which the gateway's server
brings, because a general client costs more per request than the gateway may.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import h11

# 2048 vectors of 4096 numbers, written as text, are 170 MB.
MAX_ANSWER_BYTES = 256 * 1024 * 1024


class WorkerLostError(Exception):
    """The worker is not there, or its connection ended before the answer did."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the worker answered, whole."""

    status: int
    body: bytes


class Upstream:
    """The worker's socket, with the connections to it that wait for their next request."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._idle: deque[_Connection] = deque()

    async def request(self, method: str, target: str, body: bytes = b"") -> Answer:
        """Send one request and return its answer; cancelled, it closes the connection.

        A request on a connection that the worker had closed meanwhile is sent once more, on a new
        one: a worker does not close a connection that carries a request, so it has not seen it.

        Raises:
            WorkerLostError: there is no worker, or it ended during the answer.
        """
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                try:
                    return await self._ask(connection, method, target, body)
                except WorkerLostError:
                    if connection.has_received:
                        raise
                    break
        return await self._ask(await self._connect(), method, target, body)

    def close(self) -> None:
        """Close the connections that wait."""
        while self._idle:
            self._idle.pop().close()

    async def _ask(
        self, connection: "_Connection", method: str, target: str, body: bytes
    ) -> Answer:
        answered = False
        try:
            answer = await connection.ask(method, target, body)
            answered = True
        finally:
            if not answered:
                connection.close()
        if connection.is_open:
            self._idle.append(connection)
        return answer

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_unix_connection(_Connection, self._path)
        except OSError as error:
            raise WorkerLostError(f"the worker cannot be reached: {error.strerror}") from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection: one request at a time, its answer gathered from what arrives."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT)
        self._answer: asyncio.Future[Answer] | None = None
        self._status = 0
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self.is_open = False
        self.has_received = False

    async def ask(self, method: str, target: str, body: bytes) -> Answer:
        self._answer = asyncio.get_running_loop().create_future()
        self.has_received = False
        self._parts, self._size_bytes = [], 0
        request = h11.Request(
            method=method,
            target=target,
            headers=[
                ("Host", "worker"),
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
            ],
        )
        head = self._http.send(request)
        data = self._http.send(h11.Data(data=body)) if body else b""
        self._http.send(h11.EndOfMessage())
        # One write: two would wake the worker twice.
        self._transport.write((head or b"") + (data or b""))
        return await self._answer

    def close(self) -> None:
        self.is_open = False
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  for the type checker
        self._transport = transport
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        self.has_received = True
        self._receive(data)

    def eof_received(self) -> None:
        # An answer without a length ends here.
        self._receive(b"")
        self._fail("the worker ended the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection to the worker broke: {exc}" if exc else "the worker ended")

    def _receive(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            self._read_events()
        except h11.RemoteProtocolError as error:
            self._fail(f"the worker does not speak HTTP: {error}")

    def _read_events(self) -> None:
        while True:
            event = self._http.next_event()
            match event:
                case h11.Response():
                    self._status = event.status_code
                case h11.Data():
                    self._keep(bytes(event.data))
                case h11.EndOfMessage():
                    self._finish()
                    return
                case h11.NEED_DATA | h11.PAUSED | h11.ConnectionClosed():
                    return
                case _:
                    continue

    def _keep(self, part: bytes) -> None:
        self._size_bytes += len(part)
        if self._size_bytes > MAX_ANSWER_BYTES:
            raise h11.RemoteProtocolError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        self._parts.append(part)

    def _finish(self) -> None:
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.close()
        if self._answer and not self._answer.done():
            self._answer.set_result(Answer(self._status, b"".join(self._parts)))
        self._parts = []

    def _fail(self, message: str) -> None:
        self.close()
        if self._answer and not self._answer.done():
            self._answer.set_exception(WorkerLostError(message))
