"""Checks that there is a GPU if the kit requires one, from the vendor of its packages."""

from mealkit.preflight.devices import Device, devices_of, titles
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.preflight.nvidia import Access
from mealkit.recipe.requirements import Requirements


def look(facts: Facts, requirements: Requirements, _context: Context) -> Finding:
    """Block if there is no GPU, or none that can run packages for CUDA.

    Warn if the driver does not work, which other checks report: there may be a GPU.
    """
    found = devices_of(facts)
    required = "a GPU" if requirements.cuda is None else f"a GPU for CUDA {requirements.cuda}"
    fix = None
    if not found and facts.nvidia.driver:
        fix = "give the container access to the GPU (docker run --gpus all)"
    if not found and any(gpu.lost for gpu in facts.nvidia.gpus):
        fix = "restart the machine: its GPUs no longer respond"
    return Finding(
        code="HW_NO_GPU",
        severity=_severity(found, facts, requirements),
        measured=titles(found) or _none(facts),
        required=required,
        message="GPUs",
        fix=fix,
    )


def _severity(found: tuple[Device, ...], facts: Facts, requirements: Requirements) -> Severity:
    if any(device.maker == "NVIDIA" for device in found):
        return Severity.PASSES
    hidden = facts.nvidia.access in {Access.NO_DRIVER, Access.VERSION_MISMATCH}
    if not hidden and (not found or requirements.cuda is not None):
        return Severity.BLOCKS
    # No GPU is visible, or only another vendor's while the packages' vendor is unknown.
    return Severity.WARNS


def _none(facts: Facts) -> str:
    reasons = []
    if facts.nvidia.driver:
        reasons.append(f"NVIDIA's driver {facts.nvidia.driver} is loaded")
    if facts.nvidia.count == 0:
        reasons.append("and finds none" if reasons else "the driver finds none")
    elif facts.nvidia.reason and facts.nvidia.access is not Access.NO_LIBRARY:
        reasons.append(facts.nvidia.reason)
    return f"none ({', '.join(reasons)})" if reasons else "none"


CHECK = Check(
    code="HW_NO_GPU",
    rule="a GPU is visible from here, and the kit's packages are for its vendor",
    source="https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/",
    look=look,
)
