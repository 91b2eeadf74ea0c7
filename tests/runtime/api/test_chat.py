"""Chat requests: forms, tools and likelihoods, honoured or refused by name."""

import json
from dataclasses import replace

import pytest

from mealkit.errors import RequestError
from mealkit.recipe.kit import Feature
from mealkit.runtime.api.chat import CHAT

UNSUPPORTED = "REQUEST_UNSUPPORTED"
ALL = frozenset(Feature)
HELLO = [{"role": "user", "content": "hello"}]
TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "d", "parameters": {"type": "object"}},
}


def test_two_names_of_the_length(offer, ask):
    """The newer name of max_tokens means the same; two values are refused unless they are equal."""
    for given in (
        {"max_completion_tokens": 3},
        {"max_completion_tokens": 3, "max_tokens": 3},
        {"max_completion_tokens": 3, "max_tokens": -1},
    ):
        assert ask(CHAT, offer(), messages=HELLO, **given)["max_tokens"] == 3
    differ = ask(CHAT, offer(), messages=HELLO, max_completion_tokens=3, max_tokens=4)
    assert differ == ("REQUEST_INVALID", "max_completion_tokens")


FORM = {
    "type": "json_schema",
    "json_schema": {"name": "f", "schema": {"type": "object"}, "strict": True},
}


@pytest.mark.parametrize(
    ("values", "feature", "expected"),
    [
        ({"response_format": FORM}, Feature.JSON_SCHEMA, {"response_format": FORM}),
        (
            {"response_format": {"type": "json_object"}},
            Feature.JSON_SCHEMA,
            {"response_format": {"type": "json_object"}},
        ),
        (
            {"tools": [TOOL]},
            Feature.TOOLS,
            {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": True},
        ),
        (
            {
                "tools": [TOOL],
                "tool_choice": {"type": "function", "function": {"name": "weather"}},
                "parallel_tool_calls": False,
            },
            Feature.TOOLS,
            {
                "tool_choice": {"type": "function", "function": {"name": "weather"}},
                "parallel_tool_calls": False,
            },
        ),
        ({"logprobs": True}, Feature.LOGPROBS, {"logprobs": True, "top_logprobs": 0}),
        (
            {"logprobs": True, "top_logprobs": 20},
            Feature.LOGPROBS,
            {"logprobs": True, "top_logprobs": 20},
        ),
    ],
)
def test_features(offer, ask, values, feature, expected):
    """What the engine can do is passed on in full; what it cannot is refused by name."""
    able = offer(features=frozenset({Feature.CHAT, feature}))
    asked = ask(CHAT, able, messages=HELLO, **values)
    assert expected.items() <= asked.items()
    assert ask(CHAT, offer(), messages=HELLO, **values) == (UNSUPPORTED, next(iter(values)))


@pytest.mark.parametrize(
    "values",
    [
        {"response_format": {"type": "text"}},
        {"logprobs": False},
        {"tools": [], "tool_choice": "none"},
        {"tool_choice": "auto", "parallel_tool_calls": True},
        {"n": 1, "logit_bias": {}},
        {"store": False, "metadata": {}, "service_tier": "auto", "modalities": ["text"]},
        {"user": "u", "safety_identifier": "s"},
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "cache_prompt": True},
        {"metadata": {"trace": "t"}, "prompt_cache_options": {"mode": "explicit"}},
        {"prediction": {"type": "content", "content": "x"}},
        {"logprobs": False, "top_logprobs": 0},
        {"top_k": -1, "max_tokens": -1, "max_completion_tokens": -1},
        {"stream": False, "stream_options": {"include_usage": True}},
        {"functions": [], "function_call": "none", "service_tier": "flex", "store": True},
        {"reasoning_effort": "medium", "verbosity": "medium"},
        {"stop": [], "tools": None, "tool_choice": None, "response_format": None},
        {"presence_penalty": 0, "frequency_penalty": 0.0, "top_p": 1, "min_p": 0},
        {"best_of": 1, "echo": False, "add_special_tokens": False, "use_beam_search": False},
        {"min_tokens": 0, "ignore_eos": False, "length_penalty": 1.0, "stop_token_ids": []},
        {"skip_special_tokens": True, "chat_template_kwargs": {}, "priority": 0},
        {"mirostat": 0, "typical_p": 1, "repeat_penalty": 1.0, "n_predict": -1, "id_slot": -1},
        {"audio": None, "guided_json": None, "grammar": ""},
        # What the page of llama.cpp's server sends with every request.
        {"xtc_probability": 0, "xtc_threshold": 0.1, "dynatemp_range": 0, "dynatemp_exponent": 1},
        {"dry_multiplier": 0, "dry_base": 1.75, "dry_allowed_length": 2, "dry_penalty_last_n": -1},
        {"mirostat": 0, "mirostat_tau": 5, "mirostat_eta": 0.1, "typ_p": 1, "top_n_sigma": -1},
        {"repeat_last_n": -1, "post_sampling_probs": False, "return_progress": False},
        {"reasoning_format": "auto", "parse_tool_calls": True, "min_keep": 0, "lora": []},
        {"cache_salt": "s", "reasoning": None, "unknown": None},
    ],
)
def test_what_asks_for_nothing(offer, ask, values):
    """A parameter whose value means what leaving it out means is taken."""
    assert ask(CHAT, offer(), messages=HELLO, **values) == ask(CHAT, offer(), messages=HELLO)


CALLING = {
    "role": "assistant",
    "tool_calls": [{"id": "c", "function": {"name": "weather", "arguments": "{}"}}],
}
TALK = [*HELLO, {"role": "assistant", "content": "Hel"}]


def test_where_the_prompt_ends(offer, ask):
    """An answer may continue the last message; otherwise it is a message of its own."""
    ends = ("continue_final_message", "add_generation_prompt")
    for values, told in (
        ({}, {}),
        (dict(zip(ends, (False, True), strict=True)), {}),
        ({"continue_final_message": True}, dict(zip(ends, (True, False), strict=True))),
        ({"add_generation_prompt": False}, {"add_generation_prompt": False}),
    ):
        asked = ask(CHAT, offer(), messages=TALK, **values)
        assert {name: asked[name] for name in ends if name in asked} == told


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"messages": [*HELLO, CALLING]}, "REQUEST_INVALID"),
        ({"add_generation_prompt": True}, "REQUEST_INVALID"),
        ({"response_format": {"type": "json_object"}}, UNSUPPORTED),
    ],
)
def test_what_cannot_be_continued(offer, ask, values, code):
    """Calls of tools; and an answer whose format binds it from its beginning."""
    asked = {"messages": TALK, "continue_final_message": True, **values}
    assert ask(CHAT, offer(features=ALL), **asked) == (code, "continue_final_message")


@pytest.mark.parametrize(
    ("values", "code", "where"),
    [
        ({"top_logprobs": 2}, "REQUEST_INVALID", "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "REQUEST_INVALID", "top_logprobs"),
        ({"tool_choice": "required"}, "REQUEST_INVALID", "tool_choice"),
        ({"tools": [TOOL, TOOL]}, "REQUEST_INVALID", "tools"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            UNSUPPORTED,
            "tool_choice",
        ),
        ({"tools": [{"type": "retrieval"}]}, "REQUEST_INVALID", "tools[0].type"),
        ({"response_format": {"type": "grammar"}}, "REQUEST_INVALID", "response_format"),
        ({"functions": [{"name": "f"}]}, UNSUPPORTED, "functions"),
        ({"function_call": {"name": "f"}}, UNSUPPORTED, "function_call"),
        ({"modalities": ["audio"]}, UNSUPPORTED, "modalities"),
        ({"audio": {"voice": "x"}}, UNSUPPORTED, "audio"),
        ({"reasoning_effort": "low"}, UNSUPPORTED, "reasoning_effort"),
        ({"verbosity": "low"}, UNSUPPORTED, "verbosity"),
        ({"web_search_options": {}}, UNSUPPORTED, "web_search_options"),
        ({"chat_template": "x"}, UNSUPPORTED, "chat_template"),
        ({"min_tokens": 2}, UNSUPPORTED, "min_tokens"),
        ({"ignore_eos": True}, UNSUPPORTED, "ignore_eos"),
        ({"repeat_penalty": 1.1}, UNSUPPORTED, "repeat_penalty"),
        ({"top_k": -2}, "REQUEST_INVALID", "top_k"),
        ({"max_tokens": -2}, "REQUEST_INVALID", "max_tokens"),
    ],
)
def test_refusals(offer, ask, values, code, where):
    """What is wrong, or nothing does, is refused by name."""
    assert ask(CHAT, offer(features=ALL), messages=HELLO, **values) == (code, where)


def test_hints(offer):
    """The old names of tools are refused with the new ones."""
    with pytest.raises(RequestError) as caught:
        CHAT.prepare({"model": "stand-in", "messages": HELLO, "functions": [TOOL]}, offer())
    assert caught.value.problems[0].hint == "use tools"


def test_room_is_counted_where_the_engine_requires_it(offer):
    """Only of vLLM, and only of a prompt that may not fit: its text could be a token a byte."""
    kit = offer()
    ask = {"model": "stand-in", "messages": [{"role": "user", "content": "a" * 5000}]}
    assert CHAT.prepare(ask, kit).length_check is None
    tight = replace(kit, requires_room=True)
    check = CHAT.prepare(ask, tight).length_check
    assert json.loads(check.body) == {key: ask[key] for key in ("model", "messages")}
    assert (check.max_tokens, check.limit_tokens, check.where) == (32, 64, "messages")
    wide = replace(tight, hyperparameters={**kit.hyperparameters, "max_length": 32768})
    assert CHAT.prepare(ask, wide).length_check is None
    ask["messages"] *= 7
    assert CHAT.prepare(ask, wide).length_check is not None


def test_arguments_are_bound_where_the_engine_binds_only_strict_ones(offer, ask):
    """Only of vLLM, and only of calls that the request requires."""
    kit = offer(features=ALL)
    lax = replace(kit, binds_only_strict=True)
    plain, strict = {"type": "function", "function": {"name": "f"}}, [True]
    for choice in ("required", {"type": "function", "function": {"name": "f"}}):
        fields = {"messages": HELLO, "tools": [plain], "tool_choice": choice}
        sent = ask(CHAT, lax, **fields)["tools"]
        assert [tool["function"].get("strict") for tool in sent] == strict
        assert ask(CHAT, kit, **fields)["tools"] == [plain]
    for more in ({}, {"tool_choice": "auto"}):
        assert ask(CHAT, lax, messages=HELLO, tools=[plain], **more)["tools"] == [plain]
