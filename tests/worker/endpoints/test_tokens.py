"""Tokens of a text or a chat."""

import json

import pytest

from mealkit.errors import RequestError
from mealkit.worker.endpoints.request import EndpointCall
from mealkit.worker.endpoints.tokens import token_endpoints
from mealkit.worker.interface import never


class Letters:
    """A model whose tokens are code points."""

    def tokenize(self, text):
        return [ord(character) for character in text]


def ask(fields, max_length=8, chat=None):
    endpoint = token_endpoints(Letters(), max_length, chat)["POST /tokenize"]
    return json.loads(endpoint(EndpointCall(json.dumps(fields).encode(), never)))


def test_a_text():
    """An empty one has no tokens, and a model without a limit has null."""
    assert ask({"prompt": "ab"}) == {"count": 2, "max_model_len": 8, "tokens": [97, 98]}
    assert ask({"prompt": ""}, None) == {"count": 0, "max_model_len": None, "tokens": []}


def test_a_chat():
    """It is told as the model's template writes it."""
    said = {"messages": [{"role": "user", "content": "a"}]}
    assert ask(said, chat=lambda messages: [len(messages), 2, 3])["tokens"] == [1, 2, 3]
    with pytest.raises(RequestError, match="REQUEST_INVALID"):
        ask(said)


@pytest.mark.parametrize("fields", [{}, {"prompt": 1}, {"prompt": ["a"]}, {"messages": []}])
def test_neither_is_refused(fields):
    """One of the two has to be there."""
    with pytest.raises(RequestError, match="REQUEST_INVALID"):
        ask(fields, chat=lambda _messages: [])
