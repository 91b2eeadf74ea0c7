"""Writing files so that they are there whole or not at all, whatever happens in between.

Refuses to leave half a file behind when the disk is full or a process is killed.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mealkit.errors import disk_failure, failure


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors of writing under ``path`` into problems.

    Raises:
        StoreError: ``DISK_FULL``, or ``DISK_DENIED`` for any other reason, which is named.
    """
    try:
        yield
    except OSError as error:
        raise disk_failure(error, f"writing under {path}", str(path)) from error


def temporary_name(target: Path, folder: Path | None = None) -> Path:
    """Return a name for a file that becomes ``target`` once it is whole."""
    return (folder or target.parent) / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part"


def write_whole(path: Path, data: bytes, *, durable: bool = True, mode: int | None = None) -> None:
    """Write a small file at once; whoever reads it sees the old bytes or the new ones.

    ``durable`` also makes it survive a loss of power. ``mode`` is the file's, whatever the umask.

    Raises:
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``; the old file is untouched.
    """
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = temporary_name(path)
        try:
            with partial.open("xb") as stream:
                stream.write(data)
                if mode is not None:
                    os.fchmod(stream.fileno(), mode)
                if durable:
                    stream.flush()
                    os.fsync(stream.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_space(folder: Path, needed_bytes: int) -> None:
    """Find out before writing for minutes that there is not enough space.

    Raises:
        StoreError: ``DISK_FULL``, with what is needed and what is free.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        found = os.statvfs(folder)
    free_bytes = found.f_bavail * found.f_frsize
    if needed_bytes > free_bytes:
        raise failure(
            "DISK_FULL",
            f"{folder} needs {needed_bytes} more bytes, {free_bytes} are free",
            where=str(folder),
        )
