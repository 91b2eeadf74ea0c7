"""The engines in docs/how-to/add-an-engine.md are such: what the page shows does what it says."""

import json
import re
import struct
from pathlib import Path

from worker.generation.scripted import config, sampling

from mealkit.engines.engine import Recipe
from mealkit.recipe.kit import Task
from mealkit.worker.generation.generator import Generator
from mealkit.worker.generation_values import CompletionRequest, Written
from mealkit.worker.interface import EmbeddingWorker, WorkerConfig

PAGE = Path(__file__).parents[2] / "docs/how-to/add-an-engine.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def module(word: str) -> dict[str, object]:
    """Run the one block that has a word."""
    (block,) = (block for block in BLOCKS if word in block)
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(block, f"{PAGE.name}: {word}", "exec"), names)  # noqa: S102
    return names


def test_the_recipe_is_one():
    """It fills in every field, and types what a kit may write."""
    recipe = module("RECIPE = ")["RECIPE"]
    assert isinstance(recipe, Recipe)
    assert recipe.default_task is Task.EMBEDDINGS
    assert recipe.settings().model_dump() == {"vocabulary": "vocabulary.json"}


def test_the_worker_answers_as_the_page_says(tmp_path):
    """`Salt and pepper` has one salt, one pepper and three words."""
    (tmp_path / "vocabulary.json").write_text(json.dumps(["kitchen", "salt", "pepper"]))
    worker = module("class WordbagWorker")["WordbagWorker"]()
    assert isinstance(worker, EmbeddingWorker)
    settings = {"vocabulary": "vocabulary.json"}
    worker.load(WorkerConfig("bag", tmp_path, "embeddings", {"lower": True}, settings, tmp_path))
    found = worker.embed(["Salt and pepper"], lambda: False)
    assert (struct.unpack("<4f", found.vectors[0]), *found.token_counts) == ((0, 1, 1, 3), 3)


def test_the_model_of_bytes_writes_text():
    """Under the generator it goes on with what followed most often, and stops at a line's end."""
    model = module("class Bigrams")["Bigrams"]

    def written(text, prompt):
        request = CompletionRequest(prompt, sampling(max_tokens=13, temperature=0.0), 1, None)
        events = Generator(model(text), config(chat_template="none")).complete(request, bool)
        return "".join(event.text for event in events if isinstance(event, Written))

    assert written(b"salt and pepper and sugar", "sal") == "t and and and"
    assert written(b"salt\n", "s") == "alt"
