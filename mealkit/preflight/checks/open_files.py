"""Checks that the process limits of the engine are high enough."""

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements
from mealkit.units import show_size

_OPEN_FILES = 1024
_STACK_BYTES = 8 * 2**20
_MEMLOCK_BYTES = 8 * 2**20


def look(facts: Facts, requirements: Requirements, context: Context) -> Finding | None:
    """Warn if low limits could make the engine fail later, or slow it down.

    A container has its own limits: the host only knows those of the sandbox, which are this user's.
    """
    if not context.inside and context.client != "sandbox":
        return None
    limits = facts.ulimits
    low = []
    if limits.open_files is not None and limits.open_files < _OPEN_FILES:
        low.append((f"{limits.open_files} open files", f"{_OPEN_FILES} open files"))
    if limits.stack_bytes is not None and limits.stack_bytes < _STACK_BYTES:
        low.append((f"{show_size(limits.stack_bytes)} of stack", show_size(_STACK_BYTES)))
    memlock = limits.memlock_bytes
    if requirements.gpus > 1 and memlock is not None and memlock < _MEMLOCK_BYTES:
        low.append((f"{show_size(memlock)} of locked memory", show_size(_MEMLOCK_BYTES)))
    return Finding(
        code="HOST_ULIMIT",
        severity=Severity.WARNS if low else Severity.PASSES,
        measured=", ".join(have for have, _ in low) or "high enough",
        required=", ".join(need for _, need in low) or f"{_OPEN_FILES} open files",
        message="limits of processes",
    )


CHECK = Check(
    code="HOST_ULIMIT",
    rule="1024 open files, 8 MiB of stack, and for several GPUs 8 MiB of locked memory",
    source="https://docs.nvidia.com/deeplearning/frameworks/user-guide/ (--ulimit memlock, stack)",
    look=look,
    of_gpus=False,
)
