"""Writes files and folders completely or not at all; turns errors of the disk into problems.

Leaves no incomplete file behind when the disk is full or a process is killed.
"""

import errno
import fcntl
import glob
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mealkit.digest import CHUNK_BYTES
from mealkit.errors import MealkitError, failure
from mealkit.units import show_size

# No space, no quota, or a size limit: in each case there was no space for the bytes.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_WRITER = re.compile(r"\.([0-9]{1,10})-[0-9a-f]{8}\.part\Z")
_OLD_SECONDS = 3600


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

    The temporary name begins with a dot and ends in ``.part``. The file is locked as long as it is
    written, see ``remove_leftovers``.

    Raises:
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``, also for a device or a pipe: root would
            replace ``/dev/null`` by a file.
    """
    if _is_device(target):
        message = f"{target} is a device or a pipe, which no file may replace"
        raise failure("DISK_DENIED", message, where=str(target), hint="name a file")
    with disk_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        path = _temporary(target)
        stream = path.open("xb", buffering=CHUNK_BYTES)
    try:
        _lock(stream.fileno())
        yield PartialFile(path, stream)
    finally:
        with suppress(OSError):  # finished data was flushed before; do not hide the failure
            stream.close()
        path.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path, doing: str, *, mode: int = 0o777) -> Iterator[Path]:
    """Yield a folder to fill, which is renamed to ``target`` if the block succeeds, else deleted.

    An empty folder at ``target`` is replaced. What a killed process left of it is deleted.

    Raises:
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``, also from the block; ``doing`` is the message.
    """
    partial = _temporary(target)
    try:
        with disk_errors(target, doing):
            target.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(target.parent, target.name)
            partial.mkdir(mode)
            with _locked_folder(partial):
                yield partial
                partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_whole(path: Path, data: bytes, *, durable: bool = True, mode: int | None = None) -> None:
    """Write a small file atomically: a reader sees the old bytes or the new ones.

    ``durable`` also makes it survive a loss of power. ``mode`` ignores the umask. A device or a
    pipe, such as ``/dev/stdout``, gets the bytes.

    Raises:
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``; the old file is unchanged.
    """
    if _is_device(path):
        with disk_errors(path), path.open("wb") as device:
            device.write(data)
        return
    with partial_file(path) as partial:
        partial.write(data)
        if mode is not None:
            with disk_errors(path.parent):
                os.fchmod(partial.stream.fileno(), mode)
        partial.finish(path, durable=durable)
    if durable:
        sync_folder(path.parent)


def _is_device(path: Path) -> bool:
    """Return whether a path is a device, a pipe or an open file, which nothing may replace."""
    with suppress(OSError):
        if path.is_symlink() and str(path.readlink()).startswith("/proc/"):
            return True
        mode = path.stat().st_mode
        return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    return False


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Delete the temporary files and folders for ``name`` that killed processes left in a folder.

    Without a name, those for all names. A living writer has locked its own. One that has just
    created its own and has not locked it yet is known by the number of its process in the name.
    """
    for path in folder.glob(f".{'*' if name is None else glob.escape(name)}.*.part"):
        found = _WRITER.search(path.name)
        with suppress(OSError):
            if found and not _is_written(path, int(found[1])):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_written(path: Path, process: int) -> bool:
    """Return whether a process may still write a temporary file; raises OSError if it is gone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.time() - os.fstat(descriptor).st_mtime > _OLD_SECONDS:
            return False  # its process's number may be another's by now, or of another machine
        if process == os.getpid():
            return False  # of an earlier container, whose only process had the same number
        os.kill(process, 0)
    except BlockingIOError:
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def _lock(descriptor: int) -> None:
    with suppress(OSError):  # some network file systems have no locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


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
