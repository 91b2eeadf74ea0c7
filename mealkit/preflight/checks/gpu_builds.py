"""Checks that the kit's packages contain code for this GPU."""

from collections.abc import Sequence

from mealkit.preflight.devices import Device, devices_of, first, show_capability
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.cuda_builds import compiles_on, runs_on
from mealkit.recipe.requirements import Requirements


def look(facts: Facts, requirements: Requirements, _context: Context) -> Finding | None:
    """Block if a package is known to contain none; warn if that is not known.

    Also warn if the driver would have to compile code for a newer CUDA version than its own.
    """
    used = [item for item in first(devices_of(facts), requirements.gpus) if item.maker == "NVIDIA"]
    if not used:
        return None
    known = {name: built for name, built in requirements.built_for.items() if built is not None}
    unknown = [name for name, built in requirements.built_for.items() if built is None]
    for device in used:
        for name, built in known.items():
            lacking = _lacking(device, built, facts, requirements)
            if lacking:
                return _finding(device, f"{', '.join(built)} ({name})", lacking)
    if unknown or not known or any(item.capability is None for item in used):
        required = f"unknown ({', '.join(unknown)})" if unknown else "unknown"
        shown = ", ".join(f"{', '.join(built)} ({name})" for name, built in known.items())
        return _finding(used[0], f"{shown}, {required}" if shown else required, Severity.WARNS)
    shown = "; ".join(f"{', '.join(built)} ({name})" for name, built in known.items())
    return _finding(used[0], shown, Severity.PASSES)


def _lacking(
    device: Device, built: Sequence[str], facts: Facts, requirements: Requirements
) -> Severity | None:
    """Return the severity if a package lacks machine code for a device; None if it has it."""
    if device.capability is None or runs_on(device.capability, built):
        return None
    if not compiles_on(device.capability, built):
        return Severity.BLOCKS
    # "PTX compatibility": the driver must support the CUDA version of the PTX code.
    cuda = tuple(int(part) for part in (requirements.cuda or "0.0").split("."))
    return Severity.WARNS if facts.nvidia.cuda is None or facts.nvidia.cuda < cuda else None


def _finding(device: Device, required: str, severity: Severity) -> Finding:
    return Finding(
        code="HW_ARCHLIST",
        severity=severity,
        measured=f"{show_capability(device.capability)} ({device.title})",
        required=required,
        message="compute capability that the packages are built for",
    )


CHECK = Check(
    code="HW_ARCHLIST",
    rule="every locked package with GPU code was built for the GPU's compute capability",
    source="CUDA C++ programming guide, binary and PTX compatibility; RELEASE.md of PyTorch",
    look=look,
)
