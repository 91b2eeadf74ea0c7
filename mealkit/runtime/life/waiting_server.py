"""Answers health requests while the gateway is being imported: alive, and not ready yet.

One request per connection, without reading its body. All paths except health get an error. It needs
no keys, because it returns no data. It is a separate server because importing any other one would
take longer than this one runs.
"""

import json
import os
import selectors
import socket
import threading
import time
from types import TracebackType
from typing import Self

from mealkit.errors import problem
from mealkit.runtime.state import Lifecycle, Status
from mealkit.runtime.urls import LIVE_PATHS, READY_PATHS
from mealkit.worker.openai_errors import error_for_callers

_HEAD_BYTES = 16384
_MOST_CONNECTIONS = 256
# The limit for a peer that does not read its answer, or sends an endless body.
_LINGER_SECONDS = 1.0


class WaitingServer:
    """A thread that answers on a listening socket until ``leave`` is called."""

    def __init__(self, listener: socket.socket, lifecycle: Lifecycle) -> None:
        self._listener = listener
        self._lifecycle = lifecycle
        self._ours, self._theirs = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._visitors: dict[socket.socket, _Visitor] = {}
        self._has_left = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="waiting-server", daemon=True)

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._listener.setblocking(False)  # noqa: FBT003
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._theirs, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave, and wait until all connections are closed."""
        self.leave()
        self._thread.join()
        self._ours.close()

    def leave(self) -> None:
        """Stop accepting connections; open connections are still answered."""
        if not self._has_left.is_set():
            self._ours.send(b"x")
            self._has_left.wait()

    def _serve(self) -> None:
        while self._visitors or not self._has_left.is_set():
            for key, _ in self._selector.select(0.1 if self._visitors else None):
                if key.fileobj is self._theirs:
                    self._selector.unregister(self._listener)
                    self._selector.unregister(self._theirs)
                    self._has_left.set()
                elif key.fileobj is self._listener:
                    self._accept()
                elif key.data in self._visitors:
                    self._hear(self._visitors[key.data])
            self._dismiss_late()
        self._selector.close()
        self._theirs.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # the peer has disconnected
            return
        connection.setblocking(False)  # noqa: FBT003
        visitor = _Visitor(connection)
        self._visitors[connection] = visitor
        self._selector.register(connection, selectors.EVENT_READ, connection)
        if len(self._visitors) > _MOST_CONNECTIONS:
            self._close(next(iter(self._visitors.values())))

    def _hear(self, visitor: "_Visitor") -> None:
        try:
            data = visitor.connection.recv(_HEAD_BYTES)
            if data and not visitor.is_answered:
                visitor.head += data
                if b"\r\n\r\n" in visitor.head or len(visitor.head) > _HEAD_BYTES:
                    # Fits into the socket's buffer.
                    visitor.connection.send(self._answer(bytes(visitor.head)))
                    visitor.connection.shutdown(socket.SHUT_WR)
                    visitor.is_answered = True
        except OSError:
            data = b""
        # Wait until the peer closes, because the answer to a peer that still sends would be lost.
        if not data:
            self._close(visitor)

    def _dismiss_late(self) -> None:
        end = time.monotonic() - _LINGER_SECONDS
        for visitor in [item for item in self._visitors.values() if item.since < end]:
            self._close(visitor)

    def _close(self, visitor: "_Visitor") -> None:
        if self._visitors.pop(visitor.connection, None):
            self._selector.unregister(visitor.connection)
            visitor.connection.close()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = str(rest.partition(b" ")[0].partition(b"?")[0], "latin-1").rstrip("/")
        if "://" in path:  # a caller that was told to use a proxy
            path = "/" + path.split("/", 3)[-1]
        snapshot = self._lifecycle.snapshot()
        request_id = os.urandom(16).hex()
        status, content = b"503 Service Unavailable", snapshot.as_json()
        if path in READY_PATHS and self._lifecycle.is_ready:
            status = b"200 OK"
        elif path in LIVE_PATHS:
            status = b"200 OK"
            content = {name: content[name] for name in ("status", "elapsed_seconds")}
        elif path not in READY_PATHS:
            told = snapshot.problem if snapshot.status is Status.FAILED else None
            fault = told or problem("NOT_READY", f"the kit is {snapshot.status}: {snapshot.reason}")
            content = {"error": {**error_for_callers(fault), "request_id": request_id}}
        body = json.dumps(content).encode()
        lines = [
            b"HTTP/1.1 " + status,
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(body),
            b"X-Request-Id: " + request_id.encode(),
            *([] if status.startswith(b"200") else [b"Retry-After: 1"]),
            b"Connection: close",
            b"",
            b"" if method == b"HEAD" else body,
        ]
        return b"\r\n".join(lines)


class _Visitor:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.head = bytearray()
        self.is_answered = False
        self.since = time.monotonic()
