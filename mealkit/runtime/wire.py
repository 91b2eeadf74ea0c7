"""The server's protocol: head and body of an answer in one write, and connections with limits.

Each write wakes the caller and costs a system call: together about a fifth of what the gateway
takes per request. Refuses what is not HTTP, heads that are too large, and callers who send one
request after the other without waiting for answers; ends those who are silent, or do not read.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mealkit.errors import Problem, problem
from mealkit.runtime.connections import Connections

# As much as other servers take: nginx 32 KiB, Node.js 16 KiB, h11 64 KiB.
MAX_HEAD_BYTES = 64 * 1024

# A caller that still sends has this long to read why it was refused: closing at once would reset
# the connection, and the answer would be lost with it.
_LINGER_SECONDS = 2.0

# Requests that may wait on a connection while another is answered.
_MAX_PIPELINED = 16


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, writing once per turn of the loop."""

    def __init__(
        self,
        *arguments: Any,
        connections: Connections,
        refusal: Callable[[Problem], bytes],
        **options: Any,
    ) -> None:
        """``refusal`` writes the whole answer to a request that has none of its own."""
        super().__init__(*arguments, **options)
        self._all = connections
        self._refusal = refusal
        self._has_refused = False
        self._is_in_head = False
        self._header_bytes = 0
        """What the headers have that were read whole."""
        self._head_bytes = 0
        """What has come of a head that has no end yet."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        super().connection_made(_Gathered(transport, self))
        self._all.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._all.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        if not self._has_refused:
            self._read(data)

    def on_message_begin(self) -> None:
        """Begin to read a head."""
        super().on_message_begin()
        self._is_in_head, self._header_bytes, self._head_bytes = True, 0, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, unless the head is too large; the parser makes an error of that."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEAD_BYTES:
            raise ValueError("the head is too large")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Answer the request."""
        self._is_in_head = False
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._all.answered(self)
        waits = bool(self.pipeline)
        super().on_response_complete()
        # One that was there already.
        if waits:
            self._all.began_request(self)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's words are no problem
        """Refuse what cannot be read, in the shape of all errors, and close the connection."""
        if max(self._head_bytes, self._header_bytes) > MAX_HEAD_BYTES:
            message = f"the request's head has more than {MAX_HEAD_BYTES} bytes"
            fault = problem("REQUEST_TOO_LARGE", message)
        else:
            message = "the request cannot be read: it is not HTTP/1.1"
            hint = "write http:// in the address; what speaks TLS stands before the kit"
            fault = problem("REQUEST_INVALID", message, hint=hint)
        self._has_refused = True
        self.transport.write(self._refusal(fault))
        self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def unsent_bytes(self) -> int:
        """Return how much was written that the caller has not fetched."""
        return self.transport.get_write_buffer_size()

    def wrote(self) -> None:
        """Note that the caller has not fetched everything at once."""
        self._all.wrote(self)

    def end(self) -> None:
        """Close the connection after what was written."""
        self.transport.close()

    def drop(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    def _read(self, data: bytes) -> None:
        # uvicorn's type for it leaves out that there is none at first.
        before: RequestResponseCycle | None = self.cycle
        is_all_head = self._is_in_head or before is None or not before.more_body
        super().data_received(data)
        if self._has_refused or self.transport.is_closing():
            return
        if self._is_in_head and is_all_head and self.cycle is before:
            self._head_bytes += len(data)
        if self._is_in_head and self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response("")
        elif len(self.pipeline) > _MAX_PIPELINED:
            self.drop()
        elif self.cycle is before:
            self._all.began_head(self)
        elif not self.cycle.response_complete:
            self._all.began_request(self)


class _Gathered(asyncio.Transport):
    """A transport that gathers what is written until the running callback has ended."""

    def __init__(self, transport: asyncio.Transport, protocol: OneWriteProtocol) -> None:
        super().__init__()
        self._transport = transport
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(bytes(data))

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def write_eof(self) -> None:
        self._flush()
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
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._transport.get_protocol()

    def _flush(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()
            if self._transport.get_write_buffer_size():
                self._protocol.wrote()
