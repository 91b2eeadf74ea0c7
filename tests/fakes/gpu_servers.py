"""Servers with GPUs, made by hand, and what single checks find of them."""

from typing import Any

from fakes.engines import report_of
from fakes.machines import made_facts
from fakes.needs import GIB
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Finding, Severity
from mealkit.preflight.nvidia import Access, Nvidia, NvidiaGpu
from mealkit.recipe.requirements import Requirements

PASSES, WARNS, BLOCKS = Severity.PASSES, Severity.WARNS, Severity.BLOCKS


MIB = 2**20


INSIDE = {"inside": True}


def gpu(index: int = 0, **changes: Any) -> NvidiaGpu:
    """An A100 with 40 GB, idle and sound."""
    values: dict[str, Any] = {
        "index": index,
        "lost": False,
        "name": "A100",
        "compute_capability": (8, 0),
        "memory_total_bytes": 40_960 * MIB,
        "memory_free_bytes": 40_334 * MIB,
        "memory_reserved_bytes": 620 * MIB,
        "mig_enabled": False,
        "ecc_enabled": True,
        "ecc_uncorrected": 0,
        "remap_pending": False,
        "remap_failed": False,
    }
    return NvidiaGpu(**(values | changes))


def nvidia(*gpus: NvidiaGpu, **changes: Any) -> Nvidia:
    """What the driver says of these GPUs."""
    values: dict[str, Any] = {
        "access": Access.OK,
        "reason": None,
        "driver": "550.54.15",
        "library": "12.550.54.15",
        "cuda": (12, 4),
        "libcuda": True,
        "count": len(gpus),
        "gpus": gpus,
    }
    return Nvidia(**(values | changes))


def server(*gpus: NvidiaGpu, **changes: Any) -> Facts:
    """A server with these GPUs, one A100 if none is named."""
    found = gpus or (gpu(),)
    values: dict[str, Any] = {
        "memory_total_bytes": 64 * GIB,
        "memory_available_bytes": 60 * GIB,
        "gpu_devices": tuple(f"nvidia{index}" for index in range(len(found))),
        "nvidia": nvidia(*found),
    }
    return made_facts(**(values | changes))


def look(
    code: str, facts: Facts, needs: Requirements, context: dict[str, Any] | None = None
) -> Finding | None:
    """The finding of one check; None if it had nothing to say."""
    found = [
        item for item in report_of(facts, needs, **(context or {})).findings if item.code == code
    ]
    assert len(found) <= 1
    return found[0] if found else None


def severity(
    code: str, facts: Facts, needs: Requirements, context: dict[str, Any] | None = None
) -> Severity | None:
    """The severity of one check's finding; None if it had nothing to say."""
    finding = look(code, facts, needs, context)
    return finding.severity if finding else None
