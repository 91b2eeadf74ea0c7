"""The GPUs that a kit could use here: whole GPUs, MIG slices, and GPUs that do not respond.

Leaves out lost GPUs, and GPUs in MIG mode outside their slices, because no kit can start on them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mealkit.preflight.facts import Facts
from mealkit.preflight.nvidia import GpuProcess, Memory, NvidiaGpu
from mealkit.units import show_size


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU, or a slice of one, as a program sees it; None: unknown."""

    title: str
    maker: str
    capability: tuple[int, int] | None = None
    total_bytes: int | None = None
    """The memory that programs can use: without what the driver reserves."""
    free_bytes: int | None = None
    processes: tuple[GpuProcess, ...] = ()
    is_slice: bool = False

    @property
    def holders(self) -> str:
        """The processes that use its memory, largest first; empty if none is visible."""
        known = sorted(self.processes, key=lambda item: -(item.memory_bytes or 0))
        return ", ".join(_holder(item) for item in known)


def devices_of(facts: Facts) -> tuple[Device, ...]:
    """Return the GPUs in the driver's order, also device files that no driver describes."""
    nvidia = facts.nvidia
    found = [device for gpu in nvidia.gpus if not gpu.lost for device in _devices(gpu)]
    silent = (nvidia.count or 0) - len(nvidia.gpus)
    found += [Device(f"GPU {len(nvidia.gpus) + index}", "NVIDIA") for index in range(silent)]
    if not nvidia.gpus and nvidia.count is None:
        names = [name for name in facts.gpu_devices if name != "kfd"]
        found += [Device(f"/dev/{name}", "NVIDIA") for name in names]
    return (*found, *_amd(facts))


def largest(devices: Sequence[Device], count: int) -> int | None:
    """Return the smallest memory of the ``count`` largest GPUs; None if one of them is unknown."""
    totals = [device.total_bytes for device in devices]
    known = sorted((size for size in totals if size is not None), reverse=True)
    if len(known) < len(totals) or not known:
        return None
    return known[min(count, len(known)) - 1]


def first(devices: Sequence[Device], count: int) -> Sequence[Device]:
    """Return the GPUs that an engine uses by default."""
    return devices[:count]


def show_capability(capability: tuple[int, int] | None) -> str:
    """Return a compute capability as text."""
    return "unknown" if capability is None else f"{capability[0]}.{capability[1]}"


def show_optional(size_bytes: int | None) -> str:
    """Return a size as text, or that it is unknown."""
    return "unknown" if size_bytes is None else show_size(size_bytes)


def titles(devices: Iterable[Device]) -> str:
    """Return the names of devices as text, with equal ones together: ``8 x NVIDIA L4``."""
    counts: dict[str, int] = {}
    for device in devices:
        name = device.title.partition(", ")[2] or device.title
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(name if count == 1 else f"{count} x {name}" for name, count in counts.items())


def _devices(gpu: NvidiaGpu) -> Iterator[Device]:
    title = f"GPU {gpu.index}, {gpu.name or 'of unknown kind'}"
    if not gpu.mig_enabled:
        total, free = _sizes(gpu)
        yield Device(title, "NVIDIA", gpu.compute_capability, total, free, gpu.processes)
        return
    for part in gpu.slices:
        total, free = _sizes(part)
        name = part.name or f"slice {part.index} of {gpu.name}"
        yield Device(
            f"GPU {gpu.index}.{part.index}, {name}",
            "NVIDIA",
            gpu.compute_capability,
            total,
            free,
            is_slice=True,
        )


def _sizes(memory: Memory) -> tuple[int | None, int | None]:
    total = memory.memory_total_bytes
    if total is not None:
        total -= memory.memory_reserved_bytes or 0
    return total, memory.memory_free_bytes


def _amd(facts: Facts) -> Iterator[Device]:
    for gpu in facts.amd.gpus:
        total, used = gpu.memory_total_bytes, gpu.memory_used_bytes
        free = None if total is None or used is None else total - used
        yield Device(f"GPU {gpu.node}, AMD {gpu.target or 'GPU'}", "AMD", None, total, free)
    if not facts.amd.gpus and "kfd" in facts.gpu_devices:
        yield Device("/dev/kfd", "AMD")


def _holder(process: GpuProcess) -> str:
    name = process.name or "a program that is not visible from here"
    return f"{name} (process {process.pid}) uses {show_optional(process.memory_bytes)}"
