"""An unfinished download: a file that one process at a time may write, and its hash.

It is not resumed from an address whose file may have changed in the meantime.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mealkit.digest import Digest, file_chunks
from mealkit.files.whole import disk_errors
from mealkit.untrusted import UntrustedError, parse_json_object, read_file

_MAX_NOTE_BYTES = 64 * 1024
# How often a thread that another can stop asks for a lock.
_LOCK_SECONDS = 0.05


class PartialDownload:
    """An open part; ``open_partial_download`` creates it and locks it."""

    def __init__(self, path: Path, handle: int, head: bytes = b"") -> None:
        self.path = path
        self._handle = handle
        self._head = head
        self._begin()
        self.size_bytes = 0
        self._note = path.with_suffix(".json")
        self._origin = _read_note(self._note)
        # A part that a killed process left is hashed again, because its content is not known.
        for chunk in file_chunks(path):
            self._count(chunk)

    @property
    def digest(self) -> Digest:
        """The digest of the bytes written so far."""
        return Digest(f"sha256:{self._state.hexdigest()}")

    def digest_within(self, tail: bytes) -> Digest:
        """Return the digest of a layer: the head, the bytes written so far, and a tail.

        It is hashed along with the file, so a large file is not read a second time.
        """
        state = self._within.copy()
        state.update(tail)
        return Digest(f"sha256:{state.hexdigest()}")

    def write(self, chunk: bytes | memoryview) -> None:
        """Append bytes.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``; completely written bytes stay.
        """
        view = memoryview(chunk)
        while view:
            with disk_errors(self.path):
                written = os.pwrite(self._handle, view, self.size_bytes)
            self._count(view[:written])
            view = view[written:]

    def store(self, chunk: bytes | memoryview) -> None:
        """Append bytes without hashing them: another thread gives the same ones to ``hash``.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
        """
        view = memoryview(chunk)
        while view:
            with disk_errors(self.path):
                written = os.pwrite(self._handle, view, self.size_bytes)
            self.size_bytes += written
            view = view[written:]

    def hash(self, chunk: bytes | memoryview) -> None:
        """Hash bytes that ``store`` appends."""
        self._state.update(chunk)

    def sync(self) -> None:
        """Wait until the bytes that were written so far are on the disk."""
        with disk_errors(self.path):
            os.fdatasync(self._handle)

    def may_resume(self, url: str, *, trusted: bool) -> bool:
        """Return whether this part may be continued from an address.

        With an expected digest (``trusted``) any address is possible, because the digest is
        checked at the end. Without one, only the same address with a validator for the server.
        """
        return trusted or (self._origin.get("url") == url and bool(self._validator))

    def range_headers(self, url: str) -> dict[str, str]:
        """Return the headers that request the rest, if there is something to continue.

        Source: RFC 9110, sections 13.1.5 (If-Range) and 14.2 (Range).
        """
        if not self.size_bytes:
            return {}
        asked = {"Range": f"bytes={self.size_bytes}-"}
        if self._origin.get("url") == url and self._validator:
            asked["If-Range"] = self._validator
        return asked

    def remember(self, url: str, headers: Mapping[str, str]) -> None:
        """Record the version of an address's file, for resuming."""
        etag = headers.get("ETag", "")
        validator = headers.get("Last-Modified", "") if etag.startswith("W/") else etag
        self._origin = {"url": url, "validator": validator or headers.get("Last-Modified", "")}
        with disk_errors(self._note):
            self._note.write_text(json.dumps(self._origin), encoding="utf-8")

    def restart(self) -> None:
        """Discard the written bytes, and stay open."""
        os.ftruncate(self._handle, 0)
        self._begin()

    def forget_origin(self) -> None:
        """Delete the record of its origin, before the part is moved away."""
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete it, so that it is not resumed."""
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _begin(self) -> None:
        self.size_bytes = 0
        self._state = hashlib.sha256()
        self._within = hashlib.sha256(self._head)

    def _count(self, chunk: bytes | memoryview) -> None:
        self.size_bytes += len(chunk)
        self._state.update(chunk)
        if self._head:
            self._within.update(chunk)

    @property
    def _validator(self) -> str:
        return self._origin.get("validator", "")


@contextmanager
def open_partial_download(
    folder: Path, key: str, *, head: bytes = b"", check: Callable[[], None] | None = None
) -> Iterator[PartialDownload | None]:
    """Open a part and lock it; wait for the process that has locked it now.

    ``head`` is what ``digest_within`` begins with. ``check`` is called while this waits, and may
    raise an error to end it.

    Returns None if it was finished or deleted in the meantime: check the cache, then try again.

    Raises:
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    path = folder / f"{key}.part"
    with disk_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # The lock is on the file itself: after it was moved into the cache, its path is free again.
        _lock(handle, check)
        yield PartialDownload(path, handle, head) if _is_at(path, handle) else None
    finally:
        os.close(handle)


def _lock(handle: int, check: Callable[[], None] | None) -> None:
    while check is not None:
        check()
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_SECONDS)
        else:
            return
    fcntl.flock(handle, fcntl.LOCK_EX)


def _is_at(path: Path, handle: int) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    held = os.fstat(handle)
    return (found.st_ino, found.st_dev) == (held.st_ino, held.st_dev)


def _read_note(path: Path) -> dict[str, str]:
    try:
        note = parse_json_object(read_file(path, _MAX_NOTE_BYTES, follow=False))
    except (OSError, UntrustedError):
        return {}
    return {key: value for key, value in note.items() if isinstance(value, str)}
