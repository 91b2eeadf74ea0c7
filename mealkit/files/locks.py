"""Locks between processes on one machine; the kernel lets go of them when a process dies.

A caller that does not want to wait is told that the store is busy.
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
    """Hold the lock file at ``path``: alone, or with others that also share it.

    Raises:
        StoreError: ``STORE_BUSY``: another holds it and ``wait`` is false.
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
