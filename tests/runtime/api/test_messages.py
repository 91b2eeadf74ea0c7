"""The messages of a chat: which reach the worker, and at which place the others are refused."""

import pytest

from mealkit.recipe.kit import Feature
from mealkit.runtime.api.chat import CHAT

UNSUPPORTED = "REQUEST_UNSUPPORTED"
ALL = frozenset(Feature)
CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def test_messages_pass(offer, ask):
    """Messages of all roles reach the worker as they are."""
    messages = [
        {"role": "system", "content": "s"},
        {"role": "developer", "content": "d"},
        {"role": "user", "content": "u", "name": "ann"},
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "content": "t", "tool_call_id": "c"},
    ]
    assert ask(CHAT, offer(features=ALL), messages=messages)["messages"] == messages


def test_text_parts(offer, ask):
    """Parts of text are joined, because chat templates take text."""
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    asked = ask(CHAT, offer(), messages=[{"role": "user", "content": parts}])
    assert asked["messages"] == [{"role": "user", "content": "one\ntwo"}]


ANSWER = {"role": "assistant", "content": "a"}


@pytest.mark.parametrize(
    "fields",
    [
        {"refusal": None, "audio": None, "function_call": None, "annotations": []},
        {"tool_calls": []},
        {"tool_calls": None, "name": None, "refusal": None},
        {"annotations": [{"type": "url_citation"}], "parsed": {"a": 1}},
        {"reasoning_content": None, "reasoning": None, "reasoning_details": [], "parsed": None},
        {"provider_specific_fields": {"x": 1}, "thinking_blocks": [{"thinking": "t"}]},
        {"cache_control": {"type": "ephemeral"}},
        {"refusal": "", "id": "msg_1", "phase": None, "tool_call_id": None, "token_ids": None},
    ],
)
def test_an_answer_may_be_sent_back(offer, ask, fields):
    """Null, an empty list, and what no template reads mean what leaving the field out means."""
    messages = [{"role": "user", "content": "u"}, {**ANSWER, **fields}]
    asked = ask(CHAT, offer(), messages=messages)
    assert asked["messages"] == [{"role": "user", "content": "u"}, ANSWER]


@pytest.mark.parametrize("role", ["system", "developer", "user", "tool"])
def test_other_messages_may_have_an_answers_fields(offer, ask, role):
    """Clients that have one class for all messages write them as null, or empty."""
    plain = {"role": role, "content": "c"} | ({"tool_call_id": "c"} if role == "tool" else {})
    nothing = {"id": "m", "tool_calls": [], "annotations": [], "refusal": None, "audio": None}
    able = offer(features=ALL)
    messages = [{"role": "assistant", "tool_calls": [CALL]}, plain]
    expected = ask(CHAT, able, messages=messages)
    assert ask(CHAT, able, messages=[messages[0], {**plain, **nothing}]) == expected
    called = [messages[0], {**plain, "tool_calls": [CALL]}]
    assert ask(CHAT, able, messages=called) == (UNSUPPORTED, "messages[1].tool_calls")


def test_a_part_of_an_answer_may_repeat_its_fields(offer, ask):
    """The Agents SDK from npm copies the fields of an answer into the part that has its text."""
    part = {"type": "text", "text": "hm", "role": "assistant", "refusal": None, "tool_calls": []}
    asked = ask(CHAT, offer(), messages=[{"role": "assistant", "content": [part]}])
    assert asked["messages"] == [{"role": "assistant", "content": "hm"}]
    user = [{"role": "user", "content": [part]}]
    assert ask(CHAT, offer(), messages=user) == (UNSUPPORTED, "messages[0].content[0].role")


def test_calls_may_be_sent_back(offer, ask):
    """As clients put them together from a stream, with the fields that they add; and no result."""
    written = {"name": "weather", "arguments": "{}"}
    messages = [
        {"role": "assistant", "content": [], "tool_calls": [{**CALL, "index": 0}]},
        {"role": "tool", "content": [], "tool_call_id": "c", "name": "weather"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "function": {**written, "arguments": ""}}],
        },
        {
            "role": "assistant",
            "tool_calls": [{**CALL, "function": {**written, "parsed_arguments": {}}}],
        },
        {
            "role": "assistant",
            "tool_calls": [{**CALL, "type": None, "custom": None, "extra_content": {"google": {}}}],
        },
    ]
    asked = ask(CHAT, offer(features=ALL), messages=messages)["messages"]
    assert asked == [
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "", "tool_call_id": "c", "name": "weather"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "assistant", "tool_calls": [CALL]},
    ]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_thoughts_reach_the_template_by_both_names(offer, ask, name):
    """Some templates read the older name, others the newer one."""
    asked = ask(CHAT, offer(), messages=[{**ANSWER, name: "hm"}])
    assert asked["messages"] == [{**ANSWER, "reasoning_content": "hm", "reasoning": "hm"}]


def test_hints_for_caches_are_not_used(offer, ask):
    """On parts, messages and tools: they reach neither the template nor the engine."""
    hint = {"cache_control": {"type": "ephemeral"}, "prompt_cache_breakpoint": {}}
    function = {"name": "weather", **hint}
    asked = ask(
        CHAT,
        offer(features=ALL),
        messages=[
            {"role": "system", "content": "s", **hint},
            {"role": "user", "content": [{"type": "text", "text": "u", **hint}]},
        ],
        tools=[{"function": function, **hint}],
    )
    assert asked["messages"] == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
    ]
    assert asked["tools"] == [{"type": "function", "function": {"name": "weather"}}]


@pytest.mark.parametrize(
    ("messages", "code", "where"),
    [
        ([], "REQUEST_INVALID", "messages"),
        (None, "REQUEST_INVALID", "messages"),
        ("hello", "REQUEST_INVALID", "messages"),
        ([{"role": "user"}], "REQUEST_INVALID", "messages[0].content"),
        ([{"content": "a"}], "REQUEST_INVALID", "messages[0]"),
        ([{"role": "function", "content": "a"}], "REQUEST_INVALID", "messages[0]"),
        ([{"role": "user", "content": 7}], "REQUEST_INVALID", "messages[0].content"),
        ([{"role": "user", "content": []}], "REQUEST_INVALID", "messages[0].content"),
        ([{"role": "user", "content": "a", "x": 1}], UNSUPPORTED, "messages[0].x"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
            UNSUPPORTED,
            "messages[0].content[0]",
        ),
        ([{"role": "tool", "content": "a", "tool_call_id": "c"}], UNSUPPORTED, "messages[0].role"),
        ([{"role": "assistant", "tool_calls": [CALL]}], UNSUPPORTED, "messages[0].tool_calls"),
        ([{"role": "assistant", "tool_calls": []}], "REQUEST_INVALID", "messages[0].content"),
        ([{"role": "assistant", "content": None}], "REQUEST_INVALID", "messages[0].content"),
    ],
)
def test_messages_that_are_refused(offer, ask, messages, code, where):
    """A message that cannot be answered is refused at its place."""
    assert ask(CHAT, offer(), messages=messages) == (code, where)
