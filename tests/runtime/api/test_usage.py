"""The tokens that an engine counted."""

import json

import pytest

from mealkit.errors import MealkitError
from mealkit.runtime.api.usage import TokenUsage, usage_in, usage_of

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@pytest.mark.parametrize("separators", [None, (",", ":")])
@pytest.mark.parametrize(
    "before",
    [
        {},
        {"text": 'he said "usage": {"prompt_tokens": 99}'},
        {"text": "usage"},
        {"logprobs": {"usage": -0.5}},
    ],
)
def test_usage_is_the_last_of_its_name(before, separators):
    """What an answer's text says of usage counts nothing."""
    body = json.dumps({**before, "usage": USAGE, "more": None}, separators=separators).encode()
    assert usage_of(body) == TokenUsage(3, 4)
    assert usage_of(body).total_tokens == 7


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"usage"',
        b'{"usage": null}',
        b'{"usage": 3}',
        b'{"usage": [',
        b'{"usage": \xff',
    ],
)
def test_an_answer_without_usage_is_the_engines_fault(body):
    """A missing or broken count is no count of zero."""
    with pytest.raises(MealkitError, match="ENGINE_ANSWER"):
        usage_of(body)


def test_embeddings_count_no_answer():
    """Tokens of an answer may be left out or null."""
    assert usage_in({"prompt_tokens": 5}) == TokenUsage(5, 0)
    assert usage_in({"prompt_tokens": 5, "completion_tokens": None}) == TokenUsage(5, 0)


@pytest.mark.parametrize("number", ["5", 5.0, True, None])
def test_only_whole_numbers_count(number):
    """Another type is the engine's fault."""
    with pytest.raises(MealkitError, match="ENGINE_ANSWER"):
        usage_in({"prompt_tokens": number})
