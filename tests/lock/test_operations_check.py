"""Prices and budgets that could not be counted are a problem of the kit, with its line."""

import pytest
from fakes.kits import KIT, kit_of

from mealkit.lock.operations_check import operations_problems
from mealkit.recipe.kit import Task

TOKENS = {
    "per_million_tokens": {"input": "1", "output": "2"},
    "budgets": [{"name": "a", "tokens": 1}],
}
HOURS = {"gpu_hour": "1", "budgets": [{"name": "a", "money": "1"}]}


@pytest.mark.parametrize(
    ("task", "cost", "names"),
    [
        (Task.PREDICTION, TOKENS, ["per_million_tokens", "budgets[0].tokens"]),
        (Task.PREDICTION, HOURS, []),
        (Task.GENERATION, TOKENS, []),
    ],
)
def test_code_that_counts_no_tokens(task, cost, names):
    """A kit of the paper's own code has prices of hours, and budgets of money."""
    kit = kit_of({**KIT, "ops": {"cost": cost}})
    found = operations_problems(kit, task, lambda path: ".".join(map(str, path)))
    assert [(item.code, item.where) for item in found] == [("KIT_INVALID", "ops.cost")] * len(names)
    for item, name in zip(found, names, strict=True):
        assert item.message == f"ops.cost.{name}: a kit with the task prediction counts no tokens"
