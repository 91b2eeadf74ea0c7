"""Names the containers that a command starts for itself: those of a killed one are known by it."""

import re
import uuid
from os import getpid
from pathlib import Path

_NAME = re.compile(r"(?:ask|try)-(?P<process>[1-9][0-9]{0,9})-[0-9a-f]{8}")


def name_of_own(purpose: str) -> str:
    """Return a new name for a container of this process: ``ask`` or ``try``, process and chance."""
    return f"{purpose}-{getpid()}-{uuid.uuid4().hex[:8]}"


def is_left(name: str) -> bool:
    """Return whether a name is of a process that has ended without removing its container."""
    found = _NAME.fullmatch(name)
    return found is not None and not Path("/proc", found["process"]).exists()
