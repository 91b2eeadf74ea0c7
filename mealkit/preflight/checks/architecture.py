"""Checks that the image is built for the machine's processor architecture."""

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements


def look(facts: Facts, requirements: Requirements, _context: Context) -> Finding:
    """Block on any other architecture: this machine cannot run its instructions."""
    fits = facts.architecture in requirements.architectures
    return Finding(
        code="HOST_ARCHITECTURE",
        severity=Severity.PASSES if fits else Severity.BLOCKS,
        measured=facts.architecture,
        required=" or ".join(requirements.architectures),
        message="processor architecture",
    )


CHECK = Check(
    code="HOST_ARCHITECTURE",
    rule="the machine's architecture is one that the image is built for",
    source="OCI image-spec v1.1, config.md (architecture)",
    look=look,
    of_gpus=False,
)
