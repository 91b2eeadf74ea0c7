"""Is there disk for what is about to be written."""

from mealkit.kit.units import show_size
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Context, Finding, Severity
from mealkit.preflight.requirements import Requirements


def check(facts: Facts, requirements: Requirements, context: Context) -> Finding | None:
    """Block if the free space is less; say nothing where nothing will be written."""
    if context.disk_path is None:
        return None
    needed_bytes = requirements.disk_bytes if context.disk_bytes is None else context.disk_bytes
    free = [disk.free_bytes for disk in facts.disks if disk.path == context.disk_path]
    severity = Severity.WARNS
    if free:
        severity = Severity.BLOCKS if free[0] < needed_bytes else Severity.PASSES
    return Finding(
        code="HOST_DISK",
        severity=severity,
        measured=show_size(free[0]) if free else "unknown",
        required=show_size(needed_bytes),
        message=f"free space at {context.disk_path}",
    )
