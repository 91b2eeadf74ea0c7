"""/v1/rerank: read strictly, answered in one order."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mealkit.errors import MealkitError
from mealkit.worker.endpoints.request import read_request
from mealkit.worker.endpoints.reranking import (
    RerankingInput,
    reranking_answer,
    reranking_request,
)
from mealkit.worker.interface import Relevance

GOOD = {"model": "m", "query": "q", "documents": ["a", "b"]}


def refused(action):
    with pytest.raises(MealkitError) as caught:
        action()
    return caught.value.problems[0]


def read(body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_request(content, reranking_request)


@pytest.mark.parametrize(
    "changed",
    [
        {"query": None},
        {"query": "\ud800"},
        {"documents": []},
        {"documents": {}},
        {"documents": ["a", {"text": "b"}]},
        {"documents": ["\udfff"]},
    ],
)
def test_what_the_gateway_cannot_have_written_is_refused(changed):
    """A value of another type ends the request."""
    assert refused(lambda: read({**GOOD, **changed})).code == "REQUEST_INVALID"


@pytest.mark.parametrize("name", ["query", "documents"])
def test_what_is_missing_is_refused(name):
    """Query and documents have no default."""
    problem = refused(lambda: read({key: value for key, value in GOOD.items() if key != name}))
    assert problem.code == "REQUEST_INVALID"


def test_what_is_good_is_read():
    """A query, and documents as a list."""
    assert read(GOOD) == RerankingInput("q", ["a", "b"])


@given(some.lists(some.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=1))
def test_the_best_come_first_and_equals_stay_in_order(scores):
    """The order is by score and then by number."""
    request = RerankingInput("q", ["d"] * len(scores))
    found = Relevance(scores, [2] * len(scores))
    answer = json.loads(reranking_answer(request, found, "m"))
    best = sorted((-score, index) for index, score in enumerate(scores))
    assert answer == {
        "object": "list",
        "model": "m",
        "results": [{"index": index, "relevance_score": -score} for score, index in best],
        "usage": {"prompt_tokens": 2 * len(scores), "total_tokens": 2 * len(scores)},
    }


@pytest.mark.parametrize(
    "found",
    [
        Relevance([1.0], [2, 2]),
        Relevance([1.0, 1.0], [2]),
        Relevance([1.0, float("nan")], [2, 2]),
        Relevance([float("-inf"), 1.0], [2, 2]),
    ],
)
def test_an_answer_that_does_not_fit_is_an_engines_failure(found):
    """Missing scores and values that are not numbers never reach a caller."""
    request = RerankingInput("q", ["a", "b"])
    assert refused(lambda: reranking_answer(request, found, "m")).code == "ENGINE_ANSWER"
