"""Facts about the machine that this process runs on, read from the kernel's files.

Refuses to guess: what cannot be read is None, and a check says so. Starts no process.
"""

import platform
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Python's names of processor architectures, in Go's (and so OCI's) names.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

# "No limit" in cgroup v1 is the largest page-aligned 63-bit number; nothing real comes close.
_NO_LIMIT_BYTES = 2**60

_GPU_DEVICE = re.compile(r"nvidia\d+|kfd|dxg")


@dataclass(frozen=True, slots=True)
class Roots:
    """Where the kernel shows its files; tests give recorded trees."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    dev: Path = Path("/dev")


@dataclass(frozen=True, slots=True)
class Disk:
    """The free space at a path, for this user."""

    path: Path
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a machine, seen from where this process runs."""

    architecture: str
    """The processor architecture, in Go's names where there is one."""
    memory_total_bytes: int | None
    memory_available_bytes: int | None
    """What the kernel thinks can be had without swapping."""
    memory_limit_bytes: int | None
    """The tightest limit of this process's cgroup and those above it; None: no limit seen."""
    disks: Sequence[Disk]
    gpu_devices: Sequence[str]
    """Names of device files of GPUs: nvidia0 (NVIDIA), kfd (AMD), dxg (WSL)."""
    nvidia_driver: str | None
    """The version of the NVIDIA kernel driver."""

    @property
    def usable_memory_bytes(self) -> int | None:
        """The most memory this process can ever have: the machine's, or its cgroup's if less."""
        known = [size for size in (self.memory_total_bytes, self.memory_limit_bytes) if size]
        return min(known, default=None)


def read_facts(
    paths: Sequence[Path] = (), roots: Roots | None = None, machine: str | None = None
) -> Facts:
    """Read the facts, and the free space at the paths (at the nearest folder that exists).

    ``machine`` is the architecture in Python's words; this process's own, if None.
    """
    roots = roots or Roots()
    machine = machine or platform.machine()
    total, available = _memory(roots.proc)
    return Facts(
        architecture=_ARCHITECTURES.get(machine, machine),
        memory_total_bytes=total,
        memory_available_bytes=available,
        memory_limit_bytes=_cgroup_limit(roots),
        disks=tuple(disk for path in paths if (disk := _disk(path))),
        gpu_devices=_gpu_devices(roots.dev),
        nvidia_driver=_nvidia_driver(roots.proc),
    )


def _memory(proc: Path) -> tuple[int | None, int | None]:
    # https://docs.kernel.org/filesystems/proc.html#meminfo: "kB" there means 1024 bytes.
    text = _read(proc / "meminfo")
    sizes = {
        name: int(number) * 1024
        for name, number in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)
    }
    return sizes.get("MemTotal"), sizes.get("MemAvailable")


def _cgroup_limit(roots: Roots) -> int | None:
    limits = [int(text) for text in _cgroup_limits(roots) if text.isdigit()]
    return min((limit for limit in limits if limit < _NO_LIMIT_BYTES), default=None)


def _cgroup_limits(roots: Roots) -> Iterator[str]:
    """Yield what every limit file says, of this process's cgroup and of those above it.

    v2: https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.max, one line "0::PATH");
    v1: memory.limit_in_bytes, a line with the controller "memory".
    """
    for line in _read(roots.proc / "self" / "cgroup").splitlines():
        _, controllers, path = ([*line.split(":", 2), "", ""])[:3]
        if not controllers:
            top, name = roots.sys / "fs" / "cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = roots.sys / "fs" / "cgroup" / "memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be the host's: then only the top exists, and is the container.
        inside = PurePosixPath(*(part for part in PurePosixPath(path).parts if part not in "/.."))
        for folder in (inside, *inside.parents):
            yield _read(top / folder / name).strip()


def _disk(path: Path) -> Disk | None:
    for folder in (path, *path.parents):
        try:
            return Disk(path, shutil.disk_usage(folder).free)
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def _gpu_devices(dev: Path) -> tuple[str, ...]:
    try:
        names = [entry.name for entry in dev.iterdir()]
    except OSError:
        return ()
    return tuple(sorted(name for name in names if _GPU_DEVICE.fullmatch(name)))


def _nvidia_driver(proc: Path) -> str | None:
    found = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", _read(proc / "driver" / "nvidia" / "version"))
    return found[0] if found else None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
