"""/v1/rerank: read strictly, answered in one order."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mealkit.errors import MealkitError
from mealkit.worker.endpoints.reranking import (
    MAX_DOCUMENTS,
    RerankingRequest,
    read_reranking_request,
    reranking_answer,
)
from mealkit.worker.interface import Relevance

GOOD = {"model": "m", "query": "q", "documents": ["a", "b"]}


def refused(action):
    with pytest.raises(MealkitError) as caught:
        action()
    return caught.value.problems[0]


def read(body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_reranking_request(content, "m")


@pytest.mark.parametrize(
    ("changed", "code", "where"),
    [
        ({"model": "other"}, "REQUEST_MODEL", "model"),
        ({"query": ""}, "REQUEST_INVALID", "query"),
        ({"query": None}, "REQUEST_INVALID", "query"),
        ({"query": "\ud800"}, "REQUEST_INVALID", "query"),
        ({"documents": []}, "REQUEST_INVALID", "documents"),
        ({"documents": "a"}, "REQUEST_INVALID", "documents"),
        ({"documents": {}}, "REQUEST_INVALID", "documents"),
        ({"documents": ["a", ""]}, "REQUEST_INVALID", "documents[1]"),
        ({"documents": ["a", {"text": "b"}]}, "REQUEST_INVALID", "documents[1]"),
        ({"documents": ["\udfff"]}, "REQUEST_INVALID", "documents[0]"),
        ({"documents": ["a"] * (MAX_DOCUMENTS + 1)}, "REQUEST_TOO_LARGE", "documents"),
        ({"top_n": 0}, "REQUEST_INVALID", "top_n"),
        ({"top_n": True}, "REQUEST_INVALID", "top_n"),
        ({"top_n": 1.0}, "REQUEST_INVALID", "top_n"),
        ({"return_documents": False}, "REQUEST_UNSUPPORTED", "return_documents"),
        ({"max_tokens_per_doc": 10}, "REQUEST_UNSUPPORTED", "max_tokens_per_doc"),
    ],
)
def test_what_cannot_be_scored_whole_is_refused(changed, code, where):
    """Every refusal names its field."""
    problem = refused(lambda: read({**GOOD, **changed}))
    assert (problem.code, problem.where) == (code, where)


@pytest.mark.parametrize("name", ["model", "query", "documents"])
def test_what_is_missing_is_named(name):
    """Model, query and documents have no default."""
    problem = refused(lambda: read({key: value for key, value in GOOD.items() if key != name}))
    assert (problem.code, problem.message) == ("REQUEST_INVALID", f"{name} is missing")


def test_what_is_good_is_read():
    """Without top_n, or with null, all documents are answered."""
    assert read(GOOD) == read({**GOOD, "top_n": None}) == RerankingRequest("q", ["a", "b"], None)
    assert read({**GOOD, "top_n": 7}).top_n == 7


@given(some.lists(some.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=1), some.integers(1, 9))
def test_the_best_come_first_and_equals_stay_in_order(scores, top_n):
    """The order is by score and then by number, whatever is left out at the end."""
    request = RerankingRequest("q", ["d"] * len(scores), top_n)
    found = Relevance(scores, [2] * len(scores))
    answer = json.loads(reranking_answer(request, found, "m"))
    best = sorted((-score, index) for index, score in enumerate(scores))[:top_n]
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
    """Missing scores and what is no number never reach a caller."""
    request = RerankingRequest("q", ["a", "b"], None)
    assert refused(lambda: reranking_answer(request, found, "m")).code == "ENGINE_ANSWER"
