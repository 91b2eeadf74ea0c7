"""Requests to rank documents, and the shapes of the answers."""

import json

import pytest

from mealkit.recipe.kit import Task
from mealkit.runtime.api.rerank import RERANK, RERANK_COHERE

UNSUPPORTED = "REQUEST_UNSUPPORTED"


def test_rerank(offer, ask):
    """Documents may be objects; the worker ranks all of them."""
    asked = ask(RERANK, offer(Task.RERANKING), query="q", documents=["a", {"text": "b"}], top_n=1)
    assert asked == {"model": "stand-in", "query": "q", "documents": ["a", "b"]}


RANKING = {
    "model": "stand-in",
    "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
    "usage": {"prompt_tokens": 5, "total_tokens": 5},
}


def shaped(endpoint, offer, **values):
    values = {"model": "stand-in", "query": "q", "documents": ["a", "b"], **values}
    asked = endpoint.prepare(values, offer(Task.RERANKING))
    form = json.loads(asked.shape(json.dumps(RANKING).encode()))
    return form.pop("id"), form


def test_shapes_of_rankings(offer):
    """The best few, with their texts if asked for; the same request has the same id."""
    name, form = shaped(RERANK, offer, top_n=1, return_documents=True)
    assert form == {
        "object": "list",
        "model": "stand-in",
        "results": [{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}],
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }
    again, form = shaped(RERANK_COHERE, offer)
    assert again == name
    assert form["meta"]["api_version"] == {"version": "2"}
    assert [item["index"] for item in form["results"]] == [1, 0]
    assert shaped(RERANK, offer, query="other")[0] != name


@pytest.mark.parametrize(
    ("values", "code", "where"),
    [
        ({"query": ""}, "REQUEST_INVALID", "query"),
        ({"documents": []}, "REQUEST_INVALID", "documents"),
        ({"documents": ["a", ""]}, "REQUEST_INVALID", "documents[1]"),
        ({"documents": ["a", {"title": "b"}]}, "REQUEST_INVALID", "documents[1].text"),
        ({"documents": ["a"] * 1001}, "REQUEST_TOO_LARGE", "documents"),
        ({"top_n": 0}, "REQUEST_INVALID", "top_n"),
        ({"max_tokens_per_doc": 10}, UNSUPPORTED, "max_tokens_per_doc"),
        ({"max_chunks_per_doc": 10}, UNSUPPORTED, "max_chunks_per_doc"),
        ({"rank_fields": ["title"]}, UNSUPPORTED, "rank_fields"),
        ({"priority": 3}, UNSUPPORTED, "priority"),
    ],
)
def test_refused_rankings(offer, ask, values, code, where):
    """What would cut documents, or is none, is refused by name."""
    kit = offer(Task.RERANKING)
    assert ask(RERANK, kit, **{"query": "q", "documents": ["a"], **values}) == (code, where)


def test_neutral_values_of_rankings(offer, ask):
    """What other APIs say by default asks for nothing."""
    kit = offer(Task.RERANKING)
    plain = ask(RERANK, kit, query="q", documents=["a"])
    assert ask(RERANK, kit, query="q", documents=["a"], rank_fields=["text"], priority=0) == plain
