"""Writes files and folders completely or not at all; turns errors of the disk into problems.

Leaves no incomplete file behind when the disk is full or a process is killed.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mealkit.digest import CHUNK_BYTES
from mealkit.errors import MealkitError, failure
from mealkit.units import show_size

# No space, no quota, or a size limit: in each case there was no space for the bytes.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def disk_failure(error: OSError, doing: str, where: str) -> MealkitError:
    """Return the error for a full disk (``DISK_FULL``) or a denied access (``DISK_DENIED``)."""
    code = "DISK_FULL" if error.errno in _FULL else "DISK_DENIED"
    return failure(code, f"{doing}: {error.strerror or error}", where=str(error.filename or where))


@contextmanager
def disk_errors(path: Path, doing: str | None = None) -> Iterator[None]:
    """Turn the system's errors into problems; the default for ``doing`` is "writing under PATH".

    Raises:
        StoreError: ``DISK_FULL``, or ``DISK_DENIED`` with any other reason.
    """
    try:
        yield
    except OSError as error:
        raise disk_failure(error, doing or f"writing under {path}", str(path)) from error


class PartialFile:
    """A file that is written under a temporary name; created by ``partial_file``."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path = path
        self.stream = stream

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
        """
        with disk_errors(self.path.parent):
            self.stream.write(data)

    def flush(self) -> None:
        """Pass the written bytes to the system.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
        """
        with disk_errors(self.path.parent):
            self.stream.flush()

    def finish(self, target: Path, *, durable: bool = True) -> int:
        """Rename the file to ``target``, on the same file system, and return its size in bytes.

        ``durable`` writes the bytes to the disk before that.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``; the old ``target`` is unchanged.
        """
        with disk_errors(target.parent):
            self.stream.flush()
            if durable:
                os.fsync(self.stream.fileno())
            size_bytes = self.stream.tell()
            self.path.replace(target)
        return size_bytes


@contextmanager
def partial_file(target: Path) -> Iterator[PartialFile]:
    """Open a temporary file next to ``target``; it is deleted unless it is finished.

    The temporary name begins with a dot and ends in ``.part``.

    Raises:
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    with disk_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        path = _temporary(target)
        stream = path.open("xb", buffering=CHUNK_BYTES)
    try:
        yield PartialFile(path, stream)
    finally:
        with suppress(OSError):  # finished data was flushed before; do not hide the failure
            stream.close()
        path.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path, doing: str, *, mode: int = 0o777) -> Iterator[Path]:
    """Yield a folder to fill, which is renamed to ``target`` if the block succeeds, else deleted.

    An empty folder at ``target`` is replaced.

    Raises:
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``, also from the block; ``doing`` is the message.
    """
    partial = _temporary(target)
    try:
        with disk_errors(target, doing):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.mkdir(mode)
            yield partial
            partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_whole(path: Path, data: bytes, *, durable: bool = True, mode: int | None = None) -> None:
    """Write a small file atomically: a reader sees the old bytes or the new ones.

    ``durable`` also makes it survive a loss of power. ``mode`` ignores the umask.

    Raises:
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``; the old file is unchanged.
    """
    with partial_file(path) as partial:
        partial.write(data)
        if mode is not None:
            with disk_errors(path.parent):
                os.fchmod(partial.stream.fileno(), mode)
        partial.finish(path, durable=durable)
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder survive a loss of power.

    Raises:
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    with disk_errors(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def require_space(folder: Path, needed_bytes: int) -> None:
    """Check before a long write that the disk has enough free space.

    Raises:
        StoreError: ``DISK_FULL``, with the needed and the free space.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        found = os.statvfs(folder)
    require_free(folder, needed_bytes, found.f_bavail * found.f_frsize)


def require_free(folder: Path, needed_bytes: int, free_bytes: int) -> None:
    """Compare the needed space with the free space.

    Raises:
        StoreError: ``DISK_FULL``, with both sizes.
    """
    if needed_bytes > free_bytes:
        raise failure(
            "DISK_FULL",
            f"{folder} needs {show_size(needed_bytes)} more, but {show_size(free_bytes)} are free",
            where=str(folder),
        )


def _temporary(target: Path) -> Path:
    return target.parent / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part"
