"""The engine in docs/how-to/add-an-engine.md is one: its recipe and its worker do what it says."""

import json
import re
import struct
from pathlib import Path

from mealkit.engines.recipe import Recipe
from mealkit.engines.worker import EmbeddingWorker, WorkerConfig
from mealkit.kit.model import Task

PAGE = Path(__file__).parents[2] / "docs/how-to/add-an-engine.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def module(number: int) -> dict[str, object]:
    names: dict[str, object] = {"__name__": f"example_{number}"}
    exec(compile(BLOCKS[number], f"{PAGE.name} block {number}", "exec"), names)  # noqa: S102
    return names


def test_the_recipe_is_one():
    """It fills in every field, and types what a kit may write."""
    recipe = module(0)["RECIPE"]
    assert isinstance(recipe, Recipe)
    assert recipe.default_task is Task.EMBEDDINGS
    assert recipe.settings().model_dump() == {"vocabulary": "vocabulary.json"}


def test_the_worker_answers_as_the_page_says(tmp_path):
    """`Salt and pepper` has one salt, one pepper and three words."""
    (tmp_path / "vocabulary.json").write_text(json.dumps(["kitchen", "salt", "pepper"]))
    worker = module(1)["WordbagWorker"]()
    assert isinstance(worker, EmbeddingWorker)
    settings = {"vocabulary": "vocabulary.json"}
    worker.load(WorkerConfig("bag", tmp_path, "embeddings", {"lower": True}, settings, tmp_path))
    found = worker.embed(["Salt and pepper"])
    assert (struct.unpack("<4f", found.vectors[0]), *found.token_counts) == ((0, 1, 1, 3), 3)
