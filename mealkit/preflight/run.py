"""Preflight: facts about a machine held against a kit's requirements. Pure: it reads nothing."""

from mealkit.preflight.checks import architecture, disk, gpu, memory
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Context, Report
from mealkit.preflight.requirements import Requirements

_CHECKS = (architecture.check, memory.check, disk.check, gpu.check)


def preflight(facts: Facts, requirements: Requirements, context: Context | None = None) -> Report:
    """Run every check that applies; the same code serves the host and the container."""
    context = context or Context()
    found = (check(facts, requirements, context) for check in _CHECKS)
    return Report(tuple(finding for finding in found if finding is not None))
