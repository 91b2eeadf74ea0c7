"""A connection to a kit that uses no port of this machine, and what carries it in each client.

The sandbox has a Unix socket for it. Docker and podman run a relay in the container: the image's
own Python, which copies bytes between its streams and the kit's port. So it also works for a daemon
on another machine.
"""

import io
import socket
from collections.abc import Callable
from typing import Any, Protocol

# The port is in the container's environment. The kit may not listen yet: it gets two seconds.
RELAY = """
import os, socket, sys, threading, time
for left in range(100, -1, -1):
    try:
        kit = socket.create_connection(("127.0.0.1", int(os.environ["MEALKIT_PORT"])))
        break
    except OSError:
        if not left:
            sys.exit(1)
        time.sleep(0.02)
def answer():
    while data := kit.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=answer, daemon=True).start()
while data := os.read(0, 65536):
    kit.sendall(data)
os._exit(0)
"""
"""The relay, for ``python -c``: it ends with either of its sides."""

_HEADER_BYTES = 8
_OUTPUT = 1  # the relay's own errors come in another stream


class ByteConnection(Protocol):
    """What an HTTP client needs of a socket."""

    def sendall(self, data: Any, /) -> None:
        """Send all bytes."""
        ...

    def settimeout(self, seconds: float | None, /) -> None:
        """Set how long one operation may take."""
        ...

    def makefile(self, mode: Any, /, buffering: int | None = None) -> Any:
        """Return what arrives as a file of bytes."""
        ...

    def shutdown(self, how: int, /) -> None:
        """End both directions."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class RelayConnection:
    """A connection through a relay in a container; ``end`` frees what carries it."""

    def __init__(self, carrier: socket.socket, end: Callable[[], None]) -> None:
        self._carrier = carrier
        self._end = end

    def sendall(self, data: Any, /) -> None:
        """Send all bytes."""
        self._carrier.sendall(data)

    def settimeout(self, seconds: float | None, /) -> None:
        """Set how long one operation may take."""
        self._carrier.settimeout(seconds)

    def makefile(self, mode: Any, /, buffering: int | None = None) -> Any:  # noqa: ARG002
        """Return what the kit sends as a file of bytes."""
        raw = _RelayedBytes(self._carrier)
        return raw if buffering == 0 else io.BufferedReader(raw)

    def shutdown(self, how: int, /) -> None:
        """End both directions."""
        self._carrier.shutdown(how)

    def close(self) -> None:
        """Close it; the relay ends, and with it its connection to the kit."""
        self._end()


class _RelayedBytes(io.RawIOBase):
    """The relay's output, out of the frames in which the engine sends all streams of a process.

    Format: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
    """

    def __init__(self, carrier: socket.socket) -> None:
        super().__init__()
        self._carrier = carrier
        self._left = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            header = self._exactly(_HEADER_BYTES)
            if not header:
                return 0
            size = int.from_bytes(header[4:], "big")
            if header[0] == _OUTPUT:
                self._left = size
            else:
                self._exactly(size)
        count = self._carrier.recv_into(buffer, min(len(buffer), self._left))
        self._left -= count
        return count

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._carrier.recv(min(size - len(data), 65536))
            if not more:
                return b""
            data += more
        return data
