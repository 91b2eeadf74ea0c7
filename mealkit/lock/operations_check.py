"""Checks a kit's prices and budgets against its task. No I/O.

The paper's own code counts no tokens: a budget of tokens would never be spent, and cap nothing.
"""

from mealkit.errors import Problem, problem
from mealkit.kit.document import Path
from mealkit.lock.claim_check import Where
from mealkit.recipe.kit import Kit, Task

_PATH: Path = ("ops", "cost")


def operations_problems(kit: Kit, task: Task, where: Where) -> list[Problem]:
    """Return the fields of ``ops.cost`` that count tokens, in a kit that has none.

    ``where`` returns the line of a field.
    """
    cost = kit.ops.cost if kit.ops else None
    if cost is None or task is not Task.PREDICTION:
        return []
    hint = "write gpu_hour or cpu_hour, and budgets of money"
    return [
        problem(
            "KIT_INVALID",
            f"ops.cost.{name}: a kit with the task {task} counts no tokens",
            where=where(_PATH),
            hint=hint,
        )
        for name in cost.of_tokens
    ]
