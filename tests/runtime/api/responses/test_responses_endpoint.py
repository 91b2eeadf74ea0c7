"""Requests of the Responses API: what the engine is asked, and what is refused under which name."""

import inspect
import json

import openai
import pytest

from mealkit.errors import RequestError, problem
from mealkit.recipe.kit import Feature, Task
from mealkit.runtime.api.chat import CHAT
from mealkit.runtime.api.responses.responses_endpoint import RESPONSES

UNSUPPORTED = "REQUEST_UNSUPPORTED"
ALL = frozenset(Feature)
FUNCTION = {"name": "weather", "description": "d", "parameters": {"type": "object"}}
FLAT = {"type": "function", **FUNCTION}
NESTED = {"type": "function", "function": FUNCTION}
SCHEMA = {"name": "f", "schema": {"type": "object"}, "strict": True}
USER = {"role": "user", "content": "hi"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
OPEN = {name: {} for name in ("temperature", "top_p", "seed", "top_k")}


@pytest.mark.parametrize(
    ("values", "same"),
    [
        ({}, {}),
        (
            {"temperature": 0.5, "top_p": 0.5, "seed": 3},
            {"temperature": 0.5, "top_p": 0.5, "seed": 3},
        ),
        ({"top_k": 5, "stop": ["x"]}, {"top_k": 5, "stop": ["x"]}),
        ({"max_output_tokens": 5}, {"max_tokens": 5}),
        ({"tools": [FLAT]}, {"tools": [NESTED]}),
        (
            {"tools": [FLAT], "tool_choice": "required", "parallel_tool_calls": False},
            {"tools": [NESTED], "tool_choice": "required", "parallel_tool_calls": False},
        ),
        (
            {"tools": [FLAT], "tool_choice": {"type": "function", "name": "weather"}},
            {
                "tools": [NESTED],
                "tool_choice": {"type": "function", "function": {"name": "weather"}},
            },
        ),
        ({"text": {"format": {"type": "text"}}}, {}),
        ({"text": {"verbosity": "medium"}}, {}),
        (
            {"text": {"format": {"type": "json_object"}}},
            {"response_format": {"type": "json_object"}},
        ),
        (
            {"text": {"format": {"type": "json_schema", **SCHEMA}}},
            {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
        ),
        ({"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        ({"include": ["message.output_text.logprobs"]}, {"logprobs": True}),
        ({"include": ["reasoning.encrypted_content"], "top_logprobs": 0}, {}),
        ({"stream": True, "stream_options": {"include_obfuscation": False}}, {"stream": True}),
        # Neither changes an answer.
        ({"store": True, "metadata": {"a": "b"}, "user": "u", "safety_identifier": "s"}, {}),
        ({"prompt_cache_key": "k", "prompt_cache_retention": "24h", "max_tool_calls": 3}, {}),
        ({"background": False, "truncation": "disabled", "service_tier": "flex"}, {}),
        ({"truncation": "auto"}, {}),
        ({"reasoning": {"context": "auto", "mode": "standard", "effort": None}}, {}),
        (
            {"tools": [{**FLAT, "allowed_callers": ["direct"], "defer_loading": False}]},
            {"tools": [NESTED]},
        ),
        (
            {
                "reasoning": {"effort": "medium", "summary": "auto"},
                "conversation": None,
                "tools": [],
            },
            {},
        ),
    ],
)
def test_the_engine_is_asked_what_a_chat_asks(offer, ask, values, same):
    """A request becomes the one of the same chat; the engine's request is the same."""
    served = offer(features=ALL, overrides=OPEN)
    asked = ask(RESPONSES, served, input="hi", **values)
    assert isinstance(asked, dict), asked
    assert asked == ask(CHAT, served, messages=[USER], **same)


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"reasoning": {"effort": "high"}}, "reasoning.effort"),
        ({"tools": [{**FLAT, "output_schema": {}}]}, "tools[0].output_schema"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"tools": [FLAT, {"type": "web_search"}]}, "tools[1]"),
        ({"tools": [{"type": "custom", "name": "f"}]}, "tools[0]"),
        ({"tools": [FLAT], "tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({"tools": [FLAT], "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"temperature": 0.5}, "temperature"),
        ({"n": 1}, "n"),
        ({"max_tokens": 4}, "max_tokens"),
        ({"messages": [USER]}, "messages"),
    ],
)
def test_what_is_refused(offer, ask, values, where):
    """What a kit cannot honour is refused under its own name."""
    assert ask(RESPONSES, offer(features=ALL), input="hi", **values) == (UNSUPPORTED, where)


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"tools": [FLAT]}, "tools"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"top_logprobs": 2}, "include"),
        ({"input": [USER, CALL]}, "input[1].tool_calls"),
        (
            {
                "instructions": "Be brief.",
                "input": [{"type": "function_call_output", "call_id": "c", "output": "a"}],
            },
            "input[0].role",
        ),
    ],
)
def test_what_the_engine_cannot_do(offer, ask, values, where):
    """The rules of a chat apply, with the names of this request."""
    assert ask(RESPONSES, offer(), **{"input": "hi", **values}) == (UNSUPPORTED, where)


def test_the_name_is_in_the_message(offer):
    """The message of a refusal names the parameter of this request, not that of a chat."""
    values = {"model": "stand-in", "input": "hi", "text": {"format": {"type": "json_object"}}}
    with pytest.raises(RequestError, match=r": text\.format is not supported"):
        RESPONSES.prepare(values, offer())


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("messages", "input"),
        ("messages[2].content", "input[1].content"),
        ("messages[0]", "instructions"),
        ("messages[9]", "input[1]"),
        ("response_format", "text.format"),
        ("tools[0]", "tools[0]"),
        (None, None),
    ],
)
def test_the_engines_own_refusals(offer, where, expected):
    """What the engine refuses has the name of this request's parameter, too."""
    items = [USER, {"role": "user", "content": "again"}]
    values = {"model": "stand-in", "instructions": "Be brief.", "input": items}
    asked = RESPONSES.prepare(values, offer())
    told = problem("REQUEST_INVALID", f"{where} is wrong", where=where)
    renamed = asked.renamed(told)
    assert (renamed.where, renamed.code) == (expected, told.code)
    assert renamed.message == f"{expected} is wrong"


def every_parameter():
    """Every parameter of the client's method: a newer client may bring new ones."""
    with openai.OpenAI(api_key="any", base_url="http://127.0.0.1:1") as client:
        names = inspect.signature(client.responses.create).parameters
    return sorted(names.keys() - {"extra_headers", "extra_query", "extra_body", "timeout"})


HONOURED = {
    "include": ["message.output_text.logprobs"],
    "input": "other",
    "instructions": "Be brief.",
    "max_output_tokens": 5,
    "parallel_tool_calls": False,
    "stream": True,
    "temperature": 0.5,
    "text": {"format": {"type": "json_object"}},
    "tool_choice": "required",
    "tools": [FLAT],
    "top_logprobs": 2,
    "top_p": 0.5,
}
TAKEN = {
    "max_tool_calls": 3,
    "metadata": {"a": "b"},
    "model": "stand-in",
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "implicit"},
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
    "service_tier": "priority",
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": True,
    "stream_options": {"include_obfuscation": False},
    "truncation": "auto",
    "user": "u",
}
BESIDE = {
    "tool_choice": {"tools": [FLAT]},
    "parallel_tool_calls": {"tools": [FLAT]},
    "stream_options": {"stream": True},
}


@pytest.mark.parametrize("name", every_parameter())
def test_every_parameter_of_the_official_client(offer, name):
    """Each parameter changes what the engine is asked, or cannot matter, or is refused by name."""
    served = offer(Task.GENERATION, features=ALL, overrides=OPEN)
    values = {"model": "stand-in", "input": "hi", **BESIDE.get(name, {})}
    known = HONOURED | TAKEN
    if name in known:
        plain = RESPONSES.prepare(dict(values), served)
        asked = RESPONSES.prepare({**values, name: known[name]}, served)
        assert (json.loads(asked.body) != json.loads(plain.body)) == (name in HONOURED)
        return
    with pytest.raises(RequestError, match=name) as caught:
        RESPONSES.prepare({**values, name: "anything"}, served)
    assert caught.value.problems[0].where == name
