"""Checks that the disk has enough space for what will be written."""

from pathlib import Path

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements
from mealkit.units import show_size


def look(facts: Facts, requirements: Requirements, context: Context) -> Finding | None:
    """Block if the target folder has less space; return None if nothing will be written.

    For a machine that is only described the folder is unknown, so this warns if the largest disk
    does not have the space.
    """
    needed_bytes = requirements.disk_bytes if context.disk_bytes is None else context.disk_bytes
    known = {disk.path: disk.free_bytes for disk in facts.disks}
    if context.inside or (context.disk_path is None and not known):
        return None
    if context.disk_path is None:
        path, free_bytes = max(known.items(), key=lambda item: item[1] or 0)
        return _finding(path, free_bytes, needed_bytes, Severity.WARNS)
    return _finding(context.disk_path, known.get(context.disk_path), needed_bytes, Severity.BLOCKS)


def _finding(
    path: Path, free_bytes: int | None, needed_bytes: int, too_little: Severity
) -> Finding:
    severity = Severity.WARNS
    if free_bytes is not None:
        severity = too_little if free_bytes < needed_bytes else Severity.PASSES
    return Finding(
        code="HOST_DISK",
        severity=severity,
        measured="unknown" if free_bytes is None else show_size(free_bytes),
        required=show_size(needed_bytes),
        message=f"free space at {path}",
    )


CHECK = Check(
    code="HOST_DISK",
    rule="the target folder has space for the bytes that are still to be written",
    source="the lock: sizes of weights and packages, unpacked",
    look=look,
    of_gpus=False,
)
