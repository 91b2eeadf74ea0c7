"""Upload sessions that a killed push left in a registry, so that the next push goes on with them.

A record names the registry, the repository, the blob and the session's address. It says nothing
about the bytes: the registry is asked how many it has, and it compares the digest at the end. The
process that uses a session has locked its record, because two may not write into one session.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mealkit.digest import Digest, canonical_json
from mealkit.files.whole import disk_errors
from mealkit.untrusted import UntrustedError, parse_json_object

_MAX_RECORD_BYTES = 16 * 1024
# A smaller blob is sent again sooner than the registry answers how much of it it has.
_LEAST_BYTES = 1024 * 1024


class Record:
    """What is known of one upload; without a file it is forgotten at the end of the process."""

    def __init__(self, blob: Mapping[str, str], path: Path | None = None, handle: int = -1) -> None:
        self._blob = dict(blob)
        self._path = path
        self._handle = handle

    @property
    def location(self) -> str | None:
        """The address of the session that an earlier process had; None if there was none."""
        if self._path is None:
            return None
        try:
            form = parse_json_object(os.pread(self._handle, _MAX_RECORD_BYTES, 0))
        except (OSError, UntrustedError):
            return None
        location = form.pop("location", None)
        return location if form == self._blob and isinstance(location, str) else None

    def remember(self, location: str) -> None:
        """Record where the upload goes on.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
        """
        if self._path is not None:
            with disk_errors(self._path):
                text = canonical_json({**self._blob, "location": location})
                os.ftruncate(self._handle, 0)
                os.pwrite(self._handle, text, 0)

    def forget(self) -> None:
        """Delete the record: the upload has ended."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class UnfinishedUploads:
    """The records of a home, each a small file in ``folder``; without a folder there are none."""

    folder: Path | None = None

    @contextmanager
    def record(
        self, registry: str, repository: str, digest: Digest, size_bytes: int
    ) -> Iterator[Record]:
        """Lock the record of an upload; one without a file if another process has locked it.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
        """
        blob = {"registry": registry, "repository": repository, "digest": str(digest)}
        if self.folder is None or size_bytes < _LEAST_BYTES:
            yield Record(blob)
            return
        path = self.folder / f"{hashlib.sha256(canonical_json(blob)).hexdigest()}.json"
        with disk_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            yield Record(blob, path, handle) if _lock(handle) else Record(blob)
        finally:
            os.close(handle)

    def prune(self) -> int:
        """Delete the records that no process uses; return the freed bytes."""
        freed_bytes = 0
        for path in self.folder.glob("*.json") if self.folder else ():
            with suppress(OSError), path.open("rb") as stream:
                if _lock(stream.fileno()):
                    freed_bytes += os.fstat(stream.fileno()).st_size
                    path.unlink()
        return freed_bytes


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process has it, or the file system has no locks
        return False
    return True
