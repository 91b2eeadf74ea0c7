"""Reads AMD's GPUs from the kernel's own files; needs no library from AMD.

KFD topology: drivers/gpu/drm/amd/amdkfd/kfd_topology.c; used memory:
https://docs.kernel.org/gpu/amdgpu/driver-misc.html#gpu-memory-usage-information
"""

import re
from collections.abc import Mapping
from pathlib import Path

from mealkit.preflight.fact import Fact
from mealkit.preflight.roots import Roots, read_text, why_unreadable

# kfd_topology.h: HSA_MEM_HEAP_TYPE_FB_PUBLIC and HSA_MEM_HEAP_TYPE_FB_PRIVATE.
_VRAM_HEAPS = (1, 2)


class AmdGpu(Fact):
    """One AMD GPU."""

    node: int
    """The GPU's number in the kernel's topology."""
    target: str | None
    """The architecture that code must be built for: gfx942."""
    memory_total_bytes: int | None
    memory_used_bytes: int | None


class Amd(Fact):
    """The facts about AMD's driver and GPUs on this machine."""

    kfd: bool
    """Whether /dev/kfd exists, which programs use to compute."""
    gpus: tuple[AmdGpu, ...]


def read_amd(roots: Roots) -> Amd:
    """Read AMD's GPUs."""
    nodes = roots.sys / "class" / "kfd" / "kfd" / "topology" / "nodes"
    unknown: dict[str, str] = {}
    try:
        folders = sorted(nodes.iterdir(), key=lambda item: int(item.name))
    except FileNotFoundError:
        folders = []
    except (OSError, ValueError) as error:
        folders = []
        unknown["gpus"] = f"{nodes}: {error}"
    found = []
    for folder in folders:
        values = _numbers(folder / "properties")
        if not values:
            # For devices that this container may not use, the kernel shows empty nodes.
            unknown["gpus"] = why_unreadable(folder / "properties")
        elif values.get("simd_count"):  # a processor's node has none
            found.append(_gpu(folder, values, roots))
    return Amd(kfd=(roots.dev / "kfd").exists(), gpus=tuple(found), unknown=unknown)


def _gpu(folder: Path, values: Mapping[str, int], roots: Roots) -> AmdGpu:
    unknown = {}
    target = values.get("gfx_target_version")
    if not target:
        unknown["target"] = why_unreadable(folder / "properties")
    total = _vram_bytes(folder / "mem_banks")
    if total is None:
        unknown["memory_total_bytes"] = f"{folder / 'mem_banks'} does not state it"
    minor = values.get("drm_render_minor", 0)
    path = roots.sys / "class" / "drm" / f"renderD{minor}" / "device" / "mem_info_vram_used"
    used = read_text(path).strip()
    if not used.isdigit():
        unknown["memory_used_bytes"] = why_unreadable(path)
    return AmdGpu(
        node=int(folder.name),
        target=_target(target) if target else None,
        memory_total_bytes=total,
        memory_used_bytes=int(used) if used.isdigit() else None,
        unknown=unknown,
    )


def _target(version: int) -> str:
    """Return 90402 as gfx942 and 90010 as gfx90a: major, minor and stepping in hexadecimal."""
    return f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"


def _vram_bytes(banks: Path) -> int | None:
    try:
        found = [_numbers(bank / "properties") for bank in banks.iterdir()]
    except OSError:
        return None
    sizes = [bank["size_in_bytes"] for bank in found if bank.get("heap_type") in _VRAM_HEAPS]
    return sum(sizes) or None


def _numbers(path: Path) -> dict[str, int]:
    """Read lines that consist of a name and a number."""
    lines = re.findall(r"^(\w+) (\d+)$", read_text(path), re.MULTILINE)
    return {name: int(number) for name, number in lines}
