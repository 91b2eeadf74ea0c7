"""Requests of embeddings, classification, reranking, prediction and tokens."""

import json

import pytest

from mealkit.recipe.kit import Feature, Task
from mealkit.runtime.api.classify import CLASSIFY
from mealkit.runtime.api.embeddings import EMBEDDINGS
from mealkit.runtime.api.predict import PREDICT
from mealkit.runtime.api.rerank import RERANK, RERANK_COHERE
from mealkit.runtime.api.tokenize import TOKENIZE

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


def test_prediction(offer, ask):
    """An input passes as it is; the model's name may be left out; streaming only if it streams."""
    kit = offer(Task.PREDICTION)
    asked = {"model": "stand-in", "input": {"x": [1]}, "seed": 3, "stream": False}
    assert ask(PREDICT, kit, input={"x": [1]}) == asked
    assert ask(PREDICT, kit, model=None, input={"x": [1]}) == asked
    assert ask(PREDICT, kit, input=[1]) == ("REQUEST_INVALID", "input")
    kit.prediction = {"input": {}, "output": {}, "streams": False}
    assert ask(PREDICT, kit, input={}, stream=True) == (UNSUPPORTED, "stream")
    kit.prediction = {"input": {}, "output": {}, "streams": True}
    assert ask(PREDICT, kit, input={}, stream=True)["stream"] is True


def test_seeds_of_predictions(offer, ask):
    """A seed is the kit's, unless the kit leaves it to callers, within its bounds."""
    pinned = offer(Task.PREDICTION)
    assert ask(PREDICT, pinned, input={}, seed=3)["seed"] == 3
    assert ask(PREDICT, pinned, input={}, seed=4) == (UNSUPPORTED, "seed")
    assert ask(PREDICT, pinned, input={}, seed=-1) == ("REQUEST_INVALID", "seed")
    bounds = {"seed": {"maximum": 9}}
    free = offer(Task.PREDICTION, overrides=bounds)
    assert ask(PREDICT, free, input={}, seed=4)["seed"] == 4
    assert ask(PREDICT, free, input={}, seed=10) == (UNSUPPORTED, "seed")


def test_tokens(offer, ask):
    """A text or a conversation is counted, not both and not neither."""
    kit = offer(features=frozenset(Feature))
    messages = [{"role": "user", "content": "a"}]
    assert ask(TOKENIZE, kit, prompt="a") == {"model": "stand-in", "prompt": "a"}
    assert ask(TOKENIZE, kit, messages=messages) == {"model": "stand-in", "messages": messages}
    for values in ({}, {"prompt": "a", "messages": messages}):
        assert ask(TOKENIZE, kit, **values) == ("REQUEST_INVALID", "prompt")
