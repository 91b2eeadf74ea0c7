"""Checks that the machine, and the cgroup's limit, have enough memory for the kit."""

from mealkit.preflight.devices import show_optional
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.kit import Gpu
from mealkit.recipe.requirements import Requirements
from mealkit.units import show_size

_LESS = (
    "less than the limit of the kit's container: the weights fit, so it starts, and is ended if it"
    " needs more than there is"
)
_LESS_FIX = (
    "use a machine with that much memory; if the kit needs less, its author lowers hardware.memory"
)


def look(facts: Facts, requirements: Requirements, _context: Context) -> Finding:
    """Block only if weights and reserved cache exceed the whole memory; warn below the estimate.

    The requirement is an estimate, and the available memory may change before it is needed.
    """
    usable_bytes = facts.usable_memory_bytes
    available_bytes = facts.memory_available_bytes
    needed_bytes = requirements.memory_bytes
    # With a GPU, the weights may pass through memory in pieces.
    certain_bytes = requirements.weights_bytes if requirements.gpu is Gpu.NONE else 0
    if requirements.demand and requirements.demand.cache_space_bytes:
        certain_bytes += requirements.demand.cache_space_bytes
    severity = Severity.PASSES
    measured = show_optional(usable_bytes)
    is_limited = usable_bytes is not None and usable_bytes == facts.memory_limit_bytes
    where = " under its cgroup limit" if is_limited else ""
    message, fix = f"memory of the machine{where}", None
    if usable_bytes is None:
        severity = Severity.WARNS
    elif usable_bytes < needed_bytes:
        severity = Severity.BLOCKS if usable_bytes < certain_bytes else Severity.WARNS
        if severity is Severity.WARNS:
            message, fix = f"{message}, {_LESS}", _LESS_FIX
    elif available_bytes is not None and available_bytes < needed_bytes:
        severity, measured, message = (
            Severity.WARNS,
            show_optional(available_bytes),
            f"memory available{where}",
        )
    return Finding(
        code="HOST_MEMORY",
        severity=severity,
        measured=measured,
        required=f"{show_size(needed_bytes)} ({show_size(requirements.weights_bytes)} of weights)",
        message=message,
        fix=fix,
    )


CHECK = Check(
    code="HOST_MEMORY",
    rule="the machine's memory, or its cgroup's limit if lower, is enough for the container",
    source="https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.max)",
    look=look,
    of_gpus=False,
)
