"""Asks a running kit over HTTP, on connections that stay open, within limits of bytes and time.

Standard library only, because it also runs in an image. Each thread has its own client. Redirects
are not followed: a kit never sends one, and its key must not go elsewhere.
"""

import http.client
import io
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mealkit.acceptance.target import Target
from mealkit.errors import failure
from mealkit.untrusted import UntrustedError, parse_json

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""The largest answer that is read."""
_MAX_ANSWER_VALUES = 4_000_000
_CONNECT_SECONDS = 15.0
# How long a busy kit is asked again, and the longest single wait.
_PATIENCE_SECONDS = 120.0
_LONGEST_WAIT_SECONDS = 30.0
_SHORTEST_WAIT_SECONDS = 0.1
_BUSY = frozenset({429, 503})
_END = object()


class UnreachableError(Exception):
    """The kit cannot be reached, or the connection broke; the message says how."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, read whole."""

    status: int
    body: bytes
    seconds: float
    """The time from sending the request to the end of the answer, without waiting for a turn."""
    first_token_seconds: float | None = None
    """The time until the first piece of a stream."""
    retry_after: str | None = None
    recipe: str | None = None
    """The recipe digest that the kit states with its answer."""

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            UntrustedError: it is not JSON, or exceeds a limit.
        """
        return parse_json(self.body, max_values=_MAX_ANSWER_VALUES)


class KitClient:
    """A client of one thread; close it when the thread is done."""

    def __init__(
        self,
        target: Target,
        timeout_seconds: float,
        wait: Callable[[float], object] = time.sleep,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        """Prepare.

        ``wait`` waits for the time that a busy kit asks for, and returns something true if the
        test has ended meanwhile.
        """
        self._max_bytes = max_bytes
        self._target = target
        self._timeout = timeout_seconds
        self._wait = wait
        self._prefix = urlsplit(target.address).path.rstrip("/")
        self._connection: _Connection | None = None
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if target.key:
            self._headers["Authorization"] = f"Bearer {target.key}"

    def get(self, path: str) -> Answer:
        """Ask with GET; see `ask`."""
        return self._patiently("GET", path, None, None)

    def ask(self, path: str, body: bytes, on_event: "OnEvent | None" = None) -> Answer:
        """Ask with POST; ``on_event`` returns whether an event of a stream has a first token.

        A kit that is busy is asked again when it says, for two minutes at most.

        Raises:
            UnreachableError: no answer came in time, or it was too large.
        """
        return self._patiently("POST", path, body, on_event)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def abort(self) -> None:
        """End a request that another thread waits for."""
        sock = self._connection.sock if self._connection is not None else None
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _patiently(
        self, method: str, path: str, body: bytes | None, on_event: "OnEvent | None"
    ) -> Answer:
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            answer = self._once(method, path, body, on_event)
            pause = _pause(answer)
            if pause is None or time.monotonic() + pause > until:
                return answer
            if self._wait(pause):
                return answer

    def _once(
        self, method: str, path: str, body: bytes | None, on_event: "OnEvent | None"
    ) -> Answer:
        is_reused = self._connection is not None
        try:
            return self._exchange(method, path, body, on_event)
        except (http.client.RemoteDisconnected, ConnectionError) as error:
            # The kit may close a connection that was idle; then nothing of the answer has come.
            self.close()
            if not is_reused:
                raise UnreachableError(_words(error)) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise UnreachableError(_words(error)) from error
        try:
            return self._exchange(method, path, body, on_event)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise UnreachableError(_words(error)) from error

    def _exchange(
        self, method: str, path: str, body: bytes | None, on_event: "OnEvent | None"
    ) -> Answer:
        connection = self._connection or self._connected()
        self._connection = connection
        began = time.monotonic()
        connection.deadline = began + self._timeout
        connection.request(method, self._prefix + path, body=body, headers=self._headers)
        # Closing an answer also closes a connection that the kit does not keep open.
        with closing(connection.getresponse()) as response:
            data, first = _read(response, began, on_event, self._max_bytes)
        ended = time.monotonic()
        if response.will_close:
            self.close()
        return Answer(
            status=response.status,
            body=data,
            seconds=ended - began,
            first_token_seconds=first,
            retry_after=response.headers.get("Retry-After"),
            recipe=response.headers.get("X-Mealkit-Recipe"),
        )

    def _connected(self) -> "_Connection":
        parts = urlsplit(self._target.address)
        seconds = min(_CONNECT_SECONDS, self._timeout)
        host, port = parts.hostname or "", parts.port
        if self._target.connect is not None:
            connection = _Connection(host, timeout=seconds)
            connection.sock = self._target.connect(seconds)
            return connection
        if parts.scheme == "https":
            return _TlsConnection(host, port, timeout=seconds, context=self._target.tls)
        return _Connection(host, port, timeout=seconds)


OnEvent = Callable[[Any], bool]


class _Timed(io.RawIOBase):
    """Reads a socket until a deadline, however slowly the bytes come."""

    def __init__(self, raw: Any, sock: socket.socket, deadline: float) -> None:
        super().__init__()
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no whole answer in time")
        self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        with suppress(OSError):
            self._raw.close()
        super().close()


class _Connection(http.client.HTTPConnection):
    """A connection whose answers have a deadline."""

    deadline = 0.0

    def getresponse(self) -> http.client.HTTPResponse:
        self.response_class = self._response  # type: ignore[assignment]
        return super().getresponse()

    def _response(self, sock: socket.socket, *args: Any, **options: Any) -> Any:
        response = http.client.HTTPResponse(sock, *args, **options)
        raw = sock.makefile("rb", buffering=0)
        response.fp.close()
        response.fp = io.BufferedReader(_Timed(raw, sock, self.deadline), 65536)
        return response


class _TlsConnection(_Connection, http.client.HTTPSConnection):
    """The same over TLS."""


def _read(
    response: http.client.HTTPResponse, began: float, on_event: OnEvent | None, limit: int
) -> tuple[bytes, float | None]:
    streams = response.headers.get_content_type() == "text/event-stream"
    if on_event is None or not streams:
        data = response.read(limit + 1)
        if len(data) > limit:
            raise ValueError(f"the answer has more than {limit} bytes")
        if response.length:
            raise ValueError(f"the answer ended {response.length} bytes too early")
        return data, None
    first: float | None = None
    last: Any = None
    for event in _events(response, limit):
        if event is _END:
            return json.dumps(last).encode(), first
        if first is None and on_event(event):
            first = time.monotonic() - began
        last = event
    if isinstance(last, dict) and "error" in last:
        return json.dumps(last).encode(), first
    raise ValueError("the stream ended too early")


def _events(response: http.client.HTTPResponse, limit: int) -> Iterator[Any]:
    total = 0
    while line := response.readline(limit + 1):
        total += len(line)
        if total > limit:
            raise ValueError(f"the answer has more than {limit} bytes")
        if line.startswith(b"data:"):
            text = line.removeprefix(b"data:").strip()
            yield _END if text == b"[DONE]" else parse_json(text)


def _pause(answer: Answer) -> float | None:
    """Return how long to wait before a busy kit is asked again; None if it is not to be."""
    if answer.status not in _BUSY or answer.retry_after is None:
        return None
    stated = answer.retry_after.strip()
    if not (stated.isascii() and stated.isdigit() and len(stated) < 6):
        return None
    seconds = float(stated)
    return max(seconds, _SHORTEST_WAIT_SECONDS) if seconds <= _LONGEST_WAIT_SECONDS else None


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no whole answer in time"
    words = str(error).strip() or type(error).__name__
    return words[:300]


def described(target: Target, timeout_seconds: float) -> dict[str, Any]:
    """Return what a kit says about itself at /v1/metadata.

    Raises:
        AcceptanceError: ``TEST_UNREACHABLE``, ``TEST_KEY`` or ``TEST_NOT_A_KIT``.
    """
    return _known(target, "/v1/metadata", timeout_seconds)


def manifest_of(target: Target, timeout_seconds: float) -> dict[str, Any]:
    """Return the lock that a kit states at /v1/manifest; see `described`."""
    return _known(target, "/v1/manifest", timeout_seconds)


def _known(target: Target, path: str, timeout_seconds: float) -> dict[str, Any]:
    client = KitClient(target, timeout_seconds)
    try:
        answer = client.get(path)
        found = answer.json() if answer.status == 200 else None
    except UnreachableError as error:
        message = f"the kit cannot be reached: {error}"
        raise failure("TEST_UNREACHABLE", message, where=target.address) from error
    except UntrustedError as error:
        message = f"{path} does not answer with JSON: {error}"
        raise failure("TEST_NOT_A_KIT", message, where=target.address) from error
    finally:
        client.close()
    if answer.status in {401, 403}:
        message = f"the kit requires an API key: HTTP {answer.status}"
        raise failure("TEST_KEY", message, where=target.address)
    if 300 <= answer.status < 400:
        message = f"{path} is redirected, and redirects are not followed: HTTP {answer.status}"
        raise failure("TEST_NOT_A_KIT", message, where=target.address)
    if not isinstance(found, dict):
        message = f"{path} does not answer as a kit does: HTTP {answer.status}"
        raise failure("TEST_NOT_A_KIT", message, where=target.address)
    return found
