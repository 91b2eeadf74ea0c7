"""Checks that the GPU is new enough for the engine, and for how the weights are quantised."""

from collections.abc import Mapping

from mealkit.preflight.devices import Device, devices_of, first, show_capability
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements
from mealkit.recipe.traits import Capability, EngineTraits


def look(facts: Facts, requirements: Requirements, context: Context) -> Finding | None:
    """Block on an older GPU; warn if its capability is unknown. None without a known limit."""
    used = [item for item in first(devices_of(facts), requirements.gpus) if item.maker == "NVIDIA"]
    needed = _needed(requirements, context.engine)
    if not needed or not used:
        return None
    why, least = max(needed.items(), key=lambda item: item[1])
    weakest = min(used, key=lambda item: item.capability or (0, 0))
    return Finding(
        code="HW_COMPUTE_CAPABILITY",
        severity=_severity(weakest, least),
        measured=f"{show_capability(weakest.capability)} ({weakest.title})",
        required=f"{show_capability(least)} or higher, for {why}",
        message="compute capability",
        source=context.engine.hardware_source,
    )


def _needed(requirements: Requirements, engine: EngineTraits) -> Mapping[str, Capability]:
    demand, model = requirements.demand, requirements.model
    needed: dict[str, Capability] = {}
    name = demand.engine if demand else "the engine"
    if engine.least_capability:
        needed[name] = engine.least_capability
    method = model.quantisation.method if model and model.quantisation else ""
    if method in engine.quantisation_capabilities:
        needed[f"{method} in {name}"] = engine.quantisation_capabilities[method]
    return needed


def _severity(device: Device, least: Capability) -> Severity:
    if device.capability is None:
        return Severity.WARNS
    return Severity.PASSES if device.capability >= least else Severity.BLOCKS


CHECK = Check(
    code="HW_COMPUTE_CAPABILITY",
    rule="the engine, and its code for quantised weights, support GPUs of this compute capability",
    source="the engine's own documentation",
    look=look,
)
