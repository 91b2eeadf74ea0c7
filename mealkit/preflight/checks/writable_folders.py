"""Checks that the user can write to the folders that mealkit and the container need."""

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements


def look(_facts: Facts, _requirements: Requirements, context: Context) -> Finding | None:
    """Block on the first folder that is not writable; return None if none was tested."""
    if not context.closed_folders:
        return None
    path, reason = next(iter(context.closed_folders.items()))
    return Finding(
        code="DISK_DENIED",
        severity=Severity.BLOCKS,
        measured=reason,
        required="a writable folder",
        message=f"folder {path}",
    )


CHECK = Check(
    code="DISK_DENIED",
    rule="this user may write to mealkit's home, and in the container to its state folder",
    source="NVIDIA/nim-deploy#109: another user's cache, which was noticed after the download",
    look=look,
    of_gpus=False,
)
