"""/v1/classify: read strictly, answered exactly."""

import json

import pytest

from mealkit.errors import MealkitError
from mealkit.worker.endpoints.classification import (
    ClassificationInput,
    classification_answer,
    classification_request,
)
from mealkit.worker.endpoints.request import read_request
from mealkit.worker.interface import Classifications


def refused(action):
    with pytest.raises(MealkitError) as caught:
        action()
    return caught.value.problems[0]


def read(body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_request(content, classification_request)


def answer(rows, labels=("a", "b"), counts=None):
    request = ClassificationInput(["text"] * 2)
    found = Classifications(labels, rows, counts or [3, 4])
    return json.loads(classification_answer(request, found, "m"))


@pytest.mark.parametrize("body", [b"{", {}, {"input": None}, {"input": ["x", 1]}, {"input": []}])
def test_what_the_gateway_cannot_have_written_is_refused(body):
    """Bytes that are not JSON, and values of other types, end the request."""
    assert refused(lambda: read(body)).code == "REQUEST_INVALID"


def test_one_text_is_a_list_of_one():
    """A text alone and a list of texts are the same kind of request."""
    assert read({"model": "m", "input": "x"}).texts == ["x"]
    assert read({"model": "m", "input": ["x", "y"]}).texts == ["x", "y"]


def test_the_answer_has_vllms_shape_and_the_labels():
    """Label, probabilities and their number for each text; the labels' order once."""
    assert answer([[0.25, 0.75], [0.5, 0.5]]) == {
        "object": "list",
        "model": "m",
        "data": [
            {"index": 0, "label": "b", "probs": [0.25, 0.75], "num_classes": 2},
            {"index": 1, "label": "a", "probs": [0.5, 0.5], "num_classes": 2},
        ],
        "labels": ["a", "b"],
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        ([[0.5, 0.5]], None),
        ([[1.0], [1.0]], None),
        ([[0.5, 0.5], [0.5, float("nan")]], None),
        ([[0.5, 0.5], [float("inf"), 0.5]], None),
        ([[0.5, 0.5], [0.5, 0.5]], [3]),
    ],
)
def test_an_answer_that_does_not_fit_is_an_engines_failure(rows, counts):
    """Missing rows, missing labels and values that are not numbers never reach a caller."""
    assert refused(lambda: answer(rows, counts=counts)).code == "ENGINE_ANSWER"
