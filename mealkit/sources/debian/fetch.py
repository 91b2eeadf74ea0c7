"""Read the small files of a mirror, its indexes, into memory over http, https or from a folder.

Refuses more bytes than the caller allows; what the bytes are worth, signatures and digests tell.
"""

import ssl
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit

import httpx2

from mealkit.errors import failure
from mealkit.sources.debian.config import without_credentials

_TIMEOUT_SECONDS = 30.0
_GONE = frozenset({404, 410})
_DENIED = frozenset({401, 403, 407})


class Fetch(Protocol):
    """Read an address into memory, for instance ``fetch(".../dists/trixie/InRelease", 2**24)``."""

    def __call__(self, url: str, limit_bytes: int) -> bytes | None:
        """Return the bytes, or None if there is no such file; raise SourceError otherwise."""
        ...


class MirrorFetch:
    """Fetch over http(s), with the system's certificates and proxy variables, or from a folder.

    Use it as a context manager: connections are kept between calls.
    """

    def __init__(self) -> None:
        self._client = httpx2.Client(
            verify=ssl.create_default_context(),
            follow_redirects=True,
            timeout=_TIMEOUT_SECONDS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def __call__(self, url: str, limit_bytes: int) -> bytes | None:
        """Return the bytes at an address, or None if there is no such file.

        Raises:
            SourceError: SOURCE_DENIED, SOURCE_UNREACHABLE, SOURCE_REDIRECTS or SOURCE_ANSWER
                (an error status, or more than ``limit_bytes``).
        """
        if urlsplit(url).scheme == "file":
            return _read_file(Path(unquote(urlsplit(url).path)), limit_bytes)
        try:
            return self._get(url, limit_bytes)
        except httpx2.TooManyRedirects as error:
            raise failure(
                "SOURCE_REDIRECTS",
                "the Debian mirror redirects without end",
                hint="correct the mirror's address in MEALKIT_DEBIAN_MIRROR or apt's sources",
                where=without_credentials(url),
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise failure(
                "SOURCE_UNREACHABLE",
                f"the Debian mirror cannot be reached: {str(error) or type(error).__name__}",
                hint="check the network, or set MEALKIT_DEBIAN_MIRROR to another mirror",
                where=without_credentials(url),
            ) from error

    def _get(self, url: str, limit_bytes: int) -> bytes | None:
        with self._client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
            status = response.status_code
            if status in _GONE:
                return None
            if status in _DENIED:
                raise failure(
                    "SOURCE_DENIED",
                    f"the Debian mirror answers with status {status}",
                    hint="put the credentials that it wants into MEALKIT_DEBIAN_MIRROR",
                    where=without_credentials(url),
                )
            if status != httpx2.codes.OK:
                raise failure(
                    "SOURCE_ANSWER",
                    f"the Debian mirror answers with status {status}",
                    where=without_credentials(url),
                )
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > limit_bytes:
                    raise _too_long(without_credentials(url), limit_bytes)
            return bytes(body)


def _read_file(path: Path, limit_bytes: int) -> bytes | None:
    try:
        with path.open("rb") as stream:
            body = stream.read(limit_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise failure(
            "SOURCE_UNREACHABLE",
            f"the Debian mirror cannot be read: {error.strerror}",
            hint="check the folder's owner and mode",
            where=str(path),
        ) from error
    if len(body) > limit_bytes:
        raise _too_long(str(path), limit_bytes)
    return body


def _too_long(where: str, limit_bytes: int) -> Exception:
    return failure(
        "SOURCE_ANSWER",
        f"the Debian mirror sends more than the {limit_bytes} bytes that are due",
        where=where,
    )
