"""What a kit offers, without a kit that runs: ``offer(task, ...)``."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from mealkit.errors import MealkitError
from mealkit.recipe.kit import Task
from mealkit.runtime.api.endpoint import Endpoint
from mealkit.runtime.api.served_model import ServedModel

MODEL_NAME = "stand-in"


@pytest.fixture
def offer(make_api_lock) -> Callable[..., ServedModel]:
    """Work out what a lock offers: ``offer(task, features=..., overrides=..., prompts=...)``."""

    def make(task: Task = Task.GENERATION, **changes: Any) -> ServedModel:
        return ServedModel.of(make_api_lock(task, **changes))

    return make


PROMPTS = {
    "greet": ("Hello {{ name }}!\n", ("name",)),
    "query": ("query: {{ text }}", ("text",)),
    "ask": ("{{ task }}: {{ text }}", ("task", "text")),
    "plain": ("as it is", ()),
}


@pytest.fixture
def kit(offer) -> Callable[..., ServedModel]:
    """Work out what a lock with these prompts offers: ``kit(task)``."""
    return lambda task=Task.GENERATION: offer(task, prompts=PROMPTS)


@pytest.fixture
def ask() -> Callable[..., Any]:
    """What the worker is asked, or the code and the parameter of a refusal."""

    def run(endpoint: Endpoint, offer: ServedModel, **values: Any) -> Any:
        try:
            asked = endpoint.prepare({"model": MODEL_NAME, **values}, offer)
        except MealkitError as error:
            return error.problems[0].code, error.problems[0].where
        return json.loads(asked.body)

    return run
