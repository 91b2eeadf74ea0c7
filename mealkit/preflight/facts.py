"""Facts about the machine that this process runs on: one model, which travels as JSON.

Refuses to guess: what cannot be read is None, with the reason beside it. Read without torch, and
without any tool of a vendor, in well under a second.
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
from mealkit.preflight.cpu import Cpu, architecture, read_cpu
from mealkit.preflight.disk import Disk, SharedMemory, read_disk, read_shared_memory
from mealkit.preflight.fact import Fact
from mealkit.preflight.nvidia import PATIENCE_SECONDS, Nvidia, read_nvidia
from mealkit.preflight.roots import Roots, read_text, why_unreadable
from mealkit.preflight.toolkit import Toolkit, read_toolkit
from mealkit.preflight.ulimits import Ulimits, read_ulimits
from mealkit.untrusted import parse_json_object

_GPU_DEVICE = re.compile(r"nvidia\d+|kfd|dxg")


class Facts(Fact):
    """What is known of a machine, seen from where this process runs."""

    format: Literal["mealkit.facts/v1"] = "mealkit.facts/v1"
    """The version of this form."""
    host: str
    """The machine's name for itself, to tell files of several machines apart."""
    architecture: str
    """The processor architecture, in Go's names where there is one."""
    kernel: str
    """The release of the Linux kernel."""
    cpu: Cpu
    memory_total_bytes: int | None
    memory_available_bytes: int | None
    """What the kernel thinks can be had without swapping."""
    memory_limit_bytes: int | None
    """The tightest limit of this process's cgroup and those above it; None: no limit seen."""
    shm: SharedMemory
    disks: tuple[Disk, ...]
    """The space at the paths that were asked for."""
    ulimits: Ulimits
    gpu_devices: tuple[str, ...]
    """Names of device files of GPUs: nvidia0 (NVIDIA), kfd (AMD), dxg (WSL)."""
    nvidia: Nvidia
    amd: Amd
    toolkit: Toolkit
    clients: tuple[Client, ...]
    """The container clients, best first; empty where nobody looked, as in a container."""

    @property
    def usable_memory_bytes(self) -> int | None:
        """The most memory this process can ever have: the machine's, or its cgroup's if less."""
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

    ``machine`` is the architecture in Python's words; this process's own, if None. ``clients`` are
    handed through. A driver that hangs is given up after ``patience_seconds``.
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
    """Read facts that were written on another machine (``mealkit host --json``).

    Raises:
        PreflightError: the file holds something else.
    """
    try:
        # What JSON cannot say is refused first; pydantic's own reader takes NaN.
        return Facts.model_validate_json(json.dumps(parse_json_object(data)))
    except ValueError as error:
        message = str(error).splitlines()[0]
        raise failure("FACTS_INVALID", f"these are no facts: {message}", where=where) from error


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
