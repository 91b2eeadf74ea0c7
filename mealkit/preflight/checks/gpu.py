"""Is there a GPU where the kit requires one."""

from mealkit.kit.model import Gpu
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Context, Finding, Severity
from mealkit.preflight.requirements import Requirements


def check(facts: Facts, requirements: Requirements, _context: Context) -> Finding | None:
    """Block if one is required and there is no device file of any."""
    if requirements.gpu is not Gpu.REQUIRED:
        return None
    measured = ", ".join(facts.gpu_devices)
    fix = None
    if not measured:
        measured = "none"
        if facts.nvidia.driver:
            measured = f"none (but the driver {facts.nvidia.driver} is loaded)"
            fix = "give the container access to the GPU (docker run --gpus all)"
    return Finding(
        code="HW_NO_GPU",
        severity=Severity.PASSES if facts.gpu_devices else Severity.BLOCKS,
        measured=measured,
        required="a GPU",
        message="GPU devices",
        fix=fix,
    )
