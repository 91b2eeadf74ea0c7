"""Checks that every GPU responds."""

from mealkit.preflight.devices import devices_of
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements


def look(facts: Facts, requirements: Requirements, _context: Context) -> Finding | None:
    """Block if too few are left; warn if enough are. Returns None unless a GPU is lost."""
    lost = [gpu for gpu in facts.nvidia.gpus if gpu.lost]
    if not lost:
        return None
    left = len(devices_of(facts))
    names = ", ".join(f"GPU {gpu.index}" for gpu in lost)
    return Finding(
        code="HW_GPU_LOST",
        severity=Severity.BLOCKS if left < requirements.gpus else Severity.WARNS,
        measured=f"{names} does not respond, {left} left",
        required=f"{requirements.gpus} that respond",
        message="GPUs on the bus",
    )


CHECK = Check(
    code="HW_GPU_LOST",
    rule="no GPU has fallen off the bus",
    source="https://docs.nvidia.com/deploy/xid-errors/ (79), NVML_ERROR_GPU_IS_LOST",
    look=look,
)
