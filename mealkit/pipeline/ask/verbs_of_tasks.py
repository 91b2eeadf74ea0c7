"""Says which verb asks a kit of which task, before a kit is started for the wrong one."""

from typing import assert_never

from mealkit.errors import failure
from mealkit.recipe.kit import Task


def require_task(found: Task, wanted: Task | None, target: str) -> None:
    """Check that a verb fits a kit's task; None fits all.

    Raises:
        KitError: ``TARGET_UNFIT``, with the verb that fits.
    """
    if wanted is None or found is wanted:
        return
    raise failure(
        "TARGET_UNFIT",
        f"{target} is a kit for {found.value}, and this command asks kits for {wanted.value}",
        where=target,
        hint=_command(found, target),
    )


def _command(task: Task, target: str) -> str:
    match task:
        case Task.EMBEDDINGS:
            return f"mealkit embed {target} TEXT"
        case Task.GENERATION:
            return f"mealkit chat {target}"
        case Task.CLASSIFICATION:
            return f"mealkit predict {target} -i input=TEXT"
        case Task.RERANKING:
            return f"mealkit predict {target} -i query=TEXT -i documents=TEXT -i documents=TEXT"
        case Task.PREDICTION:
            return f"mealkit predict {target} -i NAME=VALUE"
        case _:
            assert_never(task)
