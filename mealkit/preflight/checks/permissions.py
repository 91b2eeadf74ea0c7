"""Checks that this user, or the container, may use the GPUs."""

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.preflight.nvidia import Access
from mealkit.recipe.requirements import Requirements


def look(facts: Facts, _requirements: Requirements, context: Context) -> Finding | None:
    """Block if the process that computes cannot open a device file; warn if NVML refuses access."""
    severity, measured = Severity.PASSES, "the device files can be opened"
    if context.closed_devices:
        path, reason = next(iter(context.closed_devices.items()))
        severity, measured = Severity.BLOCKS, f"{path}: {reason}"
    elif facts.nvidia.access is Access.NO_PERMISSION:
        severity, measured = Severity.WARNS, facts.nvidia.reason or "the driver denies access"
    elif not context.inside:
        return None
    return Finding(
        code="HOST_PERMISSIONS",
        severity=severity,
        measured=measured,
        required="device files that can be read and written",
        message="device files of the GPUs",
    )


CHECK = Check(
    code="HOST_PERMISSIONS",
    rule="the process that computes may read and write the GPUs' device files",
    source="https://docs.nvidia.com/deploy/nvml-api/ (NVML_ERROR_NO_PERMISSION)",
    look=look,
)
