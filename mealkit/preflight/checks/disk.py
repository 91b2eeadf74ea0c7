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
    known = {disk.path: disk.free_bytes for disk in facts.disks}
    free_bytes = known.get(context.disk_path)
    severity = Severity.WARNS
    if free_bytes is not None:
        severity = Severity.BLOCKS if free_bytes < needed_bytes else Severity.PASSES
    return Finding(
        code="HOST_DISK",
        severity=severity,
        measured="unknown" if free_bytes is None else show_size(free_bytes),
        required=show_size(needed_bytes),
        message=f"free space at {context.disk_path}",
    )
