"""Can the folders be written to that must be."""

from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Check, Context, Finding, Severity
from mealkit.recipe.requirements import Requirements


def look(_facts: Facts, _requirements: Requirements, context: Context) -> Finding | None:
    """Block on the first that cannot; say nothing where nobody tried."""
    if not context.closed_folders:
        return None
    path, reason = next(iter(context.closed_folders.items()))
    return Finding(
        code="DISK_DENIED",
        severity=Severity.BLOCKS,
        measured=reason,
        required="a folder that can be written to",
        message=f"folder {path}",
    )


CHECK = Check(
    code="DISK_DENIED",
    rule="this user may write to mealkit's home, and in the container to its state folder",
    source="NVIDIA/nim-deploy#109: a cache of another user's, found out after the download",
    look=look,
    of_gpus=False,
)
