"""Checks that the machine has as many GPUs as the kit uses."""

from mealkit.preflight.devices import devices_of
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements


def look(facts: Facts, requirements: Requirements, _context: Context) -> Finding | None:
    """Block if there are fewer. Other checks handle kits for one GPU and machines without any."""
    found = len(devices_of(facts))
    if requirements.gpus < 2 or found == 0:
        return None
    return Finding(
        code="HW_GPU_COUNT",
        severity=Severity.PASSES if found >= requirements.gpus else Severity.BLOCKS,
        measured=str(found),
        required=str(requirements.gpus),
        message="number of GPUs",
    )


CHECK = Check(
    code="HW_GPU_COUNT",
    rule="there are as many GPUs as the kit's settings for tensor or pipeline parallelism",
    source="https://docs.vllm.ai/en/latest/serving/parallelism_scaling.html",
    look=look,
)
