"""Checks that there is enough shared memory for the data that the engine's processes exchange."""

from mealkit.preflight.devices import show_optional
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements
from mealkit.units import show_size


def look(facts: Facts, requirements: Requirements, context: Context) -> Finding | None:
    """Warn if there is less than required: the actual use depends on the links between the GPUs.

    A container has its own shared memory, unrelated to the host's; the sandbox uses the host's.
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
    rule="with tensor parallelism, /dev/shm has 16 GiB, and for several processes on a CPU 512 MiB;"
    " the default of containers is 64 MiB",
    source="https://docs.nvidia.com/nim/large-language-models/latest/ (--shm-size=16GB); vllm#1771",
    look=look,
)
