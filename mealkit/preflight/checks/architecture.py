"""Checks that the image is built for the machine's processor architecture."""

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements


def look(facts: Facts, requirements: Requirements, _context: Context) -> Finding:
    """Block on another architecture, unless an emulator runs its programs here."""
    severity, message = Severity.BLOCKS, "processor architecture"
    if facts.architecture in requirements.architectures:
        severity = Severity.PASSES
    elif set(facts.emulated) & set(requirements.architectures):
        severity = Severity.WARNS
        message += " (an emulator runs it: many times slower, with a less isolated engine)"
    return Finding(
        code="HOST_ARCHITECTURE",
        severity=severity,
        measured=facts.architecture,
        required=" or ".join(requirements.architectures),
        message=message,
    )


CHECK = Check(
    code="HOST_ARCHITECTURE",
    rule="the machine's architecture is one that the image is built for, or it has an emulator",
    source="OCI image-spec v1.1, config.md (architecture)",
    look=look,
    of_gpus=False,
)
