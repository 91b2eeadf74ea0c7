"""Checks that the NVIDIA driver is new enough for the CUDA version of the kit's packages.

Programs for a major version of CUDA run with every driver of that version's series ("minor version
compatibility"), except for code that the driver must compile.
"""

from collections.abc import Mapping

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements

# The first driver branch of each major version of CUDA, on Linux.
FLOORS: Mapping[int, int] = {11: 450, 12: 525, 13: 580}


def look(facts: Facts, requirements: Requirements, _context: Context) -> Finding | None:
    """Block below the minimum; warn if the driver, the CUDA version or the minimum is unknown.

    Returns None without an NVIDIA driver, which another check reports.
    """
    driver, cuda = facts.nvidia.driver, requirements.cuda
    if driver is None and not facts.nvidia.gpus:
        return None
    floor = FLOORS.get(int(cuda.partition(".")[0])) if cuda else None
    major = (driver or "").partition(".")[0]
    severity = Severity.WARNS
    if floor and major.isdigit():
        severity = Severity.PASSES if int(major) >= floor else Severity.BLOCKS
    required = "unknown: no locked package states the CUDA version that it was built with"
    if cuda:
        required = f"{floor} or later, for CUDA {cuda}" if floor else f"unknown for CUDA {cuda}"
    return Finding(
        code="HOST_DRIVER_OLD",
        severity=severity,
        measured=driver or "unknown",
        required=required,
        message="version of the NVIDIA driver",
        fix=f"install an NVIDIA driver {floor} or later on the machine" if floor else None,
    )


CHECK = Check(
    code="HOST_DRIVER_OLD",
    rule="CUDA 11 needs driver 450, CUDA 12 driver 525, CUDA 13 driver 580",
    source="https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html",
    look=look,
)
