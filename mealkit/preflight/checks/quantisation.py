"""Is the GPU new enough for the engine, and for how the weights are quantised."""

from collections.abc import Mapping

from mealkit.preflight.devices import Device, devices_of, first, show_capability
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements

Capability = tuple[int, int]

# docs.vllm.ai: "GPU: compute capability 7.0 or higher".
_ENGINES: Mapping[str, Capability] = {"vllm": (7, 0)}
# docs.vllm.ai/en/v0.15.1/features/quantization/: AWQ from Turing on, GPTQ and bitsandbytes from
# Volta on; FP8 weights from Turing on (by Marlin).
_QUANTISATIONS: Mapping[str, Capability] = {
    "awq": (7, 5),
    "gptq": (7, 0),
    "bitsandbytes": (7, 0),
    "fp8": (7, 5),
    "compressed-tensors": (7, 0),
}


def look(facts: Facts, requirements: Requirements, _context: Context) -> Finding | None:
    """Block on an older GPU; warn if its capability is not known. Speak where a limit is known."""
    used = [item for item in first(devices_of(facts), requirements.gpus) if item.maker == "NVIDIA"]
    needed = _needed(requirements)
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
    )


def _needed(requirements: Requirements) -> Mapping[str, Capability]:
    demand, model = requirements.demand, requirements.model
    needed: dict[str, Capability] = {}
    if demand and demand.engine in _ENGINES:
        needed[demand.engine] = _ENGINES[demand.engine]
        method = model.quantisation.method if model and model.quantisation else ""
        if method in _QUANTISATIONS:
            needed[f"{method} in {demand.engine}"] = _QUANTISATIONS[method]
    return needed


def _severity(device: Device, least: Capability) -> Severity:
    if device.capability is None:
        return Severity.WARNS
    return Severity.PASSES if device.capability >= least else Severity.BLOCKS


CHECK = Check(
    code="HW_COMPUTE_CAPABILITY",
    rule="vLLM needs 7.0; of its quantisations AWQ and FP8 need 7.5",
    source="https://docs.vllm.ai/en/latest/features/quantization/ (supported hardware)",
    look=look,
)
