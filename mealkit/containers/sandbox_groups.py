"""Control groups that limit a sandbox's memory and processes, if this user may create them.

Without a group that this user may write, it returns None and nothing is limited.
Formats: the kernel's cgroup-v2.rst, cgroup-v1/memory.rst and cgroup-v1/pids.rst.
"""

import contextlib
import os
from pathlib import Path

_SYSTEM = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def make_groups(name: str, memory_bytes: int | None, processes: int) -> list[Path]:
    """Create the possible groups for a sandbox; one for both limits if the kernel has one."""
    made: list[Path] = []
    memory = memory_parent()
    if memory is not None and memory_bytes is not None:
        with contextlib.suppress(OSError):  # limits() reports that this depends on the machine
            made.append(make_group(memory, name, memory_bytes))
    if made and (made[0] / "cgroup.controllers").is_file():
        with contextlib.suppress(OSError):
            (made[0] / "pids.max").write_text(str(processes))
            return made
    parent = processes_parent()
    if parent is not None:
        with contextlib.suppress(OSError):
            group = _new(parent, name)
            made.append(group)
            (group / "pids.max").write_text(str(processes))
    return made


def memory_parent(system: Path = _SYSTEM, own: Path = _OWN) -> Path | None:
    """Return the group below which this process may create groups with a memory limit, if any."""
    for line in own.read_text().splitlines():
        _, controllers, inside = line.split(":", 2)
        if controllers == "" and (system / "cgroup.controllers").is_file():
            here = system / inside.lstrip("/")
            # A group with processes cannot have limited children, so a sibling is created.
            for parent in (here, here.parent):
                if parent.is_relative_to(system) and _delegates_memory(parent):
                    return parent
        elif "memory" in controllers.split(","):
            parent = system / "memory" / inside.lstrip("/")
            if os.access(parent, os.W_OK) and (parent / "memory.limit_in_bytes").is_file():
                return parent
    return None


def processes_parent(system: Path = _SYSTEM, own: Path = _OWN) -> Path | None:
    """Return the same for processes, if they have a separate hierarchy (version 1)."""
    for line in own.read_text().splitlines():
        _, controllers, inside = line.split(":", 2)
        if "pids" in controllers.split(","):
            parent = system / "pids" / inside.lstrip("/")
            if os.access(parent, os.W_OK) and (parent / "cgroup.procs").is_file():
                return parent
    return None


def make_group(parent: Path, name: str, limit_bytes: int) -> Path:
    """Create a group that may use ``limit_bytes`` of memory and no swap, and return it.

    Raises:
        OSError: the kernel refuses.
    """
    group = _new(parent, name)
    version_2 = (parent / "cgroup.controllers").is_file()
    limit = "memory.max" if version_2 else "memory.limit_in_bytes"
    (group / limit).write_text(str(limit_bytes))
    # Not every kernel is built with swap accounting.
    swap = ("memory.swap.max", "0") if version_2 else ("memory.memsw.limit_in_bytes", limit_bytes)
    with contextlib.suppress(OSError):
        (group / swap[0]).write_text(str(swap[1]))
    if version_2:
        with contextlib.suppress(OSError):  # since Linux 4.19: kill the whole group or nothing
            (group / "memory.oom.group").write_text("1")
    return group


def _new(parent: Path, name: str) -> Path:
    group = parent / f"mealkit-{name}-{os.getpid()}"
    group.mkdir()
    return group


def _delegates_memory(group: Path) -> bool:
    try:
        enabled = (group / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False
    return "memory" in enabled and all(
        os.access(path, os.W_OK) for path in (group, group / "cgroup.procs")
    )
