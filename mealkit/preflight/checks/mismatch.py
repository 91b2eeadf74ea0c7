"""Checks that the driver in the kernel and the driver's libraries have the same version."""

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.preflight.nvidia import Access
from mealkit.recipe.requirements import Requirements


def look(facts: Facts, _requirements: Requirements, _context: Context) -> Finding | None:
    """Block if the versions differ: CUDA refuses to start (error 803). Otherwise return None."""
    nvidia = facts.nvidia
    if nvidia.access is not Access.VERSION_MISMATCH:
        return None
    return Finding(
        code="HOST_NVML_MISMATCH",
        severity=Severity.BLOCKS,
        measured=f"{nvidia.driver or 'another version'} in the kernel ({nvidia.reason})",
        required="the same version for driver and libraries",
        message="NVIDIA driver and its libraries",
    )


CHECK = Check(
    code="HOST_NVML_MISMATCH",
    rule="the kernel's NVIDIA driver and its libraries have the same version",
    source="https://docs.nvidia.com/deploy/nvml-api/ (NVML_ERROR_LIB_RM_VERSION_MISMATCH)",
    look=look,
)
