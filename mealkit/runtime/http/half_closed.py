"""Watches a caller that has ended its sending side: it may wait for its answer, or have gone.

The kernel reports the same for both. So if an answer takes long, the caller gets an interim answer
first: the machine of a caller that has gone resets the connection then. HTTP/1.1 allows interim
answers before any answer (RFC 9110, section 15.2).
"""

import asyncio
import socket
from collections.abc import Callable

_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
# Most answers come earlier. It doubles each time, for proxies that pass on a reset later.
_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 8.0

# TCP_CLOSE in <netinet/tcp.h>, the first byte of TCP_INFO.
_CLOSED = 7


class HalfClosed:
    """A connection whose caller sends nothing more; it is dropped if the caller has gone."""

    def __init__(self, transport: asyncio.Transport, may_be_asked: Callable[[], bool]) -> None:
        """Begin to look; ``may_be_asked`` returns whether an interim answer is allowed now."""
        self._transport = transport
        self._may_be_asked = may_be_asked
        self._seconds = _FIRST_SECONDS
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)

    def end(self) -> None:
        """Stop looking."""
        self._timer.cancel()

    def _look(self) -> None:
        if self._is_reset():
            self._transport.abort()
            return
        if self._may_be_asked():
            self._transport.write(_INTERIM)
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)
        self._seconds = min(2 * self._seconds, _LONGEST_SECONDS)

    def _is_reset(self) -> bool:
        connection: socket.socket = self._transport.get_extra_info("socket")
        try:
            state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        except OSError:  # it is not a TCP connection
            return False
        return state[0] == _CLOSED
