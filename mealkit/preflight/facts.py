"""The facts about the machine that this process runs on: one model, convertible to JSON.

A value that cannot be read is None, with the reason in ``unknown``. The facts are read without
torch and without any tool of a vendor, in well under a second.
"""

import json
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mealkit.errors import failure
from mealkit.preflight.amd import Amd, read_amd
from mealkit.preflight.cgroup import memory_limit_bytes
from mealkit.preflight.container_client import Client
from mealkit.preflight.cpu import Cpu, architecture, read_cpu, read_emulated
from mealkit.preflight.disk import Disk, SharedMemory, read_disk, read_shared_memory
from mealkit.preflight.fact import Fact
from mealkit.preflight.nvidia import PATIENCE_SECONDS, Nvidia, read_nvidia
from mealkit.preflight.roots import Roots, read_text, why_unreadable
from mealkit.preflight.toolkit import Toolkit, read_toolkit
from mealkit.preflight.ulimits import Ulimits, read_ulimits
from mealkit.untrusted import parse_json_object

_GPU_DEVICE = re.compile(r"nvidia\d+|kfd|dxg")


class Facts(Fact):
    """The facts about a machine, as seen by this process."""

    format: Literal["mealkit.facts/v1"] = "mealkit.facts/v1"
    """The version of this format."""
    host: str
    """The machine's name, to distinguish the files of several machines."""
    architecture: str
    """The processor architecture, by its name in Go if it has one."""
    emulated: tuple[str, ...] = ()
    """Other architectures whose programs an emulator runs here, also in containers."""
    kernel: str
    """The release of the Linux kernel."""
    cpu: Cpu
    memory_total_bytes: int | None
    memory_available_bytes: int | None
    """The kernel's estimate of the memory that is available without swapping."""
    memory_limit_bytes: int | None
    """The lowest limit of this process's cgroup and its parents; None: no limit found."""
    shm: SharedMemory
    disks: tuple[Disk, ...]
    """The space at the requested paths."""
    ulimits: Ulimits
    gpu_devices: tuple[str, ...]
    """The names of the GPUs' device files: nvidia0 (NVIDIA), kfd (AMD), dxg (WSL)."""
    nvidia: Nvidia
    amd: Amd
    toolkit: Toolkit
    clients: tuple[Client, ...]
    """The container clients, best first; empty if they were not read, as in a container."""

    @property
    def usable_memory_bytes(self) -> int | None:
        """The maximum memory of this process: the machine's, or the cgroup's limit if lower."""
        known = [size for size in (self.memory_total_bytes, self.memory_limit_bytes) if size]
        return min(known, default=None)


def read_facts(
    paths: Sequence[Path] = (),
    roots: Roots | None = None,
    machine: str | None = None,
    clients: Sequence[Client] = (),
    patience_seconds: float = PATIENCE_SECONDS,
) -> Facts:
    """Read the facts, and the space at the paths (at the nearest folder that exists).

    ``machine`` is the architecture by Python's name; this process's own, if None. ``clients`` are
    returned unchanged. A call to a driver that hangs is aborted after ``patience_seconds``.
    """
    roots = roots or Roots()
    memory = _memory(roots)
    total, available = memory
    unknown = {}
    if total is None:
        unknown["memory_total_bytes"] = why_unreadable(roots.proc / "meminfo")
    if available is None:
        unknown["memory_available_bytes"] = why_unreadable(roots.proc / "meminfo")
    return Facts(
        host=platform.node(),
        architecture=architecture(machine),
        emulated=read_emulated(roots),
        kernel=platform.release(),
        cpu=read_cpu(roots),
        memory_total_bytes=total,
        memory_available_bytes=available,
        memory_limit_bytes=memory_limit_bytes(roots),
        shm=read_shared_memory(roots),
        disks=tuple(read_disk(path) for path in paths),
        ulimits=read_ulimits(),
        gpu_devices=_gpu_devices(roots.dev),
        nvidia=read_nvidia(roots, memory, patience_seconds),
        amd=read_amd(roots),
        toolkit=read_toolkit(roots),
        clients=tuple(clients),
        unknown=unknown,
    )


def parse_facts(data: bytes, where: str) -> Facts:
    """Parse facts that were written on another machine (``mealkit host --json``).

    Raises:
        PreflightError: the file does not contain facts.
    """
    try:
        # Our parser first rejects what is not JSON, such as NaN, which pydantic's parser accepts.
        return Facts.model_validate_json(json.dumps(parse_json_object(data)))
    except ValueError as error:
        message = str(error).splitlines()[0]
        raise failure(
            "FACTS_INVALID", f"the file does not contain facts: {message}", where=where
        ) from error


def _memory(roots: Roots) -> tuple[int | None, int | None]:
    # https://docs.kernel.org/filesystems/proc.html#meminfo: "kB" there means 1024 bytes.
    text = read_text(roots.proc / "meminfo")
    sizes = {
        name: int(number) * 1024
        for name, number in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)
    }
    return sizes.get("MemTotal"), sizes.get("MemAvailable")


def _gpu_devices(dev: Path) -> tuple[str, ...]:
    try:
        names = [entry.name for entry in dev.iterdir()]
    except OSError:
        return ()
    return tuple(sorted(name for name in names if _GPU_DEVICE.fullmatch(name)))
