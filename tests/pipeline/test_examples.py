"""The command that ``mealkit run`` shows asks what the kit's task answers."""

import json
import shlex

import pytest
from fakes.kits import KIT, FixedInputs, parts_of

from mealkit.lock.resolve import resolve
from mealkit.pipeline.run.examples import example_command
from mealkit.recipe.kit import Feature, Task

URL = "http://127.0.0.1:8000"


def locked(task, features=()):
    lock = resolve(parts_of(KIT), FixedInputs())
    model = lock.model.model_copy(update={"task": task, "name": "cook's"})
    engine = lock.engine.model_copy(update={"features": features})
    return lock.model_copy(update={"model": model, "engine": engine})


@pytest.mark.parametrize(
    ("task", "features", "path"),
    [
        (Task.EMBEDDINGS, (), "/v1/embeddings"),
        (Task.CLASSIFICATION, (), "/v1/classify"),
        (Task.RERANKING, (), "/v1/rerank"),
        (Task.GENERATION, (Feature.CHAT,), "/v1/chat/completions"),
        (Task.GENERATION, (), "/v1/completions"),
    ],
)
def test_a_shell_can_run_it(task, features, path):
    """Whatever stands in the model's name."""
    program, url, _, _, _, body = shlex.split(example_command(URL, locked(task, features)))
    assert (program, url) == ("curl", URL + path)
    assert json.loads(body)["model"] == "cook's"


def test_of_code_the_description_is_asked():
    """What it takes is only known once it runs."""
    assert example_command(URL, locked(Task.PREDICTION)) == f"curl {URL}/openapi.json"
