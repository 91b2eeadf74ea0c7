"""Reads pieces of a file, from disk or by HTTP ranges, so that a header needs no full download.

Raises SourceError if a server does not support ranges and the whole file would have to be read, if
it sends other pieces than requested, and if a file's size changes while it is read.
"""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import httpx2

from mealkit.digest import CHUNK_BYTES, file_chunks
from mealkit.errors import MealkitError, failure
from mealkit.untrusted import UntrustedError
from mealkit.web.http_client import (
    Pace,
    bare_url,
    require_answer,
    require_safe,
    safe_headers,
    stated_bytes,
    transport_failure,
)
from mealkit.web.trust import untrusted_words

# The first request has at least this size and is kept: enough for formats and small headers.
HEAD_BYTES = 16 * 1024
# The maximum number of bytes to skip before a piece if a server does not support ranges.
_PASSED_OVER_BYTES = 8 * 1024 * 1024
_ATTEMPTS = 3
_READ_AHEAD_BYTES = 8 * 1024
# Headers of real files need a few dozen.
_MAX_REQUESTS = 1000
# RFC 9110, section 14.4.
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,20})-(?:-?[0-9]{1,20})/([0-9]{1,20})")


class RangeReader(Protocol):
    """A file that can be read in pieces, for instance ``FileRanges(path).read(0, 8)``."""

    @property
    def size_bytes(self) -> int:
        """The size of the whole file."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``; fewer only at the end of the file."""
        ...


class FileRanges:
    """Pieces of a local file.

    Raises, from ``read`` and ``size_bytes``:
        SourceError: ``SOURCE_CHANGED``, the file cannot be read, is not a regular file, or its
            size has changed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size_bytes: int | None = None

    @property
    def size_bytes(self) -> int:
        """The file's size."""
        if self._size_bytes is None:
            self._size_bytes = self._stat_size()
        return self._size_bytes

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``; fewer only at the end of the file."""
        length = max(0, min(length, self.size_bytes - offset))
        try:
            chunks = file_chunks(self._path, offset, length, max(1, min(length, CHUNK_BYTES)))
            data = b"".join(bytes(chunk) for chunk in chunks)
        except OSError as error:
            raise self._changed(f"it cannot be read: {error.strerror}") from error
        if len(data) != length or self._stat_size() != self.size_bytes:
            raise self._changed(f"it no longer has {self.size_bytes} bytes")
        return data

    def _stat_size(self) -> int:
        try:
            size_bytes = self._path.stat().st_size
            if not size_bytes:  # files of the kernel state a size of 0, but have content
                all(file_chunks(self._path))
        except OSError as error:
            raise self._changed(f"it cannot be read: {error.strerror}") from error
        return size_bytes

    def _changed(self, message: str) -> MealkitError:
        return failure("SOURCE_CHANGED", message, where=str(self._path))


class HttpRanges:
    """Pieces of a file at an address; the first ones are requested once and kept.

    Raises, from ``read`` and ``size_bytes``:
        SourceError: as ``Downloader.fetch``; also ``SOURCE_ANSWER`` if the server does not support
            ranges and the piece is too far from the start, if it sends another piece or less of
            it, or if too many pieces are needed.
    """

    def __init__(
        self,
        client: httpx2.Client,
        url: str,
        headers: Mapping[str, str],
        *,
        digest_expected: bool = False,
    ) -> None:
        require_safe(url, digest_expected=digest_expected)
        self._client = client
        self._url = url
        self._headers = safe_headers(url, headers)
        self._digest_expected = digest_expected
        self._head: bytes | None = None
        self._size_bytes = 0
        self._requests = 0

    @property
    def size_bytes(self) -> int:
        """The size that the server states."""
        self._load_head()
        return self._size_bytes

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``; fewer only at the end of the file."""
        head = self._load_head()
        length = max(0, min(length, self._size_bytes - offset))
        if not length or offset + length <= len(head):
            return head[offset : offset + length]
        return self._ask(offset, length)

    def _load_head(self) -> bytes:
        if self._head is None:
            self._head = self._ask(0, HEAD_BYTES)
        return self._head

    def _ask(self, offset: int, length: int) -> bytes:
        self._requests += 1
        if self._requests > _MAX_REQUESTS:
            raise self._wrong(f"its header is spread over more than {_MAX_REQUESTS} pieces")
        for attempt in range(_ATTEMPTS):
            try:
                return self._ask_once(offset, length)
            except httpx2.TimeoutException as error:
                # One more wait is enough.
                if attempt:
                    raise transport_failure(error, self._url) from error
            except httpx2.TransportError as error:
                if attempt == _ATTEMPTS - 1 or untrusted_words(str(error)):
                    raise transport_failure(error, self._url) from error
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise transport_failure(error, self._url) from error
        raise AssertionError("the last attempt returns or raises")

    def _ask_once(self, offset: int, length: int) -> bytes:
        headers = {**self._headers, "Range": f"bytes={offset}-{offset + length - 1}"}
        with self._client.stream("GET", self._url, headers=headers) as response:
            if response.status_code == 416 and offset == 0:  # an empty file has no first byte
                return b""
            require_answer(response, self._url, digest_expected=self._digest_expected)
            size_bytes = self._stated_size(response, offset)
            if self._head is not None and size_bytes != self._size_bytes:
                raise self._wrong(
                    f"the server states {self._size_bytes} bytes, and then {size_bytes}"
                )
            self._size_bytes = size_bytes
            skip = 0 if response.status_code == 206 else offset
            if skip > _PASSED_OVER_BYTES:
                raise self._wrong(
                    "the server does not send parts of a file",
                    "use a mirror that supports Range requests",
                )
            expected = max(0, min(length, size_bytes - offset))
            received = self._received(response, skip + expected)
        if len(received) < skip + expected:
            raise self._wrong(f"the server sends {len(received) - skip} bytes of {expected}")
        return bytes(received[skip : skip + expected])

    def _received(self, response: httpx2.Response, wanted_bytes: int) -> bytearray:
        received, pace = bytearray(), Pace(self._url)
        # Leaving the loop closes the connection, so the rest of the file is not sent.
        for chunk in response.iter_raw():
            received += chunk
            pace.count(len(chunk))
            if len(received) >= wanted_bytes:
                break
        return received

    def _stated_size(self, response: httpx2.Response, offset: int) -> int:
        if response.status_code == 206:
            stated = response.headers.get("Content-Range", "")
            found = _CONTENT_RANGE.fullmatch(stated)
            if found is None or int(found[1]) != offset:
                raise self._wrong(f"the server sends {stated or 'a part'!r}, not from {offset}")
            return int(found[2])
        size_bytes = stated_bytes(response)
        if size_bytes is None:
            raise self._wrong("the server does not state the file's size")
        return size_bytes

    def _wrong(self, message: str, hint: str | None = None) -> MealkitError:
        return failure("SOURCE_ANSWER", message, hint=hint, where=bare_url(self._url))


class RangeFile:
    """A seekable file over pieces; raises if too much is read at once.

    It reads ahead, because readers request a few bytes at a time.
    """

    def __init__(self, ranges: RangeReader, max_read_bytes: int) -> None:
        self._ranges = ranges
        self._max_read_bytes = max_read_bytes
        self._position = 0
        self._window_at = 0
        self._window = b""

    def seekable(self) -> bool:
        """Return True: it can be moved in."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position and return it."""
        start = (0, self._position, self._ranges.size_bytes)[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, length: int = -1) -> bytes:
        """Return ``length`` bytes, the rest if it is negative; fewer at the end of the file.

        Raises:
            UntrustedError: the number exceeds the limit for one read.
        """
        left = max(0, self._ranges.size_bytes - self._position)
        length = left if length < 0 else min(length, left)
        if length > self._max_read_bytes:
            raise UntrustedError(f"{length} bytes would have to be read at once")
        inside = self._position - self._window_at
        if not 0 <= inside <= inside + length <= len(self._window):
            self._window = self._ranges.read(self._position, max(length, _READ_AHEAD_BYTES))
            self._window_at, inside = self._position, 0
        self._position += length
        return self._window[inside : inside + length]

    def close(self) -> None:
        """Do nothing: the pieces are the caller's."""
