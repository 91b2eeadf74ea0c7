"""Checks that the processor has the instructions that the engine is compiled for."""

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.kit import Gpu
from mealkit.recipe.requirements import Requirements


def look(facts: Facts, requirements: Requirements, context: Context) -> Finding | None:
    """Block if the processor lacks one of them: the engine would end with an illegal instruction.

    An emulated kit does not use this machine's processor, and one for GPUs not these instructions.
    """
    needed = context.engine.instruction_sets.get(facts.architecture, frozenset())
    runs_here = facts.architecture in requirements.architectures
    if not needed or not runs_here or requirements.gpu is not Gpu.NONE:
        return None
    missing = needed.difference(facts.cpu.features)
    severity, measured = Severity.PASSES, ", ".join(sorted(needed))
    if missing:
        unread = "features" in facts.cpu.unknown
        severity = Severity.WARNS if unread else Severity.BLOCKS
        measured = "unknown" if unread else f"no {', '.join(sorted(missing))}"
    if facts.cpu.model:
        measured += f" ({facts.cpu.model})"
    return Finding(
        code="HW_CPU",
        severity=severity,
        measured=measured,
        required=", ".join(sorted(needed)),
        message="the processor's instructions",
    )


CHECK = Check(
    code="HW_CPU",
    rule="the processor has the instruction sets that the engine is compiled for",
    source="the engine's build; names: Linux, arch/x86/include/asm/cpufeatures.h",
    look=look,
    of_gpus=False,
)
