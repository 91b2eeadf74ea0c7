"""Checks that the kit can use the MIG slices of a GPU."""

from mealkit.preflight.devices import devices_of, first, titles
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements


def look(facts: Facts, requirements: Requirements, _context: Context) -> Finding | None:
    """Block if the GPU has no slice, or if the kit needs several: a process can use only one.

    Returns None on machines without MIG.
    """
    cut = [gpu for gpu in facts.nvidia.gpus if gpu.mig_enabled]
    if not cut:
        return None
    used = first(devices_of(facts), requirements.gpus)
    slices = [device for device in used if device.is_slice]
    whole = (
        "1 slice, or 1 whole GPU" if requirements.gpus < 2 else f"{requirements.gpus} whole GPUs"
    )
    severity = Severity.PASSES
    if not used or (slices and requirements.gpus > 1):
        severity = Severity.BLOCKS
    return Finding(
        code="HW_MIG",
        severity=severity,
        measured=titles(used) or f"no slice on GPU {cut[0].index}, where MIG is enabled",
        required=whole,
        message="MIG slices of the GPU",
        fix=None
        if used
        else "create a slice (nvidia-smi mig -cgi 0 -C), or switch MIG off (nvidia-smi -mig 0)",
    )


CHECK = Check(
    code="HW_MIG",
    rule="with MIG enabled, a process computes on one slice, never on several",
    source="https://docs.nvidia.com/datacenter/tesla/mig-user-guide/ (CUDA device enumeration)",
    look=look,
)
