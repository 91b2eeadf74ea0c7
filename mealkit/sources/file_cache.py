"""The verified store of input files: each stands once, under its digest, read-only.

Refuses to hand out a file whose size, times or inode changed since it was verified, unless its
bytes still hash to its name.
"""

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from mealkit.digest import Digest, canonical_json, digest_of_file
from mealkit.files.disk_errors import disk_errors
from mealkit.untrusted import UntrustedError, parse_json, read_file

# The kernel stamps files with a clock that moves at least every 10 ms; twice that is safe.
_TICK_NS = 20_000_000
_MAX_RECORD_BYTES = 4096


class FileCache:
    """Input files by digest, below one folder; several processes may share it.

    ``sha256/<hex>`` is a file, ``verified/<hex>.json`` what it looked like when it was verified,
    ``parts/`` holds downloads that are not finished.
    """

    def __init__(self, root: Path) -> None:
        self._files = root / "sha256"
        self._records = root / "verified"
        self.parts = root / "parts"

    def path(self, digest: Digest) -> Path | None:
        """Return the verified file, or None if it is not here.

        A file that changed since it was verified is hashed again, and deleted if it is damaged.
        """
        target = self._files / digest.hex
        try:
            seen = _record_of(target)
        except OSError:
            return None
        if seen is None:
            return None
        if self._recorded(digest) == seen:
            return target
        if digest_of_file(target) != digest:
            self.drop(digest)
            return None
        self._write_record(digest, target)
        return target

    def add(self, part: Path, digest: Digest) -> Path:
        """Take a file whose bytes were just found to have this digest; ``part`` is moved.

        Raises:
            StoreError: the disk is full or cannot be written (``DISK_FULL``, ``DISK_DENIED``).
        """
        present = self.path(digest)
        if present is not None:
            part.unlink()
            return present
        target = self._files / digest.hex
        with disk_errors(target):
            self._files.mkdir(parents=True, exist_ok=True)
            with part.open("rb") as stream:
                os.fsync(stream.fileno())
            part.chmod(0o444)
            part.replace(target)
            self._write_record(digest, target)
        return target

    def drop(self, digest: Digest) -> None:
        """Delete a file, if it is here; whoever has it open can still read it."""
        (self._files / digest.hex).unlink(missing_ok=True)
        (self._records / f"{digest.hex}.json").unlink(missing_ok=True)

    @contextmanager
    def new_part(self) -> Iterator[Path]:
        """Give an empty file to write into, on the same file system; what is not added is deleted.

        Raises:
            StoreError: the disk is full or cannot be written (``DISK_FULL``, ``DISK_DENIED``).
        """
        with disk_errors(self.parts):
            self.parts.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.parts, suffix=".part")
        part = Path(name)
        try:
            # Held so that ``prune`` tells it from what a killed process left.
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield part
        finally:
            part.unlink(missing_ok=True)
            os.close(handle)

    def prune(self, keep: Collection[Digest]) -> int:
        """Delete files that are not in ``keep``, and parts that nobody writes; return the bytes."""
        freed_bytes = 0
        for path in self._files.glob("*"):
            if Digest.from_hex(path.name) not in keep:
                freed_bytes += path.stat().st_size
                self.drop(Digest.from_hex(path.name))
        for part in self.parts.glob("*.part"):
            with part.open("rb") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                freed_bytes += part.stat().st_size
                part.with_suffix(".json").unlink(missing_ok=True)
                part.unlink()
        return freed_bytes

    def _recorded(self, digest: Digest) -> list[int] | None:
        try:
            path = self._records / f"{digest.hex}.json"
            record = parse_json(read_file(path, _MAX_RECORD_BYTES, follow=False))
        except (OSError, UntrustedError):
            return None
        return record if isinstance(record, list) else None

    def _write_record(self, digest: Digest, target: Path) -> None:
        """Remember what the file looks like, once a later write would show in its times."""
        with disk_errors(self._records):
            wait_ns = target.stat().st_ctime_ns + _TICK_NS - time.time_ns()
            if 0 < wait_ns <= _TICK_NS:
                time.sleep(wait_ns / 1e9)
            self._records.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._records)
            with os.fdopen(handle, "wb") as stream:
                stream.write(canonical_json(_record_of(target)))
            Path(name).replace(self._records / f"{digest.hex}.json")


def _record_of(path: Path) -> list[int] | None:
    """Look at a file; None if it is not a regular one.

    The change time cannot be set by programs, so a restored modification time hides nothing.
    """
    found = path.stat(follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]
