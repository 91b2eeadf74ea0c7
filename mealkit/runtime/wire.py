"""The server's protocol: head and body of an answer in one write, and connections with limits.

Each write wakes the caller and costs a system call: together about a fifth of what the gateway
takes per request. Refuses callers that are silent, or do not read, for too long.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from mealkit.runtime.connections import Connections


class OneWriteProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, writing once per turn of the loop."""

    def __init__(self, *arguments: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._all = connections

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
        before = self.cycle
        super().data_received(data)
        if self.cycle is before:
            self._all.began_head(self)
        elif not self.cycle.response_complete:
            self._all.began_request(self)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._all.answered(self)
        before = self.cycle
        super().on_response_complete()
        # One that was there already.
        if self.cycle is not before:
            self._all.began_request(self)

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
