"""Reads how much memory a kit that runs here has used at most.

The host's memory is what the kernel counts for the container's control group, which the limit is
about: pages of files that it read are part of it. A GPU's memory is what the container's processes
have when it is read: engines keep what they took.
"""

from pathlib import Path

from mealkit.acceptance.target import Memory
from mealkit.containers.container import Container
from mealkit.errors import MealkitError
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.clients import client_of
from mealkit.preflight.nvidia import read_nvidia
from mealkit.preflight.roots import Roots
from mealkit.recipe.kit import Gpu
from mealkit.recipe.lock import Lock
from mealkit.runtime.life.memory_counts import memory_state

_PROC = Path("/proc")


def peak_memory(name: str, lock: Lock, home: Home) -> Memory:
    """Return the peak of a running kit; what cannot be read is None."""
    try:
        client = client_of(name, home)
        container, pid = client.state(name), client.process(name)
    except MealkitError:
        return Memory()
    if pid is None or not _is_of(container, pid):
        return Memory()
    host = memory_state(own=_PROC / str(pid) / "cgroup").peak_bytes
    needs_gpu = lock.requirements.gpu is not Gpu.NONE
    return Memory(host, _gpu_bytes(container) if needs_gpu else None)


def _is_of(container: Container, pid: int) -> bool:
    """Return whether a process is in a container's own control group.

    A daemon in a virtual machine names processes of that machine; a sandbox may have no group.
    """
    try:
        groups = (_PROC / str(pid) / "cgroup").read_text()
    except OSError:
        return False
    return container.id in groups or container.name in groups


def _gpu_bytes(container: Container) -> int | None:
    found = [
        process.memory_bytes
        for gpu in read_nvidia(Roots(), (None, None)).gpus
        for process in gpu.processes
        if _is_of(container, process.pid)
    ]
    known = [size for size in found if size is not None]
    return sum(known) if known and len(known) == len(found) else None
