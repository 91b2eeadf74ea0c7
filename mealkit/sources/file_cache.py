"""The store of verified input files: each is stored once, under its digest, read-only.

A file whose size, times or inode changed since it was verified is hashed again before it is used.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mealkit.digest import Digest, canonical_json, digest_of_file
from mealkit.files.identity import TICK_NS, FileKey
from mealkit.files.whole import (
    PartialFile,
    disk_errors,
    partial_file,
    remove_leftovers,
    require_space,
    write_whole,
)
from mealkit.untrusted import UntrustedError, parse_json, read_file

_MAX_RECORD_BYTES = 4096


class FileCache:
    """Input files by digest, below one folder; several processes may share it.

    ``sha256/<hex>`` is a file, ``verified/<hex>.json`` its size, times and inode when it was
    verified, and ``parts/`` contains unfinished downloads.
    """

    def __init__(self, root: Path) -> None:
        self._files = root / "sha256"
        self._records = root / "verified"
        self.parts = root / "parts"

    def path(self, digest: Digest) -> Path | None:
        """Return the verified file, or None if it is missing.

        A file that changed since it was verified is hashed again, and deleted if it is damaged.
        """
        target = self._files / digest.hex
        try:
            seen = FileKey.of(target, follow=False)
        except OSError:
            return None
        if self._recorded(digest) == seen:
            return target
        if digest_of_file(target) != digest:
            self.drop(digest)
            return None
        self._write_record(digest, target)
        return target

    def add(self, part: Path, digest: Digest) -> Path:
        """Add a file whose digest was just verified; ``part`` is moved.

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

    def add_chunks(
        self,
        chunks: Iterable[bytes | memoryview],
        size_bytes: int,
        require: Callable[[Digest], None],
    ) -> tuple[Digest, Path]:
        """Write a file's bytes, and add it unless ``require`` raises for its digest.

        ``size_bytes`` is the space that the disk must have.

        Raises:
            StoreError: the disk is full or cannot be written (``DISK_FULL``, ``DISK_DENIED``).
        """
        require_space(self.parts, size_bytes)
        state = hashlib.sha256()
        with self.new_part() as part:
            for chunk in chunks:
                state.update(chunk)
                part.write(chunk)
            part.flush()
            digest = Digest.from_hex(state.hexdigest())
            require(digest)
            return digest, self.add(part.path, digest)

    def drop(self, digest: Digest) -> None:
        """Delete a file if it exists; a process that has it open can still read it."""
        (self._files / digest.hex).unlink(missing_ok=True)
        (self._records / f"{digest.hex}.json").unlink(missing_ok=True)

    @contextmanager
    def new_part(self) -> Iterator[PartialFile]:
        """Open a file for writing, on the same file system; it is deleted unless it is added.

        Raises:
            StoreError: the disk is full or cannot be written (``DISK_FULL``, ``DISK_DENIED``).
        """
        with partial_file(self.parts / "new") as part:
            # Locked, so that ``prune`` can distinguish it from the leftovers of a killed process.
            fcntl.flock(part.stream, fcntl.LOCK_EX)
            yield part

    def sizes(self) -> dict[Digest, int]:
        """Return the size of each file."""
        return {Digest.from_hex(path.name): path.stat().st_size for path in self._files.glob("*")}

    def prune(self, keep: Collection[Digest]) -> int:
        """Delete files not in ``keep`` and parts that no process writes; return the bytes freed."""
        freed_bytes = 0
        for path in self._files.glob("*"):
            if Digest.from_hex(path.name) not in keep:
                freed_bytes += path.stat().st_size
                self.drop(Digest.from_hex(path.name))
        remove_leftovers(self._records)
        for part in self.parts.glob("*.part"):
            with part.open("rb") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                freed_bytes += part.stat().st_size
                part.with_suffix(".json").unlink(missing_ok=True)
                part.unlink()
        remove_leftovers(self._records)
        return freed_bytes

    def _recorded(self, digest: Digest) -> FileKey | None:
        path = self._records / f"{digest.hex}.json"
        try:
            return FileKey.from_json(parse_json(read_file(path, _MAX_RECORD_BYTES, follow=False)))
        except (OSError, ValueError, UntrustedError):
            return None

    def _write_record(self, digest: Digest, target: Path) -> None:
        """Record the file's size, times and inode, when a later write would change its times."""
        with disk_errors(self._records):
            wait_ns = target.stat().st_ctime_ns + TICK_NS - time.time_ns()
            if 0 < wait_ns <= TICK_NS:
                time.sleep(wait_ns / 1e9)
            record = canonical_json(FileKey.of(target, follow=False).as_json())
        write_whole(self._records / f"{digest.hex}.json", record, durable=False)
