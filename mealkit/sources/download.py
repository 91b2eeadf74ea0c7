"""Downloads files into the cache: resumes after a kill, hashes while writing, verifies.

Raises SourceError for bytes that are not the expected ones or more bytes than stated, and
StoreError if the disk has no space. Such bytes are never left behind.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2

from mealkit.digest import Digest, file_chunks
from mealkit.errors import MealkitError, failure
from mealkit.files.whole import require_space
from mealkit.progress import SILENT_TASK, Task
from mealkit.sources.file_cache import FileCache
from mealkit.sources.partial_download import PartialDownload, open_partial_download
from mealkit.web.http_client import (
    Pace,
    bare_url,
    require_answer,
    require_safe,
    safe_headers,
    stated_bytes,
    transport_failure,
)
from mealkit.web.retry import TRANSIENT_STATUS, Retry, retry_after_seconds
from mealkit.web.trust import untrusted_words

# An attempt that received this much counts as progress, and resets the count of attempts.
_PROGRESS_BYTES = 1024 * 1024
# An attempt in which the server was silent until the timeout counts as several.
_SILENT_ATTEMPTS = 3
# The maximum size if neither a pin nor the server states the size.
MAX_UNSTATED_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to fetch: its address, and what is known about its bytes."""

    url: str
    expected: Digest | None = None
    size_bytes: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name of its partial file: by digest if it is known, so that mirrors share it."""
        return (self.expected or Digest.of(self.url.encode())).hex


class Downloader:
    """Fetches files into a cache; several threads and processes may use it concurrently."""

    def __init__(
        self,
        cache: FileCache,
        client: httpx2.Client,
        *,
        task: Task = SILENT_TASK,
        retry: Retry | None = None,
        max_unstated_bytes: int = MAX_UNSTATED_BYTES,
    ) -> None:
        self.cache = cache
        self.client = client
        self.task = task
        self._retry = retry or Retry()
        self._max_unstated_bytes = max_unstated_bytes

    def telling(self, task: Task) -> "Downloader":
        """Return this downloader with another task for its progress."""
        other = copy(self)
        other.task = task
        return other

    def fetch(
        self,
        url: str,
        *,
        expected: Digest | None = None,
        size_bytes: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Digest, Path]:
        """Return the digest and the cached, verified file of an address.

        The address is http(s), ``file://`` or a path. A cached file is not downloaded again. If two
        fetch the same bytes concurrently, the second waits and then finds them in the cache. The
        task gets the number of bytes, a negative one if a download has to start over.

        Raises:
            SourceError: ``SOURCE_DIGEST``, ``SOURCE_SIZE``, ``SOURCE_NOT_FOUND``,
                ``SOURCE_DENIED``, ``SOURCE_UNREACHABLE`` (after bounded retries),
                ``SOURCE_REDIRECTS``, ``SOURCE_ANSWER`` or ``SOURCE_INSECURE``.
            StoreError: ``DISK_FULL`` (what arrived is kept, to be resumed) or ``DISK_DENIED``.
        """
        wanted = Wanted(url, expected, size_bytes, headers or {})
        while True:
            cached = self.cache.path(expected) if expected else None
            if expected and cached:
                self.task.advance(cached.stat().st_size)
                return expected, cached
            with open_partial_download(self.cache.parts, wanted.key) as part:
                if part is None:  # another process has finished it
                    continue
                return self._complete(part, wanted)

    def _complete(self, part: PartialDownload, wanted: Wanted) -> tuple[Digest, Path]:
        """Complete a part and move it into the cache; a resumed one is retried from the start.

        The retry is for a part that another mirror, or a crash of the machine, left damaged.
        """
        resumed = self._fill(part, wanted)
        found = part.digest
        if resumed and wanted.expected not in (None, found):
            self.task.advance(-part.size_bytes)
            part.restart()
            self._fill(part, wanted)
            found = part.digest
        if wanted.expected not in (None, found):
            part.discard()
            raise failure(
                "SOURCE_DIGEST",
                f"expected {wanted.expected}, found {found}",
                where=bare_url(wanted.url),
            )
        part.forget_origin()
        return found, self.cache.add(part.path, found)

    def _fill(self, part: PartialDownload, wanted: Wanted) -> bool:
        """Write the missing bytes; return whether bytes of an earlier attempt were used."""
        local = _local_path(wanted.url)
        if local is not None:
            part.restart()
            _copy(local, part, wanted, self.task)
            return False
        require_safe(wanted.url, digest_expected=wanted.expected is not None)
        too_long = wanted.size_bytes is not None and part.size_bytes > wanted.size_bytes
        if too_long or not part.may_resume(wanted.url, trusted=wanted.expected is not None):
            part.restart()
        kept_bytes = part.size_bytes
        self.task.advance(kept_bytes)
        failed = 0
        while part.size_bytes != wanted.size_bytes or not part.size_bytes:
            before = part.size_bytes
            try:
                self._transfer(part, wanted)
                break
            except _InterruptedError as interrupted:
                progress = part.size_bytes - before >= _PROGRESS_BYTES
                failed = 0 if progress else failed + interrupted.attempts
                if not self._retry.wait(failed, interrupted.asked_seconds):
                    raise interrupted.final from interrupted
        _require_size(part, wanted)
        return kept_bytes > 0

    def _transfer(self, part: PartialDownload, wanted: Wanted) -> None:
        """Request the missing bytes once, and write them.

        Raises:
            _InterruptedError: another attempt may succeed.
        """
        started_at = part.size_bytes
        headers = {**safe_headers(wanted.url, wanted.headers), **part.range_headers(wanted.url)}
        try:
            with self.client.stream("GET", wanted.url, headers=headers) as response:
                if response.status_code == 416:
                    self.task.advance(-part.size_bytes)
                    part.restart()
                    raise _InterruptedError(_cut(part, wanted))
                if response.status_code in TRANSIENT_STATUS:
                    asked = retry_after_seconds(response.headers)
                    raise _InterruptedError(_unreachable(response, wanted), asked_seconds=asked)
                require_answer(response, wanted.url, digest_expected=wanted.expected is not None)
                if not _continues(response, started_at):
                    self.task.advance(-part.size_bytes)
                    part.restart()
                self._write(response, part, wanted)
        except (httpx2.TooManyRedirects, httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise transport_failure(error, wanted.url) from error
        except httpx2.HTTPError as error:
            if untrusted_words(str(error)):
                raise transport_failure(error, wanted.url) from error
            cut = part.size_bytes > 0
            final = _cut(part, wanted) if cut else transport_failure(error, wanted.url)
            silent = isinstance(error, httpx2.TimeoutException)
            raise _InterruptedError(final, _SILENT_ATTEMPTS if silent else 1) from error

    def _write(self, response: httpx2.Response, part: PartialDownload, wanted: Wanted) -> None:
        stated = stated_bytes(response)
        most = _most_bytes(part, wanted, stated)
        if most is not None:
            require_space(part.path.parent, most - part.size_bytes)
        part.remember(wanted.url, response.headers)
        pace = Pace(wanted.url)
        for chunk in response.iter_raw():
            pace.count(len(chunk))
            size_bytes = part.size_bytes + len(chunk)
            if most is None and size_bytes > self._max_unstated_bytes:
                part.discard()
                raise _endless(self._max_unstated_bytes, wanted)
            if most is not None and size_bytes > most:
                part.discard()
                raise _wrong_size(f"expected {most} bytes, found {size_bytes} or more", wanted)
            part.write(chunk)
            self.task.advance(len(chunk))


class _InterruptedError(Exception):
    """An attempt that ended early; ``final`` is the problem if it was the last one.

    ``attempts`` is the number of allowed attempts that it counts for, ``asked_seconds`` the delay
    that the server requests.
    """

    def __init__(
        self, final: MealkitError, attempts: int = 1, asked_seconds: float | None = None
    ) -> None:
        super().__init__(str(final))
        self.final = final
        self.attempts = attempts
        self.asked_seconds = asked_seconds


def _most_bytes(part: PartialDownload, wanted: Wanted, stated: int | None) -> int | None:
    """Return the maximum size of the complete file; None if it is not known.

    Raises:
        SourceError: ``SOURCE_SIZE``, the server states more bytes than expected.
    """
    whole = None if stated is None else part.size_bytes + stated
    if wanted.size_bytes is None:
        return whole
    if whole is not None and whole > wanted.size_bytes:
        part.discard()
        raise _wrong_size(f"expected {wanted.size_bytes} bytes, the server has {whole}", wanted)
    return wanted.size_bytes


def _endless(most_bytes: int, wanted: Wanted) -> MealkitError:
    return failure(
        "SOURCE_ANSWER",
        f"the server does not state the file's size, and sends more than {most_bytes} bytes",
        hint="use a mirror that states it (Content-Length)",
        where=bare_url(wanted.url),
    )


def _continues(response: httpx2.Response, started_at: int) -> bool:
    """Return whether an answer starts where the part ends, not at the start of the file."""
    if response.status_code != 206:
        return started_at == 0
    return bool(response.headers.get("Content-Range", "").startswith(f"bytes {started_at}-"))


def _require_size(part: PartialDownload, wanted: Wanted) -> None:
    if wanted.size_bytes is not None and part.size_bytes != wanted.size_bytes:
        found_bytes = part.size_bytes
        part.discard()
        raise _wrong_size(f"expected {wanted.size_bytes} bytes, found {found_bytes}", wanted)


def _wrong_size(message: str, wanted: Wanted) -> MealkitError:
    return failure(
        "SOURCE_SIZE",
        message,
        hint="the source has another file; use a mirror, or mealkit lock --upgrade weights",
        where=bare_url(wanted.url),
    )


def _cut(part: PartialDownload, wanted: Wanted) -> MealkitError:
    of = "" if wanted.size_bytes is None else f" of {wanted.size_bytes}"
    return failure(
        "SOURCE_SIZE",
        f"the connection ended after {part.size_bytes}{of} bytes, again and again",
        where=bare_url(wanted.url),
    )


def _unreachable(response: httpx2.Response, wanted: Wanted) -> MealkitError:
    return failure(
        "SOURCE_UNREACHABLE",
        f"the server fails: status {response.status_code}",
        where=bare_url(wanted.url),
    )


def _local_path(url: str) -> Path | None:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme in ("http", "https") else Path(url)


def _copy(source: Path, part: PartialDownload, wanted: Wanted, task: Task) -> None:
    try:
        size_bytes = source.stat().st_size
        if wanted.size_bytes not in (None, size_bytes):
            part.discard()
            raise _wrong_size(f"expected {wanted.size_bytes} bytes, found {size_bytes}", wanted)
        require_space(part.path.parent, size_bytes)
        for chunk in file_chunks(source):
            part.write(chunk)
            task.advance(len(chunk))
    except (FileNotFoundError, IsADirectoryError) as error:
        part.discard()
        raise failure("SOURCE_NOT_FOUND", "there is no such file", where=str(source)) from error
    except PermissionError as error:
        part.discard()
        raise failure("DISK_DENIED", "cannot be read", where=str(source)) from error
    except OSError as error:
        part.discard()
        message = f"cannot be read: {error.strerror}"
        raise failure("SOURCE_CHANGED", message, where=str(source)) from error
