"""Reads HTTP/1.1 answers as they arrive: status, then body, piece by piece. No I/O.

It serves only the gateway's calls to the worker's Unix socket; a general library would use more
time per token than the gateway may. Raises ResponseError for what RFC 9112 does not allow, and for
headers that are too large. https://www.rfc-editor.org/rfc/rfc9112
"""

import re
from enum import Enum, auto

_HEAD_BYTES = 64 * 1024
_LINE_BYTES = 4096

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*?)[ \t]*")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")
_LENGTH = re.compile(rb"[0-9]{1,18}")


class ResponseError(Exception):
    """The received data is not a valid answer in HTTP/1.1."""


class _Place(Enum):
    HEAD = auto()
    BODY = auto()
    """The bytes of a body, or of a chunk, whose length is known."""
    UNTIL_END = auto()
    CHUNK_LINE = auto()
    CHUNK_END = auto()
    TRAILER = auto()
    DONE = auto()


class ResponseReader:
    """Parses one answer as its data arrives."""

    def __init__(self) -> None:
        self._place = _Place.HEAD
        self._rest = b""
        self._left_bytes = 0
        self._is_chunked = False
        self.status = 0
        """The HTTP status; 0 before it has arrived."""
        self.keeps_open = False
        """Whether the connection may be used for another request."""

    @property
    def is_done(self) -> bool:
        """Whether the answer has arrived in full."""
        return self._place is _Place.DONE

    def take(self, data: bytes) -> list[bytes]:
        """Parse received data; return the parts of the body in it.

        Raises:
            ResponseError: the data is not HTTP, or it continues after the answer.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        body: list[bytes] = []
        at = 0
        while at < len(data):
            step = self._step(data, at, body)
            if step < 0:
                self._rest = data[at:]
                break
            at = step
        return body

    def end(self) -> None:
        """Record the end of the connection.

        Raises:
            ResponseError: the answer is incomplete.
        """
        if self._place is _Place.UNTIL_END:
            self._place = _Place.DONE
        if self._place is not _Place.DONE:
            raise ResponseError("the connection ended during the answer")

    def _step(self, data: bytes, at: int, body: list[bytes]) -> int:
        """Parse one part; return the start of the next one, or -1 if the part is incomplete."""
        match self._place:
            case _Place.BODY:
                return self._read_body(data, at, body)
            case _Place.CHUNK_LINE:
                return self._read_chunk_line(data, at)
            case _Place.CHUNK_END:
                return self._read_chunk_end(data, at)
            case _Place.UNTIL_END:
                body.append(data[at:])
                return len(data)
            case _Place.TRAILER:
                return self._read_trailer(data, at)
            case _Place.HEAD:
                return self._read_head(data, at)
            case _Place.DONE:
                raise ResponseError("there is data after the answer")

    def _read_body(self, data: bytes, at: int, body: list[bytes]) -> int:
        part = data[at : at + self._left_bytes]
        body.append(part)
        self._left_bytes -= len(part)
        if not self._left_bytes:
            self._place = _Place.CHUNK_END if self._is_chunked else _Place.DONE
        return at + len(part)

    def _read_chunk_line(self, data: bytes, at: int) -> int:
        end = _line_end(data, at)
        if end < 0:
            return -1
        found = _CHUNK_LINE.fullmatch(data, at, end)
        if not found:
            raise ResponseError(f"a chunk begins with {data[at : at + 40]!r}")
        self._left_bytes = int(found[1], 16)
        self._place = _Place.BODY if self._left_bytes else _Place.TRAILER
        return end + 2

    def _read_chunk_end(self, data: bytes, at: int) -> int:
        if len(data) - at < 2:
            return -1
        if data[at : at + 2] != b"\r\n":
            raise ResponseError("a chunk is longer than its stated length")
        self._place = _Place.CHUNK_LINE
        return at + 2

    def _read_trailer(self, data: bytes, at: int) -> int:
        end = _line_end(data, at)
        if end == at:
            self._place = _Place.DONE
        return end + 2 if end >= 0 else -1

    def _read_head(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n\r\n", at)
        if end < 0 or end - at > _HEAD_BYTES:
            if len(data) - at > _HEAD_BYTES:
                raise ResponseError(f"the head has more than {_HEAD_BYTES} bytes")
            # Data that is not HTTP may never have an end of a line.
            if not b"HTTP/1.".startswith(data[at : at + 7]):
                raise ResponseError(f"the answer begins with {data[at : at + 40]!r}")
            return -1
        first, *lines = data[at:end].split(b"\r\n")
        status = _STATUS_LINE.fullmatch(first)
        if not status:
            raise ResponseError(f"the answer begins with {first[:40]!r}")
        if status[2].startswith(b"1"):  # an interim response (1xx); the answer follows
            return end + 4
        self._begin_body(int(status[2]), _headers(lines), is_old=status[1] == b"0")
        return end + 4

    def _begin_body(self, status: int, headers: dict[bytes, bytes], *, is_old: bool) -> None:
        self.status = status
        self.keeps_open = not is_old and headers.get(b"connection", b"").lower() != b"close"
        coding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length")
        if coding is not None:
            if coding.lower() != b"chunked" or length is not None:
                raise ResponseError(f"the transfer coding is {coding!r}, with length {length!r}")
            self._is_chunked = True
            self._place = _Place.CHUNK_LINE
        elif status in {204, 304}:
            self._place = _Place.DONE
        elif length is None:
            self.keeps_open = False
            self._place = _Place.UNTIL_END
        else:
            if not _LENGTH.fullmatch(length):
                raise ResponseError(f"the length is {length[:40]!r}")
            self._left_bytes = int(length)
            self._place = _Place.BODY if self._left_bytes else _Place.DONE


def _line_end(data: bytes, at: int) -> int:
    end = data.find(b"\r\n", at, at + _LINE_BYTES)
    if end < 0 and len(data) - at >= _LINE_BYTES:
        raise ResponseError(f"a line has more than {_LINE_BYTES} bytes")
    return end


def _headers(lines: list[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for line in lines:
        parts = _HEADER.fullmatch(line)
        if not parts:
            raise ResponseError(f"a header is {line[:40]!r}")
        name, value = parts[1].lower(), parts[2]
        if found.setdefault(name, value) != value and name == b"content-length":
            raise ResponseError("the answer has two lengths")
    return found
