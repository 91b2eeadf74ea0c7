"""Servers with GPUs, made by hand, and what single checks find of them."""

from fakes.engines import report_of
from fakes.machines import made_facts
from fakes.needs import GIB
from mealkit.preflight.finding import Severity
from mealkit.preflight.nvidia import Access, Nvidia, NvidiaGpu

PASSES, WARNS, BLOCKS = Severity.PASSES, Severity.WARNS, Severity.BLOCKS


MIB = 2**20


INSIDE = {"inside": True}


def gpu(index=0, **changes):
    """An A100 with 40 GB, idle and sound."""
    values = {
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


def nvidia(*gpus, **changes):
    values = {
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


def server(*gpus, **changes):
    """A server with these GPUs, one A100 if none is named."""
    found = gpus or (gpu(),)
    values = {
        "memory_total_bytes": 64 * GIB,
        "memory_available_bytes": 60 * GIB,
        "gpu_devices": tuple(f"nvidia{index}" for index in range(len(found))),
        "nvidia": nvidia(*found),
    }
    return made_facts(**(values | changes))


def look(code, facts, needs, context=None):
    """The finding of one check; None if it had nothing to say."""
    found = [
        item for item in report_of(facts, needs, **(context or {})).findings if item.code == code
    ]
    assert len(found) <= 1
    return found[0] if found else None


def severity(code, facts, needs, context=None):
    finding = look(code, facts, needs, context)
    return finding and finding.severity
