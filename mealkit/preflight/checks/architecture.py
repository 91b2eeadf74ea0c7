"""Is the machine's processor architecture one of those that the image is built for."""

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Context, Finding, Severity
from mealkit.preflight.requirements import Requirements


def check(facts: Facts, requirements: Requirements, _context: Context) -> Finding:
    """Block on any other architecture: its instructions cannot be run."""
    fits = facts.architecture in requirements.architectures
    return Finding(
        code="HOST_ARCHITECTURE",
        severity=Severity.PASSES if fits else Severity.BLOCKS,
        measured=facts.architecture,
        required=" or ".join(requirements.architectures),
        message="processor architecture",
    )
