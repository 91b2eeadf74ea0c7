"""The server's protocol: head and body of an answer in one write, and connections with limits.

Each write wakes the caller and costs a system call: together about a fifth of the gateway's time
per request. Answers data that is not HTTP with an error in the usual format. Closes connections of
callers who are silent or do not read.
"""

import asyncio
import re
import sys
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from mealkit.errors import Problem, problem
from mealkit.runtime.http.accepted import AcceptedConnections
from mealkit.runtime.http.half_closed import HalfClosed

# Similar to other servers: nginx 32 KiB, Node.js 16 KiB.
MAX_HEAD_BYTES = 64 * 1024
# Apache's limit is 100.
MAX_HEAD_LINES = 256

# How much is parsed before other callers are served: the parser takes some microseconds for each
# line, which may have only four bytes.
_SLICE_BYTES = 2048

# This many chunks may have any size; with more chunks, the average must be larger.
_FREE_CHUNKS = 2000
_CHUNK_BYTES = 64

# A caller that is still sending has this long to read the refusal: closing immediately would reset
# the connection and lose the answer.
_LINGER_SECONDS = 2.0

# h11's status hint for a head that is too large.
_TOO_LARGE = 431

_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)([/?].*)?", re.IGNORECASE)

# The first bytes of a TLS handshake record: RFC 8446, section 5.1.
_TLS = b"\x16\x03"


class OneWriteProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with one write per iteration of the event loop."""

    def __init__(
        self,
        *arguments: Any,
        connections: AcceptedConnections,
        refusal: Callable[[Problem], bytes],
        **options: Any,
    ) -> None:
        """Prepare; ``refusal`` returns the whole answer to an unreadable request."""
        super().__init__(*arguments, **options)
        self.conn: _Strict = _Strict(h11.SERVER, MAX_HEAD_BYTES)
        self._unread = b""
        self._will_read = False
        self._all = connections
        self._refusal = refusal
        self._has_refused = False
        self._half_closed: HalfClosed | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection."""
        self._gathered = _Gathered(transport, self)
        super().connection_made(self._gathered)
        self._all.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove a connection."""
        self._all.closed(self)
        if self._half_closed:
            self._half_closed.end()
        super().connection_lost(exc)
        # uvicorn does not release it if a caller has reset the connection, which would leak memory.
        self._unset_keepalive_if_required()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection of a caller that has sent its request and waits for the answer."""
        if self._has_refused or not (self._is_answering() or self._unread):
            return False
        self._half_closed = self._half_closed or HalfClosed(self._gathered, self._awaits_answer)
        return True

    def shutdown(self) -> None:
        """Close the connection after its answer is written; that of a refused caller now."""
        if self._has_refused:
            self.transport.close()
        else:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Read received data: some of it now, the rest after other callers have been served."""
        if self._unread:
            self._unread += data
        else:
            self._read(data)

    def _read_soon(self) -> None:
        if self._unread and not self._will_read and not self._is_answering():
            self._will_read = True
            self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        self._will_read = False
        data, self._unread = self._unread, b""
        self._read(data)
        if not self._unread and not self.transport.is_closing():
            self._gathered.let_read()

    def _read(self, data: bytes) -> None:
        """Read a slice; nothing from a caller that was refused or waits for its answer."""
        while data and not self._has_refused and not self.transport.is_closing():
            # The parser is cheap for a body with a length, and expensive for everything else.
            size = self.conn.plain_bytes or _SLICE_BYTES
            self._read_slice(data[:size])
            data = data[size:]
            if data and not self.conn.plain_bytes:
                self._unread = data
                self._gathered.stop_reading()
                self._read_soon()
                return

    def _read_slice(self, data: bytes) -> None:
        before: RequestResponseCycle | None = self.cycle
        super().data_received(data)
        waiting = len(self.conn.trailing_data[0])
        if self._is_answering():
            self._all.began_request(self)
        elif self._is_unanswered():
            if self.cycle is not before:
                self._all.began_body(self)
            self._all.more_body(self, len(data))
        elif waiting:
            self._all.began_head(self)
        if 0 < waiting < MAX_HEAD_BYTES and not self._awaits_body():
            # uvicorn stops reading while a request waits behind another one; it could then not see
            # that the caller disconnects.
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._all.answered(self)
        super().on_response_complete()
        # A request that has arrived already.
        if self._is_answering():
            self._all.began_request(self)
        elif self._is_unanswered():
            self._all.began_body(self)
        self._read_soon()
        if self._half_closed and not self._is_unanswered() and not self._unread:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's text is not a problem of the catalogue
        """Answer an unreadable request with an error, and close the connection."""
        self._has_refused = True
        cycle: RequestResponseCycle | None = self.cycle
        if cycle and not cycle.response_complete:
            # The body is unreadable, so the request gets no other answer.
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.drop()
                return
        self.transport.write(self._refusal(self._fault()))
        self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _awaits_body(self) -> bool:
        """Return whether a request's body is still arriving: the application controls its flow."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.more_body

    def _is_unanswered(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _is_answering(self) -> bool:
        """Return whether a whole request has arrived and its answer is not complete."""
        return self._is_unanswered() and not self._awaits_body()

    def _awaits_answer(self) -> bool:
        """Return whether an interim answer may be sent: before the answer, and not to HTTP/1.0."""
        cycle: RequestResponseCycle = self.cycle
        return not cycle.response_started and cycle.scope["http_version"] == "1.1"

    def _fault(self) -> Problem:
        """Return the problem for the parser's error, which is being handled."""
        error = sys.exception()
        if isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == _TOO_LARGE:
            message = (
                f"the request's head has more than {MAX_HEAD_BYTES} bytes or {MAX_HEAD_LINES} lines"
            )
            return problem("REQUEST_TOO_LARGE", message)
        message = f"the request is not valid HTTP/1.1: {error}"
        if self.conn.trailing_data[0].startswith(_TLS):
            hint = "use http:// in the address; TLS needs a proxy in front of the kit"
            return problem("REQUEST_INVALID", message, hint=hint)
        return problem("REQUEST_INVALID", message)

    def unsent_bytes(self) -> int:
        """Return how many written bytes the caller has not read."""
        return self.transport.get_write_buffer_size()

    def wrote(self) -> None:
        """Record that the caller has not read all of the written data."""
        self._all.wrote(self)

    def end(self) -> None:
        """Close the connection after sending the written data."""
        self.transport.close()

    def drop(self) -> None:
        """Close the connection immediately."""
        self.transport.abort()


class _Strict(h11.Connection):
    """The parser; it also rejects requests that proxies may read differently, or that are slow."""

    plain_bytes = 0
    """The number of bytes to come of a body with a Content-Length."""
    _chunks = 0
    _body_bytes = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            _check_size(event, len(event.method) + len(event.target))
            _check_framing(event)
            if not event.target.startswith(b"/"):
                event = _with_path(event)
            lengths = (value for name, value in event.headers if name == b"content-length")
            self.plain_bytes = int(next(lengths, 0))
            self._chunks = self._body_bytes = 0
        elif isinstance(event, h11.Data):
            self._count(event)
        elif isinstance(event, h11.EndOfMessage):
            _check_size(event, 0)
        elif event is h11.NEED_DATA and self.trailing_data[0].count(b"\n") > MAX_HEAD_LINES:
            raise h11.RemoteProtocolError("the head has too many lines", _TOO_LARGE)
        return event

    def _count(self, event: h11.Data) -> None:
        """Raise for a body in many small chunks, because each is an event."""
        if self.plain_bytes:
            self.plain_bytes -= len(event.data)
            return
        self._chunks += event.chunk_start
        self._body_bytes += len(event.data)
        if self._chunks > _FREE_CHUNKS + self._body_bytes // _CHUNK_BYTES:
            raise h11.RemoteProtocolError(
                f"the body has {self._chunks} chunks, which are too small"
            )


def _check_size(event: h11.Request | h11.EndOfMessage, begun_bytes: int) -> None:
    """Raise for a large head or trailers in one piece, which the parser does not count in time."""
    if len(event.headers) > MAX_HEAD_LINES:
        raise h11.RemoteProtocolError("the head has too many lines", _TOO_LARGE)
    # Each header has a colon, a space and the end of its line.
    lines_bytes = sum(len(name) + len(value) + 4 for name, value in event.headers)
    if begun_bytes + lines_bytes > MAX_HEAD_BYTES:
        raise h11.RemoteProtocolError("the head is too large", _TOO_LARGE)


def _check_framing(request: h11.Request) -> None:
    """Raise for the framing errors of RFC 9112 (sections 2.3 and 6.1)."""
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" in names and b"content-length" in names:
        raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
    if b"transfer-encoding" in names and request.http_version == b"1.0":
        raise h11.RemoteProtocolError("Transfer-Encoding in HTTP/1.0")
    if request.http_version not in {b"1.0", b"1.1"}:
        raise h11.RemoteProtocolError(f"version {request.http_version.decode()}")


def _with_path(request: h11.Request) -> h11.Request:
    """Return a request for an absolute address as one for its path: RFC 9112, section 3.2.2.

    Callers that were told to use a proxy send these. The Host header then does not count.
    """
    found = _ABSOLUTE.fullmatch(request.target)
    if not found:
        return request
    host, rest = found[1], found[2] or b"/"
    others = [(name, value) for name, value in request.headers if name != b"host"]
    return h11.Request(
        method=request.method,
        target=rest if rest.startswith(b"/") else b"/" + rest,
        headers=[(b"host", host), *others],
        http_version=request.http_version,
    )


class _Gathered(asyncio.Transport):
    """A transport that buffers written data until the running callback has ended."""

    def __init__(self, transport: asyncio.Transport, protocol: OneWriteProtocol) -> None:
        super().__init__()
        self._transport = transport
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._has_ended = False
        self._reads = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._has_ended:
            return
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(bytes(data))

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def write_eof(self) -> None:
        self._flush()
        self._has_ended = True
        self._transport.write_eof()

    def abort(self) -> None:
        self._parts.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reads:
            self._transport.resume_reading()

    def stop_reading(self) -> None:
        """Stop reading until ``let_read``, even if ``resume_reading`` is called."""
        self._reads = False
        self._transport.pause_reading()

    def let_read(self) -> None:
        """Read again, unless the server has paused reading in the meantime."""
        self._reads = True
        if not self._protocol.flow.read_paused:
            self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._transport.get_protocol()

    def _flush(self) -> None:
        if self._parts:
            parts = b"".join(self._parts)
            self._parts.clear()
            self._transport.write(parts)
            if self._transport.get_write_buffer_size():
                self._protocol.wrote()
