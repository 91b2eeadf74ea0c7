"""Is there shared memory for what several GPUs' processes tell each other."""

from mealkit.preflight.devices import show_optional
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements
from mealkit.units import show_size


def look(facts: Facts, requirements: Requirements, context: Context) -> Finding | None:
    """Warn if it is less than is asked for: how much is really used depends on the GPUs' links.

    A container has its own, which the host's says nothing of; the sandbox shares the host's.
    """
    if not requirements.shm_bytes or not (context.inside or context.client == "sandbox"):
        return None
    total = facts.shm.total_bytes
    fits = total is not None and total >= requirements.shm_bytes
    return Finding(
        code="HOST_SHM",
        severity=Severity.PASSES if fits else Severity.WARNS,
        measured=show_optional(total),
        required=show_size(requirements.shm_bytes),
        message="shared memory (/dev/shm)",
    )


CHECK = Check(
    code="HOST_SHM",
    rule="with tensor parallelism, /dev/shm has 16 GiB; containers get 64 MiB by default",
    source="https://docs.nvidia.com/nim/large-language-models/latest/ (--shm-size=16GB); vllm#1771",
    look=look,
)
