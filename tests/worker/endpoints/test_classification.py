"""/v1/classify: read strictly, answered exactly."""

import json

import pytest

from mealkit.errors import MealkitError
from mealkit.worker.endpoints.classification import (
    MAX_INPUTS,
    ClassificationRequest,
    classification_answer,
    read_classification_request,
)
from mealkit.worker.interface import Classifications


def refused(action):
    with pytest.raises(MealkitError) as caught:
        action()
    return caught.value.problems[0]


def read(body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_classification_request(content, "m")


def answer(rows, labels=("a", "b"), counts=None):
    request = ClassificationRequest(["text"] * 2)
    found = Classifications(labels, rows, counts or [3, 4])
    return json.loads(classification_answer(request, found, "m"))


@pytest.mark.parametrize(
    ("body", "code", "where"),
    [
        (b"{", "REQUEST_INVALID", None),
        ({"input": "x"}, "REQUEST_INVALID", "model"),
        ({"model": "other", "input": "x"}, "REQUEST_MODEL", "model"),
        ({"model": "m"}, "REQUEST_INVALID", "input"),
        ({"model": "m", "input": None}, "REQUEST_INVALID", "input"),
        ({"model": "m", "input": ["x", 1]}, "REQUEST_INVALID", "input[1]"),
        (b'{"model": "m", "input": "\\ud800"}', "REQUEST_INVALID", "input[0]"),
        ({"model": "m", "input": ["x"] * (MAX_INPUTS + 1)}, "REQUEST_TOO_LARGE", "input"),
        ({"model": "m", "input": "x", "prompt": "query"}, "REQUEST_UNSUPPORTED", "prompt"),
    ],
)
def test_what_cannot_be_classified_whole_is_refused(body, code, where):
    """Every refusal names its field."""
    problem = refused(lambda: read(body))
    assert (problem.code, problem.where) == (code, where)


def test_one_text_is_a_list_of_one():
    """A text alone and a list of texts are the same kind of request."""
    assert read({"model": "m", "input": "x"}).texts == ["x"]
    assert len(read({"model": "m", "input": ["x"] * MAX_INPUTS}).texts) == MAX_INPUTS


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
    """Missing rows, missing labels and what is no number never reach a caller."""
    assert refused(lambda: answer(rows, counts=counts)).code == "ENGINE_ANSWER"
