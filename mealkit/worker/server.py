"""The worker's server: HTTP/1.1 with keep-alive on a Unix socket, one thread per connection.

Only the gateway calls it. Answers with errors to unknown paths, other methods, bodies without a
length and bodies that are too large. Standard library only.
"""

import os
import select
import socket
import socketserver
import sys
import threading
import traceback
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from mealkit.errors import MealkitError, failure
from mealkit.worker.endpoints.request import EndpointCall, WorkerEndpoint
from mealkit.worker.event_stream import EventStream
from mealkit.worker.interface import Cancelled
from mealkit.worker.openai_errors import error_answer, error_event

MAX_BODY_BYTES = 32 * 1024 * 1024
"""The largest body, unless the host is told another limit."""

# Seconds that a peer may pause within a request; between two requests there is no limit.
STALL_SECONDS = 60.0

_HEALTH = "/health"
_OK = b'{"status":"ok"}'
_LOADING = b'{"status":"loading"}'
_LINE_BYTES = 65536
_DROP_BYTES = 65536


class WorkerServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers /health, and the endpoints after the worker has loaded.

    ``endpoints`` is None while the worker loads; then it maps ``METHOD /path`` to an endpoint,
    which answers or raises a MealkitError, and is called from several threads.
    """

    request_queue_size = 128
    # Closing the server joins the threads, so that running requests finish.
    daemon_threads = False
    block_on_close = True

    def __init__(self, path: Path, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self.max_body_bytes = max_body_bytes
        self.endpoints: Mapping[str, WorkerEndpoint] | None = None
        self._path = path
        self._lock = threading.Lock()
        self._idle: set[socket.socket] = set()
        self._draining = False
        super().__init__(str(path), _Handler)
        self._acceptor = threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True)
        self._acceptor.start()

    def drain(self) -> None:
        """Remove the socket, let requests on open connections finish, close everything.

        After it has ended, calling it again does nothing.
        """
        if self.fileno() < 0:
            return
        self._path.unlink(missing_ok=True)
        self.shutdown()
        self._accept_waiting()
        with self._lock:
            self._draining = True
            # Data that the peer has already sent can still be read after this; it cannot send more.
            for connection in self._idle:
                _end_reading(connection)
        self.server_close()

    def _accept_waiting(self) -> None:
        # Peers in the accept queue are connected: closing the socket would reset their connections.
        waiting = select.poll()
        waiting.register(self, select.POLLIN)
        while waiting.poll(0):
            self.handle_request()

    def wait_idle(self, connection: socket.socket) -> None:
        """Record that a connection is between two requests."""
        with self._lock:
            self._idle.add(connection)
            if self._draining:
                _end_reading(connection)

    def leave_idle(self, connection: socket.socket) -> None:
        """Record that a connection has a request, or has ended."""
        with self._lock:
            self._idle.discard(connection)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Log the failure of a connection, unless the peer only disconnected."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            traceback.print_exc()


def listen(path: Path, max_body_bytes: int = MAX_BODY_BYTES) -> WorkerServer:
    """Bind and serve; replace the socket of a process that has ended.

    Only this user may connect.

    Raises:
        ContainerError: ``CONFIG_INVALID``, the path is taken or cannot be a socket.
    """
    if path.is_socket() and not _is_alive(path):
        path.unlink(missing_ok=True)
    mask = os.umask(0o177)
    try:
        server = WorkerServer(path, max_body_bytes)
    except OSError as error:
        message = f"the socket cannot be created: {error.strerror or error}"
        raise failure("CONFIG_INVALID", message, where=str(path)) from error
    finally:
        os.umask(mask)
    return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WorkerServer

    def setup(self) -> None:
        super().setup()
        self.server.wait_idle(self.connection)

    def finish(self) -> None:
        self.server.leave_idle(self.connection)
        super().finish()

    def handle_one_request(self) -> None:
        """Read one request and answer it with one write."""
        self.raw_requestline = self.rfile.readline(_LINE_BYTES + 1)
        if not self.raw_requestline:
            self.close_connection = True
            return
        self.server.leave_idle(self.connection)
        self.connection.settimeout(STALL_SECONDS)
        if len(self.raw_requestline) > _LINE_BYTES:
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
        elif self.parse_request():
            self._respond()
        if not self.close_connection:
            self.connection.settimeout(None)
            self.server.wait_idle(self.connection)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer invalid HTTP in the format of all errors; the standard library calls this."""
        self.close_connection = True
        self.command = ""
        reason = explain or message or HTTPStatus(code).phrase
        self._refuse(failure("REQUEST_INVALID", f"the request cannot be read: {reason}"))

    def log_message(self, *_: object) -> None:
        """Write nothing: the gateway logs requests."""

    @property
    def _path(self) -> str:
        return self.path.partition("?")[0]

    def _respond(self) -> None:
        try:
            body = self._read_body()
        except MealkitError as error:
            self._refuse(error)
            return
        try:
            status, answer = self._answer(self._path, body)
            first = b"" if isinstance(answer, bytes) else next(answer, b"")
        except Cancelled:
            self.close_connection = True
            return
        except Exception as error:  # noqa: BLE001 - one request's bug must not end the others
            self._refuse(_told(error))
            return
        if isinstance(answer, bytes):
            self._send(status, answer)
        else:
            self._stream(first, answer)

    def _stream(self, first: bytes, events: Iterator[bytes]) -> None:
        """Send an endpoint's events; if sending ends early, close the endpoint's iterator."""
        stream = EventStream(self.connection)
        try:
            stream.send(first)
            for event in _until_failure(events):
                stream.send(event)
        finally:
            if isinstance(events, Generator):
                events.close()
        stream.end()

    def _read_body(self) -> bytes:
        lengths = self.headers.get_all("Content-Length", ["0"])
        text = lengths[0].strip()
        if len(lengths) > 1 or not (text.isascii() and text.isdigit() and len(text) < 16):
            self.close_connection = True
            raise failure("REQUEST_INVALID", f"Content-Length is {', '.join(lengths)!r}")
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise failure("REQUEST_INVALID", "the body has no Content-Length")
        if self.request_version != self.protocol_version:
            raise failure("REQUEST_INVALID", f"the request is {self.request_version}")
        length = int(text)
        limit = self.server.max_body_bytes
        if length > limit:
            # Read and dropped, because a peer that is still sending would not see the answer.
            for start in range(0, length, _DROP_BYTES):
                self.rfile.read(min(_DROP_BYTES, length - start))
            message = f"the body has {length} bytes, the limit is {limit}"
            raise failure("REQUEST_TOO_LARGE", message)
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("the peer disconnected during a request")
        return body

    def _answer(self, path: str, body: bytes) -> tuple[int, bytes | Iterator[bytes]]:
        endpoints = self.server.endpoints
        if path == _HEALTH:
            self._require(["GET"], path)
            return (503, _LOADING) if endpoints is None else (200, _OK)
        if endpoints is None:
            raise failure("NOT_READY", "the worker is loading")
        allowed = self._allowed()
        if not allowed:
            raise failure("ROUTE_UNKNOWN", f"{path} is not an endpoint of this worker")
        self._require(allowed, path)
        return 200, endpoints[f"{self.command} {path}"](EndpointCall(body, self._is_gone))

    def _require(self, allowed: list[str], path: str) -> None:
        if self.command not in allowed:
            message = f"{path} accepts {' or '.join(allowed)}, not {self.command}"
            raise failure("METHOD_UNKNOWN", message)

    def _allowed(self) -> list[str]:
        if self._path == _HEALTH:
            return ["GET"]
        routes = (route.split(" ") for route in self.server.endpoints or {})
        return sorted(method for method, path in routes if path == self._path)

    def _is_gone(self) -> bool:
        # POLLHUP: the peer has closed both directions. If it has closed only one, it may still
        # read. Unread data, or the end of reading during a drain, does not matter.
        poll = select.poll()
        poll.register(self.connection, 0)
        return bool(poll.poll(0))

    def _refuse(self, error: MealkitError) -> None:
        self._send(*error_answer(error))

    def _send(self, status: int, body: bytes) -> None:
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            lines.append(f"Allow: {', '.join(self._allowed())}")
        if self.close_connection:
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "\r\n"]).encode()
        # One write, because two would wake the gateway twice.
        self.wfile.write(head if self.command == "HEAD" else head + body)


def _until_failure(events: Iterator[bytes]) -> Iterator[bytes]:
    """Continue a stream; turn an error into its last event."""
    try:
        yield from events
    except Cancelled:
        raise ConnectionAbortedError from None
    except Exception as error:  # noqa: BLE001 - one request's bug must not end the others
        yield error_event(_told(error))


def _told(error: Exception) -> MealkitError:
    """Return an error that a peer may see; the text of a bug's exception stays in the log."""
    if isinstance(error, MealkitError):
        return error
    traceback.print_exception(error)
    return failure("INTERNAL", f"the worker failed with {type(error).__name__}")


def _end_reading(connection: socket.socket) -> None:
    with suppress(OSError):  # the peer has closed it
        connection.shutdown(socket.SHUT_RD)


def _is_alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
        return True
