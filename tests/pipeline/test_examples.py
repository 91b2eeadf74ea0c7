"""The command that ``mealkit run`` shows asks what the kit's task answers."""

import json
import shlex

import pytest
from fakes.kits import KIT, FixedInputs, parts_of

from mealkit.lock.resolve import resolve
from mealkit.pipeline.run.examples import _TEXT, example_command
from mealkit.recipe.cases import Case
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


def case_of(request, endpoint=None):
    return Case.model_validate({"name": "salt", "request": request, "endpoint": endpoint})


@pytest.mark.parametrize(
    ("task", "case", "path", "asked"),
    [
        (Task.PREDICTION, {"input": {"text": "a'b"}}, "/v1/predict", {"input": {"text": "a'b"}}),
        (Task.EMBEDDINGS, {"input": "salt"}, "/v1/embeddings", {"input": "salt"}),
        # Too long to copy from a terminal.
        (Task.CLASSIFICATION, {"input": "x" * 2000}, "/v1/classify", {"input": _TEXT}),
    ],
)
def test_the_first_case_is_the_example(task, case, path, asked):
    """For a kit that has one."""
    lock = locked(task).model_copy(update={"cases": (case_of(case), case_of({"input": "no"}))})
    _, url, *_, body = shlex.split(example_command(URL, lock))
    assert url == URL + path
    assert json.loads(body) == {"model": "cook's", **asked}


def test_a_case_can_name_another_endpoint():
    """For example the continuation of a text, for a kit that also chats."""
    case = case_of({"prompt": "Once"}, "/v1/completions")
    lock = locked(Task.GENERATION, (Feature.CHAT,)).model_copy(update={"cases": (case,)})
    assert shlex.split(example_command(URL, lock))[1] == f"{URL}/v1/completions"
