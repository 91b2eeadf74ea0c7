"""Names the containers that a command starts for itself, and removes those of a killed command.

The command has a lock on a file as long as it needs its container. The kernel takes the lock from a
process that ends, however it ends.
"""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mealkit.errors import MealkitError
from mealkit.files.locks import locked
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.clients import client_of, kits_of_home

_NAME = re.compile(r"(?:ask|try)-[1-9][0-9]{0,9}-[0-9a-f]{8}")


@contextmanager
def name_of_own(purpose: str, home: Home) -> Iterator[str]:
    """Yield a new name for a container of this process: ``ask`` or ``try``, process and chance.

    The container has to be removed before the block ends.

    Raises:
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    name = f"{purpose}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    path = _lock_of(name, home)
    with locked(path):
        try:
            yield name
        finally:
            with suppress(OSError):
                path.unlink()


def is_left(name: str, home: Home) -> bool:
    """Return whether a name is of a process that has ended without removing its container."""
    if _NAME.fullmatch(name) is None:
        return False
    path = _lock_of(name, home)
    if not path.exists():
        return True
    try:
        with locked(path, wait=False):
            return True
    except MealkitError:  # the process has it, or the folder cannot be read
        return False


def remove_left(home: Home) -> None:
    """Remove the containers that killed commands of this home have left."""
    for item in kits_of_home(home):
        if is_left(item.name, home):
            with suppress(MealkitError):  # another process removes it, too
                client_of(item.name, home).remove(item.name)
    for path in home.own_names.glob("*.lock"):
        if is_left(path.stem, home):
            with suppress(OSError):
                path.unlink()


def _lock_of(name: str, home: Home) -> Path:
    return home.own_names / f"{name}.lock"
