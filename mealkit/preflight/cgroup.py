"""Reads the limits of this process's control groups for memory and CPU time, versions 1 and 2.

v2: https://docs.kernel.org/admin-guide/cgroup-v2.html
v1: https://docs.kernel.org/admin-guide/cgroup-v1/memory.html, scheduler/sched-bwc.html
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mealkit.preflight.roots import Roots, read_text

# "No limit" in cgroup v1 is the largest page-aligned 63-bit number, far above any real limit.
_NO_LIMIT_BYTES = 2**60


def memory_limit_bytes(roots: Roots) -> int | None:
    """Return the lowest memory limit of this process's cgroup and its parents, if any."""
    texts = [
        read_text(folder / ("memory.max" if unified else "memory.limit_in_bytes")).strip()
        for folder, unified in _folders(roots, "memory")
    ]
    limits = [int(text) for text in texts if text.isdigit()]
    return min((limit for limit in limits if limit < _NO_LIMIT_BYTES), default=None)


def cpu_limit(roots: Roots) -> float | None:
    """Return the lowest CPU limit in number of processors, if there is one."""
    limits = [_cpus(folder, unified=unified) for folder, unified in _folders(roots, "cpu")]
    return min((limit for limit in limits if limit is not None), default=None)


def _cpus(folder: Path, *, unified: bool) -> float | None:
    """Read "max 100000" or "200000 100000": a quota per period, both in microseconds."""
    if unified:
        words = read_text(folder / "cpu.max").split()
    else:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        words = [read_text(folder / name).strip() for name in names]
    if len(words) != 2 or not all(word.isdigit() for word in words) or not int(words[1]):
        return None
    return int(words[0]) / int(words[1])


def _folders(roots: Roots, controller: str) -> Iterator[tuple[Path, bool]]:
    """Yield the controller's folders for this process and its parents, and whether they are v2."""
    top = roots.sys / "fs" / "cgroup"
    for line in read_text(roots.proc / "self" / "cgroup").splitlines():
        _, controllers, path = ([*line.split(":", 2), "", ""])[:3]
        if controllers and controller not in controllers.split(","):
            continue
        mounted = top / controller if controllers else top
        # In a container the path may be the host's: then only the container's top folder exists.
        inside = PurePosixPath(*(part for part in PurePosixPath(path).parts if part not in "/.."))
        for folder in (inside, *inside.parents):
            yield mounted / folder, not controllers
