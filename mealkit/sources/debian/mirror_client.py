"""Reads a mirror's indexes into memory over http, https or from a folder.

Raises SourceError for more bytes than the caller allows. The caller checks signatures and digests.
"""

import time
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit

import httpx2

from mealkit.errors import MealkitError, failure
from mealkit.untrusted import UntrustedError, read_file
from mealkit.web.http_client import bare_url, open_client, require_answer, transport_failure

_GONE = frozenset({404, 410})
# A slow connection has ten times this rate; only a server that delays builds has less.
_PATIENCE_SECONDS = 30
_LEAST_RATE = 4096


class Fetch(Protocol):
    """Read an address into memory, for instance ``fetch(".../dists/trixie/InRelease", 2**24)``."""

    def __call__(self, url: str, limit_bytes: int) -> bytes | None:
        """Return the bytes, or None if the file does not exist; raise SourceError otherwise."""
        ...


class MirrorFetch:
    """Fetch over http(s), as every source does, or from a folder.

    Plain http is safe here: releases are signed, and list all other files with their digests.
    Use it as a context manager: connections stay open between calls.
    """

    def __init__(self, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        """Open connections; a mirror that sends too slowly for this long counts as unreachable."""
        self._client = open_client()
        self._patience_seconds = patience_seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def __call__(self, url: str, limit_bytes: int) -> bytes | None:
        """Return the bytes at an address, or None if the file does not exist.

        Raises:
            SourceError: SOURCE_DENIED, SOURCE_UNREACHABLE, SOURCE_REDIRECTS or SOURCE_ANSWER
                (an unexpected status, or more than ``limit_bytes``).
        """
        if urlsplit(url).scheme == "file":
            return _read_file(Path(unquote(urlsplit(url).path)), limit_bytes)
        try:
            return self._get(url, limit_bytes)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise transport_failure(error, url) from error

    def _get(self, url: str, limit_bytes: int) -> bytes | None:
        with self._client.stream("GET", url) as response:
            if response.status_code in _GONE:
                return None
            require_answer(response, url, digest_expected=True)
            body = bytearray()
            started = time.monotonic()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > limit_bytes:
                    raise _too_long(url, limit_bytes)
                if time.monotonic() - started > self._patience_seconds + len(body) / _LEAST_RATE:
                    raise failure(
                        "SOURCE_UNREACHABLE",
                        f"the Debian mirror sends less than {_LEAST_RATE} bytes a second",
                        where=bare_url(url),
                    )
            return bytes(body)


def _read_file(path: Path, limit_bytes: int) -> bytes | None:
    try:
        return read_file(path, limit_bytes)
    except UntrustedError as error:
        if path.is_file():
            raise _too_long(str(path), limit_bytes) from error
        raise failure(
            "SOURCE_UNREACHABLE", f"the Debian mirror cannot be read: {error}", where=str(path)
        ) from error
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise failure(
            "SOURCE_UNREACHABLE",
            f"the Debian mirror cannot be read: {error.strerror}",
            hint="check the folder's owner and mode",
            where=str(path),
        ) from error


def _too_long(where: str, limit_bytes: int) -> MealkitError:
    return failure(
        "SOURCE_ANSWER",
        f"the Debian mirror sends more than the expected {limit_bytes} bytes",
        where=bare_url(where),
    )
