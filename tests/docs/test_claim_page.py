"""The examples of the page about claims are valid parts of a kit."""

import re
from pathlib import Path

import pytest
import yaml
from fakes.kits import KIT, kit_of

from mealkit.lock.claim_check import claim_problems
from mealkit.recipe.kit import Task

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "state-a-claim.md"
TASKS = [Task.EMBEDDINGS] * 2 + [Task.GENERATION, Task.PREDICTION]
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize(
    ("block", "task"),
    [*zip(BLOCKS, TASKS, strict=True)],
    ids=["claim", "wheel", "case", "files"],
)
def test_an_example_of_the_page_fits_a_kit(block, task):
    """A reader can paste it into kit.yaml."""
    kit = kit_of({**KIT, **yaml.safe_load(block)})
    assert claim_problems(kit, task, str) == []
