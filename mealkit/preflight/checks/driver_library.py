"""Checks that the NVIDIA driver is loaded, has its CUDA library, and answers."""

from mealkit.preflight.devices import devices_of
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.preflight.nvidia import Access
from mealkit.recipe.requirements import Requirements


def look(facts: Facts, _requirements: Requirements, context: Context) -> Finding | None:
    """Block without a driver or, in a container, without libcuda; warn if it does not answer.

    NVML alone may be missing (in a container without the utility capability), because CUDA can
    work without it. Another check reports a machine without any NVIDIA GPU; but without its
    driver, a GPU cannot be detected.
    """
    nvidia = facts.nvidia
    seen = any(device.maker == "NVIDIA" for device in devices_of(facts))
    if nvidia.access is Access.VERSION_MISMATCH or not (seen or nvidia.access is Access.NO_DRIVER):
        return None
    severity, measured, fix = Severity.WARNS, nvidia.reason or nvidia.access.value, None
    if nvidia.access is Access.NO_DRIVER:
        severity = Severity.BLOCKS
    elif nvidia.libcuda is False:
        measured = "no libcuda"
        severity = Severity.BLOCKS if context.inside else Severity.WARNS
        fix = (
            "give the container the compute capability: NVIDIA_DRIVER_CAPABILITIES=compute,utility"
        )
    elif nvidia.access is Access.OK:
        severity, measured = Severity.PASSES, f"driver {nvidia.driver or 'of unknown version'}"
    return Finding(
        code="HOST_DRIVER_MISSING",
        severity=severity,
        measured=measured,
        required="a driver that answers, and libcuda",
        message="NVIDIA driver",
        fix=fix,
    )


CHECK = Check(
    code="HOST_DRIVER_MISSING",
    rule="the NVIDIA driver is loaded and answers, and its CUDA library can be found",
    source="https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html",
    look=look,
)
