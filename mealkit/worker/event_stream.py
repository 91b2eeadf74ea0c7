"""Server-sent events over HTTP/1.1, each in one chunk and, as a rule, in one write.

Standard library only. A peer that reads slowly does not hold up the maker of the events, until
a megabyte waits for it.
"""

import os
import socket

# What may wait for a slow peer. An answer is far shorter, so that the model is free for the next
# request while this one's peer still reads.
PENDING_BYTES = 1024 * 1024

_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream\r\n"
    b"Cache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


DONE = b"data: [DONE]\n\n"
"""The last event of a stream that is whole."""


def event(content: str) -> bytes:
    """Write a server-sent event; JSON has no line breaks, so it is one line.

    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    return f"data: {content}\n\n".encode()


class EventStream:
    """The body of one answer, sent as it comes; the connection has a timeout."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._pending = bytearray(_HEAD)

    def send(self, event: bytes) -> None:
        """Send a whole event, or as much as fits, and keep the rest for the next call.

        Raises:
            OSError: the peer has gone, or has not read for the connection's timeout.
        """
        self._pending += b"%x\r\n%b\r\n" % (len(event), event)
        try:
            # With a timeout the descriptor does not block, which socket.send would hide.
            sent = os.write(self._connection.fileno(), self._pending)
        except BlockingIOError:
            sent = 0
        del self._pending[:sent]
        if len(self._pending) > PENDING_BYTES:
            self._flush()

    def end(self) -> None:
        """Send everything that is left, and the end.

        Raises:
            OSError: the peer has gone, or has not read for the connection's timeout.
        """
        self._pending += b"0\r\n\r\n"
        self._flush()

    def _flush(self) -> None:
        # sendall's timeout would be for all of it together, not for each stall.
        while self._pending:
            del self._pending[: self._connection.send(self._pending)]
