"""The GPUs that a kit could use here: whole ones, slices of them, and those that tell nothing.

Lost GPUs and GPUs that are cut into slices are none: nothing can be started on them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mealkit.preflight.facts import Facts
from mealkit.preflight.nvidia import GpuProcess, Memory, NvidiaGpu
from mealkit.units import show_size


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU, or a slice of one, as a program sees it; None: not known."""

    title: str
    maker: str
    capability: tuple[int, int] | None = None
    total_bytes: int | None = None
    """The memory that programs can have: without what the driver keeps for itself."""
    free_bytes: int | None = None
    processes: tuple[GpuProcess, ...] = ()
    is_slice: bool = False

    @property
    def holders(self) -> str:
        """Who holds its memory, most first; empty if nobody is seen."""
        known = sorted(self.processes, key=lambda item: -(item.memory_bytes or 0))
        return ", ".join(_holder(item) for item in known)


def devices_of(facts: Facts) -> tuple[Device, ...]:
    """Return the GPUs in the driver's order; a device file that no driver describes counts too."""
    nvidia = facts.nvidia
    found = [device for gpu in nvidia.gpus if not gpu.lost for device in _devices(gpu)]
    silent = (nvidia.count or 0) - len(nvidia.gpus)
    found += [Device(f"GPU {len(nvidia.gpus) + index}", "NVIDIA") for index in range(silent)]
    if not nvidia.gpus and nvidia.count is None:
        names = [name for name in facts.gpu_devices if name != "kfd"]
        found += [Device(f"/dev/{name}", "NVIDIA") for name in names]
    return (*found, *_amd(facts))


def largest(devices: Sequence[Device], count: int) -> int | None:
    """Return the memory of the least of the ``count`` largest; None if one of them is unknown."""
    totals = [device.total_bytes for device in devices]
    known = sorted((size for size in totals if size is not None), reverse=True)
    if len(known) < len(totals) or not known:
        return None
    return known[min(count, len(known)) - 1]


def first(devices: Sequence[Device], count: int) -> Sequence[Device]:
    """Return those that an engine takes by itself."""
    return devices[:count]


def show_capability(capability: tuple[int, int] | None) -> str:
    """Write a compute capability."""
    return "unknown" if capability is None else f"{capability[0]}.{capability[1]}"


def show_optional(size_bytes: int | None) -> str:
    """Write a size, or that it is not known."""
    return "unknown" if size_bytes is None else show_size(size_bytes)


def titles(devices: Iterable[Device]) -> str:
    """Write names of devices, several of one kind as one: ``8 x NVIDIA L4``."""
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
    return f"{name} (process {process.pid}) holds {show_optional(process.memory_bytes)}"
