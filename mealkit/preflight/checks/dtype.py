"""Checks that the GPU can compute in the kit's data types."""

from collections.abc import Mapping

from mealkit.preflight.devices import devices_of, first, show_capability
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Dtype, Requirements

# The first compute capability whose tensor cores support the type.
_NATIVE: Mapping[Dtype, tuple[int, int]] = {"bf16": (8, 0), "fp8": (8, 9), "fp4": (10, 0)}


def look(facts: Facts, requirements: Requirements, context: Context) -> Finding | None:
    """Block if the engine rejects the type on this GPU; warn if it computes it more slowly."""
    used = [item for item in first(devices_of(facts), requirements.gpus) if item.maker == "NVIDIA"]
    needed = {name: _NATIVE[name] for name in requirements.dtypes if name in _NATIVE}
    if not needed or not used:
        return None
    dtype, least = max(needed.items(), key=lambda item: item[1])
    weakest = min(used, key=lambda item: item.capability or (0, 0))
    severity = Severity.PASSES
    if weakest.capability is None:
        severity = Severity.WARNS
    elif weakest.capability < least:
        severity = Severity.WARNS
        refused = [name for name, floor in needed.items() if weakest.capability < floor]
        for name in refused:
            if name in context.engine.refused_dtypes:
                dtype, least, severity = name, needed[name], Severity.BLOCKS
    return Finding(
        code="HW_DTYPE",
        severity=severity,
        measured=f"{show_capability(weakest.capability)} ({weakest.title})",
        required=f"{show_capability(least)} or higher, for {dtype}",
        message="data type",
    )


CHECK = Check(
    code="HW_DTYPE",
    rule="bf16 needs compute capability 8.0, fp8 8.9, fp4 10.0; some engines reject others",
    source="CUDA C++ programming guide, arithmetic by compute capability",
    look=look,
)
