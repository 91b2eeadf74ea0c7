"""The response object that is made of an engine's answer to a chat."""

import json

import pytest
from openai.types.responses import Response

from mealkit.errors import EngineError
from mealkit.recipe.kit import Feature
from mealkit.runtime.api.responses.responses_endpoint import RESPONSES

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
CALLED = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "f", "arguments": '{"a":1}'},
}
TOKEN = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
TOOL = {"type": "function", "name": "f"}


@pytest.fixture
def shaped(offer):
    """Make a response: ``shaped(message, finish_reason, ...)``."""

    def make(message, reason="stop", likelihoods=None, **values):
        served = offer(features=frozenset(Feature))
        asked = RESPONSES.prepare({"model": "stand-in", "input": "hi", **values}, served)
        choice = {"message": message, "finish_reason": reason, "logprobs": likelihoods}
        answer = {"choices": [{"index": 0, **choice}], "usage": USAGE}
        return json.loads(asked.shape(json.dumps(answer).encode()))

    return make


def test_a_text(shaped):
    """A text is a message with one part; the client's own type accepts all of it."""
    found = shaped({"content": "hello"}, likelihoods={"content": [TOKEN]})
    assert Response.model_validate(found, strict=True).output_text == "hello"
    [item] = found["output"]
    assert (item["type"], item["status"], item["role"]) == ("message", "completed", "assistant")
    part = {"type": "output_text", "text": "hello", "annotations": [], "logprobs": [TOKEN]}
    assert item["content"] == [part]
    assert (found["object"], found["status"], found["error"]) == ("response", "completed", None)
    assert found["id"].startswith("resp_")
    usage = found["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (7, 3, 10)


def test_calls(shaped):
    """A text and calls are items of their own, in this order; without a text there are only calls."""
    both = shaped({"content": "hm", "tool_calls": [CALLED]}, "tool_calls", tools=[TOOL])
    assert [item["type"] for item in both["output"]] == ["message", "function_call"]
    [call] = shaped({"content": None, "tool_calls": [CALLED]}, "tool_calls", tools=[TOOL])["output"]
    assert (call["call_id"], call["name"], call["arguments"]) == ("call_1", "f", '{"a":1}')
    assert call["id"] != call["call_id"]


@pytest.mark.parametrize("message", [{"content": ""}, {"content": None}])
def test_an_empty_text(shaped, message):
    """An answer without any token is a message with an empty text."""
    [item] = shaped(message)["output"]
    assert item["content"][0]["text"] == ""


def test_incomplete(shaped):
    """An answer that is cut says why, and so does its last item."""
    found = shaped({"content": "hel"}, "length", max_output_tokens=3)
    assert found["status"] == found["output"][-1]["status"] == "incomplete"
    assert found["incomplete_details"] == {"reason": "max_output_tokens"}
    assert found["max_output_tokens"] == 3


def test_what_is_repeated(shaped):
    """The response repeats its request, with the kit's values, and says that nothing is stored."""
    text = {"format": {"type": "json_schema", "name": "f", "schema": {"type": "object"}}}
    values = {
        "tools": [TOOL],
        "tool_choice": {"type": "function", "name": "f"},
        "instructions": "Be brief.",
    }
    found = shaped({"content": "{}"}, store=True, text=text, **values)
    assert (found["store"], found["text"], found["model"]) == (False, text, "stand-in")
    assert {name: found[name] for name in values} == {
        **values,
        "tools": [{**TOOL, "parameters": None, "strict": None}],
    }
    assert (found["temperature"], found["top_p"]) == (0, 1)
    assert shaped({"content": ""})["text"] == {"format": {"type": "text"}}


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[{"message":3,"finish_reason":"stop"}]}'],
)
def test_other_answers(offer, answer):
    """An answer that is not one of a chat is the engine's fault."""
    asked = RESPONSES.prepare({"model": "stand-in", "input": "hi"}, offer())
    with pytest.raises(EngineError, match="not one of a chat"):
        asked.shape(answer)
