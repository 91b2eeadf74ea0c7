"""Calls the worker over its Unix socket, on connections that stay open.

Raises WorkerLostError for answers that are too large or are not HTTP.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mealkit.runtime.worker_client.connection import (
    MAX_ANSWER_BYTES,
    WorkerAnswer,
    WorkerConnection,
    WorkerLostError,
)

__all__ = ["Stream", "Upstream", "WorkerAnswer", "WorkerLostError"]


class Upstream:
    """The worker's socket, with the idle connections to it."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._idle: deque[WorkerConnection] = deque()
        self._busy: set[WorkerConnection] = set()
        self.heard_seconds = 0.0
        """The time of the last data from the worker, on the loop's clock."""

    @property
    def waits_for_callers(self) -> bool:
        """Whether an answer is delayed because its caller does not read."""
        return any(connection.is_paused for connection in self._busy)

    async def request(
        self, method: str, target: str, body: bytes = b"", headers: bytes = b""
    ) -> WorkerAnswer:
        """Send one request and return its answer; close the connection if cancelled.

        ``headers`` are further ones, each with its line end.

        If the worker had closed the idle connection, the request is sent once more on a new one.
        This is safe because a worker does not close a connection while it processes a request.

        Raises:
            WorkerLostError: the worker does not run, or it ended during the answer.
        """
        connection = await self._begin(method, target, body, headers, streams=False)
        answer = connection.answer()
        self._leave(connection)
        return answer

    @asynccontextmanager
    async def stream(
        self, method: str, target: str, body: bytes, headers: bytes = b""
    ) -> AsyncIterator["Stream"]:
        """Send one request and yield its answer as a stream; close the connection if left early.

        Raises:
            WorkerLostError: the worker does not run, or it ended before the answer began.
        """
        connection = await self._begin(method, target, body, headers, streams=True)
        try:
            yield Stream(connection)
        finally:
            self._leave(connection)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    async def _begin(
        self, method: str, target: str, body: bytes, headers: bytes, *, streams: bool
    ) -> WorkerConnection:
        """Send a request; return its connection after the answer's head has arrived."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                try:
                    return await self._send(
                        connection, method, target, body, headers, streams=streams
                    )
                except WorkerLostError:
                    if connection.has_received:
                        raise
                    break
        connection = await self._connect()
        return await self._send(connection, method, target, body, headers, streams=streams)

    async def _send(
        self,
        connection: WorkerConnection,
        method: str,
        target: str,
        body: bytes,
        headers: bytes,
        *,
        streams: bool,
    ) -> WorkerConnection:
        begun = False
        self._busy.add(connection)
        try:
            await connection.begin(method, target, body, headers, streams=streams)
            begun = True
        finally:
            if not begun:
                self._busy.discard(connection)
                connection.close()
        return connection

    def _leave(self, connection: WorkerConnection) -> None:
        self._busy.discard(connection)
        if connection.is_open and connection.has_ended:
            self._idle.append(connection)
        else:
            connection.close()

    def apart(self) -> "Upstream":
        """Return separate connections to the worker, whose answers do not count as activity."""
        return Upstream(Path(self._path))

    def _hear(self) -> None:
        self.heard_seconds = asyncio.get_running_loop().time()

    async def _connect(self) -> WorkerConnection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_unix_connection(
                lambda: WorkerConnection(self._hear), self._path
            )
        except OSError as error:
            raise WorkerLostError(f"the worker cannot be reached: {error.strerror}") from error
        return connection


class Stream:
    """An answer that is still coming."""

    def __init__(self, connection: WorkerConnection) -> None:
        self._connection = connection

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._connection.status

    async def piece(self) -> bytes:
        """Return the data since the last call, at least one byte; empty at the end.

        Raises:
            WorkerLostError: the worker ended during the answer.
        """
        return await self._connection.piece()

    async def rest(self) -> WorkerAnswer:
        """Return the rest of the answer.

        Raises:
            WorkerLostError: the worker ended during the answer, or the answer is too large.
        """
        parts: list[bytes] = []
        size_bytes = 0
        while part := await self.piece():
            size_bytes += len(part)
            if size_bytes > MAX_ANSWER_BYTES:
                raise WorkerLostError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
            parts.append(part)
        return WorkerAnswer(self.status, b"".join(parts))
