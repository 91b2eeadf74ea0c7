"""Pieces of a file, from disk or by HTTP ranges, so that a header costs no download.

Refuses to read a whole file only because a server does not know ranges.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import httpx2

from mealkit.digest import file_chunks
from mealkit.errors import failure
from mealkit.sources.client import (
    bare_url,
    require_answer,
    require_safe,
    safe_headers,
    transport_failure,
)

# What is asked for at least, and kept: formats and small headers are told from it.
HEAD_BYTES = 16 * 1024
# How much of a file may be passed over to reach a piece, when a server does not know ranges.
_PASSED_OVER_BYTES = 8 * 1024 * 1024
_ATTEMPTS = 3


class RangeReader(Protocol):
    """A file that can be read in pieces, for instance ``FileRanges(path).read(0, 8)``."""

    @property
    def size_bytes(self) -> int:
        """The size of the whole file."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``; fewer only where the file ends."""
        ...


class FileRanges:
    """Pieces of a local file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def size_bytes(self) -> int:
        """The file's size."""
        return self._path.stat().st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``; fewer only where the file ends."""
        return b"".join(bytes(chunk) for chunk in file_chunks(self._path, offset, length))


class HttpRanges:
    """Pieces of a file at an address; the first ones are asked for once and kept.

    Raises, from ``read`` and ``size_bytes``:
        SourceError: as ``Downloader.fetch``; ``SOURCE_ANSWER`` too if the server does not know
            ranges and the piece lies too far inside.
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

    @property
    def size_bytes(self) -> int:
        """The size that the server states."""
        self._load_head()
        return self._size_bytes

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``; fewer only where the file ends."""
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
        for attempt in range(_ATTEMPTS):
            try:
                return self._ask_once(offset, length)
            except httpx2.TransportError as error:
                if attempt == _ATTEMPTS - 1:
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
            self._size_bytes = self._stated_size(response)
            skip = 0 if response.status_code == 206 else offset
            if skip > _PASSED_OVER_BYTES:
                raise failure(
                    "SOURCE_ANSWER",
                    "the server does not send parts of a file",
                    hint="use a mirror that supports Range requests",
                    where=bare_url(self._url),
                )
            received = bytearray()
            # Leaving the loop closes the connection: the rest of the file is never sent.
            for chunk in response.iter_raw():
                received += chunk
                if len(received) >= skip + length:
                    break
            return bytes(received[skip : skip + length])

    def _stated_size(self, response: httpx2.Response) -> int:
        if response.status_code == 206:
            stated = response.headers.get("Content-Range", "").rpartition("/")[2]
        else:
            stated = response.headers.get("Content-Length", "")
        if not stated.isdigit():
            raise failure(
                "SOURCE_ANSWER",
                "the server does not state the file's size",
                where=bare_url(self._url),
            )
        return int(stated)


class RangeFile(io.RawIOBase):
    """A seekable stream over pieces, for readers that want a file."""

    def __init__(self, ranges: RangeReader) -> None:
        super().__init__()
        self._ranges = ranges
        self._position = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be moved in."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place and return it."""
        start = (0, self._position, self._ranges.size_bytes)[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        """Return the place."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as the file goes."""
        data = self._ranges.read(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
