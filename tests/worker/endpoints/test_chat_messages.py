"""The messages of a chat on their way to the template."""

import json

import pytest
from worker.endpoints.asking import CHAT, endpoints

from mealkit.errors import MealkitError
from mealkit.worker.endpoints.chat_messages import messages_of, tools_of
from mealkit.worker.endpoints.request import EndpointCall
from mealkit.worker.generation_values import Tools


def test_a_chat_has_messages():
    """Without any there is nothing to answer."""
    values = {name: value for name, value in CHAT.items() if name != "messages"}
    with pytest.raises(MealkitError, match="messages"):
        endpoints()[1]["POST /v1/chat/completions"](
            EndpointCall(json.dumps(values).encode(), lambda: False)
        )


def test_messages_reach_the_template_as_text():
    """A message that only calls tools has an empty text; other fields stay what they are."""
    model, served = endpoints(b"ok")
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    messages = [
        {"role": "system", "content": "a\nb"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "7", "tool_call_id": "c"},
        {"role": "user", "content": "", "name": "n"},
    ]
    body = json.dumps({**CHAT, "messages": messages}).encode()
    served["POST /v1/chat/completions"](EndpointCall(body, lambda: False))
    assert bytes(model.prompts[0]) == b"Nonesystem: a\nb\nassistant: \ntool: 7\nuser: \n"


FUNCTIONS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]


def named(name):
    return {"type": "function", "function": {"name": name}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"tools": FUNCTIONS}, Tools(FUNCTIONS, "auto", None, parallel=True)),
        (
            {"tools": FUNCTIONS, "tool_choice": "required", "parallel_tool_calls": False},
            Tools(FUNCTIONS, "required", None, parallel=False),
        ),
        (
            {"tools": FUNCTIONS, "tool_choice": named("g")},
            Tools(FUNCTIONS, "required", "g", parallel=False),
        ),
    ],
)
def test_tools_and_which_of_them_must_be_called(fields, expected):
    """One that is named must be called, and is called once."""
    assert tools_of(fields) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": {}},
        {"tools": [1]},
        {"tools": [{"function": {}}]},
        {"tools": FUNCTIONS, "tool_choice": named("h")},
        {"tools": FUNCTIONS, "tool_choice": "maybe"},
        {"tools": FUNCTIONS, "tool_choice": None},
        {"tools": FUNCTIONS, "parallel_tool_calls": 1},
    ],
    ids=range(7),
)
def test_tools_that_the_gateway_does_not_write(fields):
    """They are refused, not guessed at."""
    with pytest.raises((TypeError, LookupError)):
        tools_of(fields)


def test_a_call_that_stands_alone_has_an_empty_text():
    """Templates take text; other fields stay as they are."""
    call = {"function": {"name": "f", "arguments": "{}"}, "id": "1"}
    (message,) = messages_of({"messages": [{"role": "assistant", "tool_calls": [call]}]})
    assert message == {"role": "assistant", "tool_calls": [call], "content": ""}
