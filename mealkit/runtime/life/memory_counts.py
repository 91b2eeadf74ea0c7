"""Reads memory figures of this process's control group: limit, peak, number of killed processes.

A value that cannot be read is None. Standard library only. Formats of both versions:
https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.max, memory.peak, memory.events) and
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html (memory.oom_control counts kills too).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# "No limit" in version 1 is the largest page-aligned 63-bit number; real limits are far smaller.
_NO_LIMIT_BYTES = 2**60

_LIMITS = ("memory.max", "memory.limit_in_bytes")
_PEAKS = ("memory.peak", "memory.max_usage_in_bytes", "memory.current")
_EVENTS = ("memory.events", "memory.oom_control")


@dataclass(frozen=True, slots=True)
class MemoryState:
    """The memory figures of a control group at one moment."""

    limit_bytes: int | None
    """The smallest limit of the group and its parents."""
    peak_bytes: int | None
    """The peak memory use of the group with that limit."""
    kills: int | None
    """How many processes of this group the kernel has killed for lack of memory."""


def memory_state(
    system: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> MemoryState:
    """Read the control group of this process; the worker is in the same one."""
    folders = list(_folders(system, own))
    limits = [
        (limit, folder)
        for folder in folders
        if (limit := _number(folder, _LIMITS)) is not None and limit < _NO_LIMIT_BYTES
    ]
    limit_bytes, tightest = min(limits, default=(None, None))
    counts = (_kills(folder) for folder in folders)
    return MemoryState(
        limit_bytes=limit_bytes,
        peak_bytes=_number(tightest, _PEAKS) if tightest else None,
        # The group itself comes first; its parents also count other processes.
        kills=next((count for count in counts if count is not None), None),
    )


def _folders(system: Path, own: Path) -> Iterator[Path]:
    """Yield the folders of this process's group and of its parents, nearest first."""
    for line in _read(own).splitlines():
        _, controllers, path = ([*line.split(":", 2), "", ""])[:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        top = system / "memory" if controllers else system
        # In a container the path may be the host's: then only the top exists, the container's.
        inside = PurePosixPath(*(part for part in PurePosixPath(path).parts if part not in "/.."))
        yield from (top / folder for folder in (inside, *inside.parents))


def _kills(folder: Path) -> int | None:
    for name in _EVENTS:
        found = re.search(r"^oom_kill (\d+)$", _read(folder / name), re.MULTILINE)
        if found:
            return int(found[1])
    return None


def _number(folder: Path, names: tuple[str, ...]) -> int | None:
    for name in names:
        text = _read(folder / name).strip()
        if text.isdigit():
            return int(text)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
