"""Inputs that are texts: what embeddings and classification take."""

import pytest

from mealkit.recipe.kit import Task
from mealkit.runtime.api.classify import CLASSIFY
from mealkit.runtime.api.embeddings import EMBEDDINGS

UNSUPPORTED = "REQUEST_UNSUPPORTED"


def test_embeddings(offer, ask):
    """The worker gets a list of texts and the form of the numbers, always."""
    asked = ask(EMBEDDINGS, offer(Task.EMBEDDINGS), input="a", user="u")
    assert asked == {"model": "stand-in", "input": ["a"], "encoding_format": "float"}


@pytest.mark.parametrize(
    ("values", "code", "where"),
    [
        ({}, "REQUEST_INVALID", "input"),
        ({"input": None}, "REQUEST_INVALID", "input"),
        ({"input": {"a": 1}}, "REQUEST_INVALID", "input"),
        ({"input": ["a", 1]}, "REQUEST_INVALID", "input[1]"),
        ({"input": [1, 2]}, UNSUPPORTED, "input"),
        ({"input": ["a"] * 2049}, "REQUEST_TOO_LARGE", "input"),
        ({"input": "a", "top_k": 1}, UNSUPPORTED, "top_k"),
        ({"input": "a", "user": 1}, "REQUEST_INVALID", "user"),
    ],
)
@pytest.mark.parametrize(
    ("endpoint", "task"), [(EMBEDDINGS, Task.EMBEDDINGS), (CLASSIFY, Task.CLASSIFICATION)]
)
def test_refused_inputs(offer, ask, endpoint, task, values, code, where):
    """Inputs that are not texts are refused at their place."""
    assert ask(endpoint, offer(task), **values) == (code, where)
