"""Requests of chats and completions, read strictly."""

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as some
from worker.endpoints.asking import CHAT, COMPLETION, FUNCTION, SAMPLING, ask, endpoints

from mealkit.errors import MealkitError
from mealkit.worker.endpoints.request import EndpointCall


def refused(values):
    with pytest.raises(MealkitError) as caught:
        ask(values)
    found = caught.value.problems[0]
    assert found.owner.value == "caller"
    return found.code, found.where


MALFORMED = [
    *[{name: ...} for name in SAMPLING if name != "model"],
    {"max_tokens": True},
    {"max_tokens": 1.0},
    {"max_tokens": 10**30},
    {"temperature": "hot"},
    {"temperature": 10**400},
    {"seed": None},
    {"stop": "x"},
    {"stop": [""]},
    {"stop": ["x", 1]},
    {"logit_bias": [1]},
    {"logit_bias": {"x": 1}},
    {"logit_bias": {"1": 101}},
    {"stream": "yes"},
    {"stream": True, "stream_options": {"include_usage": 1}},
    {"stream": True, "stream_options": None},
]
MALFORMED_CHATS = [
    {"logprobs": 1},
    {"logprobs": True},
    {"logprobs": True, "top_logprobs": 21},
    {"response_format": {}},
    {"response_format": {"type": "json_schema"}},
    {"response_format": {"type": "json_schema", "json_schema": {"schema": {"const": "\ud800"}}}},
    {"messages": "hi"},
    {"messages": []},
    {"messages": ["hi"]},
    {"messages": [{"role": 1, "content": "x"}]},
    {"messages": [{"role": "user", "content": 1}]},
    {"messages": [{"role": "user", "content": "\ud800"}]},
    {"messages": [{"role": "assistant", "tool_calls": [{"type": "function"}]}]},
    {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]},
    {"tools": {}},
    {"tools": [1]},
    {"tools": [{"type": "function", "function": {"parameters": {}}}]},
    {"tools": [FUNCTION], "tool_choice": "maybe"},
    {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "g"}}},
]
MALFORMED_COMPLETIONS = [{"prompt": ["a"]}, {"prompt": ...}, {"logprobs": True}, {"logprobs": 6}]


@pytest.mark.parametrize(
    ("whole", "fields"),
    [
        *[(CHAT, fields) for fields in (*MALFORMED, *MALFORMED_CHATS)],
        *[(COMPLETION, fields) for fields in (*MALFORMED, *MALFORMED_COMPLETIONS)],
    ],
)
def test_what_the_gateway_cannot_have_written_gets_one_short_answer(whole, fields):
    """A value that is missing, or of another type, ends the request, and nothing else."""
    values = {name: value for name, value in {**whole, **fields}.items() if value is not ...}
    assert refused(values) == ("REQUEST_INVALID", None)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_object_gets_one_short_answer(body):
    """Whatever bytes come, the worker keeps running."""
    with pytest.raises(MealkitError, match="REQUEST_INVALID"):
        endpoints()[1]["POST /v1/completions"](EndpointCall(body, lambda: False))


@given(
    some.dictionaries(
        some.sampled_from([*CHAT, "tools", "tool_choice", "response_format", "logit_bias", "x"]),
        some.recursive(
            some.none()
            | some.booleans()
            | some.integers()
            | some.floats(allow_nan=False, allow_infinity=False)
            | some.text(max_size=3),
            lambda inner: (
                some.lists(inner, max_size=2)
                | some.dictionaries(
                    some.sampled_from(["role", "content", "type", "function", "name", "1", "text"]),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=6,
        ),
        max_size=3,
    )
)
def test_no_request_is_a_bug(fields):
    """Whatever JSON comes, the answer is one, or a refusal that is the caller's."""
    try:
        found = ask({**CHAT, **fields}, b"a")
    except MealkitError as error:
        assert error.problems[0].owner.value == "caller"  # noqa: PT017 - an answer is fine, too
    else:
        assert isinstance(found, dict | list)


def test_numbers_that_json_does_not_have_are_refused():
    """NaN and Infinity are not JSON, though Python reads them."""
    body = json.dumps(CHAT).replace('"temperature": 0', '"temperature": NaN').encode()
    with pytest.raises(MealkitError, match="NaN"):
        endpoints()[1]["POST /v1/chat/completions"](EndpointCall(body, lambda: False))


def test_a_schema_binds_the_answer():
    """json_schema and json_object are enforced, whatever the model prefers."""
    schema = {"type": "array", "items": {"const": "x"}, "minItems": 1, "maxItems": 1}
    wanted = {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": schema}}
    (choice,) = ask({**CHAT, "response_format": wanted}, b"no!")["choices"]
    jsonschema.validate(json.loads(choice["message"]["content"]), schema)
    (choice,) = ask({**CHAT, "response_format": {"type": "json_object"}}, b"{", b"}")["choices"]
    assert choice["message"]["content"] == "{}"
