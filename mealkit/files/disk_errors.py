"""What the disk says when it is full or closed, as problems with the path."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mealkit.errors import failure
from mealkit.units import show_size

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, or one that may not be written, into a problem that names ``path``.

    Raises:
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``; any other OSError passes unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise failure("DISK_FULL", "the disk is full", where=str(path)) from error
        if error.errno in _DENIED:
            message = f"cannot be written: {error.strerror}"
            raise failure("DISK_DENIED", message, where=str(path)) from error
        raise


def require_space(folder: Path, needed_bytes: int) -> None:
    """Refuse to begin what cannot fit.

    Raises:
        StoreError: ``DISK_FULL``, with the bytes that are needed and those that are free.
    """
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise failure(
            "DISK_FULL",
            f"{show_size(needed_bytes)} are needed and {show_size(free_bytes)} are free",
            where=str(folder),
        )
