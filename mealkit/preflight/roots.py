"""Where the kernel shows its files. Tests and other machines' recordings put theirs in place."""

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
    """Return what a file says; nothing, if it is not there or may not be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def why_unreadable(path: Path) -> str:
    """Say why a file could not be read, or that it lacks what was looked for."""
    try:
        path.read_bytes()
    except OSError as error:
        return f"{path}: {error.strerror}"
    return f"{path} does not say"
