"""Sends server-sent events over HTTP/1.1, each in one chunk and usually in one write.

A peer that reads slowly does not block the sender until a megabyte is buffered. Standard library
only.
"""

import os
import socket

# The buffer for a slow peer. It is larger than most answers, so that the model can start the next
# request while this one's peer still reads.
PENDING_BYTES = 1024 * 1024

_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream\r\n"
    b"Cache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


DONE = b"data: [DONE]\n\n"
"""The last event of a complete stream."""


def event(content: str) -> bytes:
    """Return a server-sent event; the content is JSON without line breaks, so it is one line.

    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    return f"data: {content}\n\n".encode()


class EventStream:
    """The body of one answer, sent as its events come; the connection has a timeout."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._pending = bytearray(_HEAD)

    def send(self, event: bytes) -> None:
        """Send an event, or as much as fits, and buffer the rest for the next call.

        Raises:
            OSError: the peer has disconnected, or has not read for too long.
        """
        self._pending += b"%x\r\n%b\r\n" % (len(event), event)
        try:
            # With a timeout the descriptor does not block; socket.send would wait instead.
            sent = os.write(self._connection.fileno(), self._pending)
        except BlockingIOError:
            sent = 0
        del self._pending[:sent]
        if len(self._pending) > PENDING_BYTES:
            self._flush()

    def end(self) -> None:
        """Send the buffered rest, and the end.

        Raises:
            OSError: the peer has disconnected, or has not read for too long.
        """
        self._pending += b"0\r\n\r\n"
        self._flush()

    def _flush(self) -> None:
        # sendall would apply the timeout to the whole call, not to each wait.
        while self._pending:
            del self._pending[: self._connection.send(self._pending)]
