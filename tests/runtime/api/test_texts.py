"""Inputs that are texts: what embeddings and classification take."""

from dataclasses import replace

import pytest

from mealkit.recipe.kit import Task
from mealkit.runtime.api.classify import CLASSIFY
from mealkit.runtime.api.embeddings import EMBEDDINGS

UNSUPPORTED = "REQUEST_UNSUPPORTED"


def test_embeddings(offer, ask):
    """The worker gets a list of texts and the form of the numbers, always."""
    asked = ask(EMBEDDINGS, offer(Task.EMBEDDINGS), input="a", user="u")
    assert asked == {"model": "stand-in", "input": ["a"], "encoding_format": "float"}


def test_a_kits_own_normalize_may_be_repeated(offer, ask):
    """It changes nothing; the other value would, and is refused."""
    kit = offer(Task.EMBEDDINGS, hyperparameters={"max_length": 16, "normalize": True})
    plain = ask(EMBEDDINGS, kit, input="a")
    assert ask(EMBEDDINGS, kit, input="a", normalize=True) == plain
    assert ask(EMBEDDINGS, kit, input="a", normalize=False) == (UNSUPPORTED, "normalize")
    other = offer(Task.EMBEDDINGS)
    assert ask(EMBEDDINGS, other, input="a", normalize=True) == (UNSUPPORTED, "normalize")


def test_tokens_reach_the_worker(offer, ask):
    """One list, or several; the worker checks that they are its own tokenizer's."""
    for given, sent in (([101, 7, 102], [[101, 7, 102]]), ([[101, 102], [5]], [[101, 102], [5]])):
        asked = ask(EMBEDDINGS, offer(Task.EMBEDDINGS), input=given)
        assert asked == {"model": "stand-in", "tokens": sent, "encoding_format": "float"}


@pytest.mark.parametrize(
    ("values", "code", "where"),
    [
        ({"input": [1, "a"]}, "REQUEST_INVALID", "input[0]"),
        ({"input": [[1], ["a"]]}, "REQUEST_INVALID", "input[1]"),
        ({"input": [[1], []]}, "REQUEST_INVALID", "input[1]"),
        ({"input": [-1]}, "REQUEST_INVALID", "input[0]"),
        ({"input": [[1]] * 2049}, "REQUEST_TOO_LARGE", "input"),
        ({"input": [1], "prompt": "query"}, UNSUPPORTED, "input"),
        ({"input": "a", "truncate": True}, UNSUPPORTED, "truncate"),
        ({"input": "a", "truncate": "END"}, UNSUPPORTED, "truncate"),
        ({"input": "a", "truncate": "START"}, "REQUEST_INVALID", "truncate"),
        ({"input": "a", "truncate_prompt_tokens": 5}, UNSUPPORTED, "truncate_prompt_tokens"),
    ],
)
def test_refused_tokens(offer, ask, values, code, where):
    """What is no token, tokens with a prompt around them, and every kind of truncation."""
    assert ask(EMBEDDINGS, offer(Task.EMBEDDINGS), **values) == (code, where)


def test_texts_are_cut_where_the_kit_allows_it(offer, ask):
    """At their end, if the caller asks for it, and never tokens."""
    kit = offer(Task.EMBEDDINGS)
    allowed = {**kit.hyperparameters, "overlong": "truncate_if_asked", "max_length": 16}
    kit = replace(kit, hyperparameters=allowed)
    cut = {"truncate_prompt_tokens": 16, "truncation_side": "right"}
    for value, sent in ((True, cut), ("END", cut), (False, {}), (None, {})):
        asked = ask(EMBEDDINGS, kit, input="a", truncate=value)
        assert {name: asked[name] for name in cut if name in asked} == sent
    assert ask(EMBEDDINGS, kit, input=[1], truncate=True) == (UNSUPPORTED, "input")


def test_tokens_that_the_engine_would_not_check(offer, ask):
    """Another tokenizer may have made them: such an engine gets texts only."""
    kit = replace(offer(Task.EMBEDDINGS), checks_tokens=False)
    assert ask(EMBEDDINGS, kit, input=[1, 2]) == (UNSUPPORTED, "input")
    assert ask(CLASSIFY, offer(Task.CLASSIFICATION), input=[1, 2]) == (UNSUPPORTED, "input")


def test_neutral_values(offer, ask):
    """What would truncate only if it were another value is taken."""
    plain = ask(EMBEDDINGS, offer(Task.EMBEDDINGS), input="a")
    for values in ({"truncate": False}, {"truncate": "NONE"}, {"truncate_prompt_tokens": None}):
        assert ask(EMBEDDINGS, offer(Task.EMBEDDINGS), input="a", **values) == plain


@pytest.mark.parametrize(
    ("values", "code", "where"),
    [
        ({}, "REQUEST_INVALID", "input"),
        ({"input": None}, "REQUEST_INVALID", "input"),
        ({"input": {"a": 1}}, "REQUEST_INVALID", "input"),
        ({"input": ["a", 1]}, "REQUEST_INVALID", "input[1]"),
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
