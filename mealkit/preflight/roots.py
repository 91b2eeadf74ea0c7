"""The folders in which the kernel shows its files; tests replace them with recordings."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Roots:
    """The folders that facts are read from."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    dev: Path = Path("/dev")
    etc: Path = Path("/etc")
    run: Path = Path("/var/run")


def read_text(path: Path) -> str:
    """Return a file's content; empty if it is missing or not readable."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def why_unreadable(path: Path) -> str:
    """Return why a file could not be read, or that it lacks the value."""
    try:
        path.read_bytes()
    except OSError as error:
        return f"{path}: {error.strerror}"
    return f"{path} does not state it"
