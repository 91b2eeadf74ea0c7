"""Locks between processes on one machine; the kernel releases them when a process dies.

Raises StoreError if the lock is taken and the caller does not want to wait.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mealkit.errors import failure
from mealkit.files.whole import disk_errors


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Lock the lock file at ``path``: exclusively, or shared with other readers.

    Raises:
        StoreError: ``STORE_BUSY``: another process has locked it and ``wait`` is false.
    """
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, mode if wait else mode | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise failure(
                "STORE_BUSY", f"another process uses the store {path.parent}", where=str(path)
            ) from error
        yield
    finally:
        os.close(descriptor)
